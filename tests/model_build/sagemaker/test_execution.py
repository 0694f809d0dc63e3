"""A definition as the SDK wrote it, executed here from raw pictures: both branches of its condition."""

import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from linewatch_common.manifest import file_sha256, load_manifest
from moto import mock_aws

from model_build.data.prepared import PreparedSet
from model_build.data.splits import SPLITS_FILE, TRAIN, read_splits
from model_build.nets.interface import NETS
from model_build.packaging.tarball import unpack
from model_build.pipelines.offline import emitted
from model_build.pipelines.plans import EXAMPLE, PIPELINES
from model_build.pipelines.registered import RegisteredModel, from_properties
from model_build.pipelines.source import ARCHIVE_FILE, STARTER_FILE, archive, code_digest, starter
from model_build.training.predictions import PredictionsFolder
from model_build.training.run import MODEL_FILE, VALIDATION, read_run
from tests.model_build.sagemaker.executing import Execution, PipelineFailedError
from tests.unit.model_build.runs import data_folder, run_folder

ROOT = Path(__file__).resolve().parents[3]
MODELS = ROOT / "tests/data/models"
TENSORFLOW = ROOT / ".venv-tensorflow/bin/python"
# What the locked requirements of each container make. A pipeline runs its processing jobs in torch's, unless the target needs TensorFlow.
PYTHONS = {
    "inspector": ROOT / ".venv-train/bin/python",
    "resnet18": ROOT / ".venv-train/bin/python",
    "unet": TENSORFLOW,
}
TARGETS = {"inspector": "onnx", "resnet18": "onnx", "unet": "tflite-int8"}
SIZE = (96, 64)  # of the pictures, and of the U-Net's input
PARAMETERS = {
    "InputData": "s3://linewatch-models/raw",
    "TestShare": 0.4,
    # Twenty pictures cannot show more.
    "TargetEscapes": 0.1,
    "TargetFalseRejects": 0.1,
}


@pytest.fixture(scope="module")
def code() -> bytes:
    return archive()


@pytest.fixture(scope="module")
def definitions(code: bytes) -> dict[str, dict[str, Any]]:
    texts = emitted(list(PIPELINES.values()), EXAMPLE, code_digest(code), os.environ)
    return {name: json.loads(text) for name, text in zip(PIPELINES, texts, strict=True)}


@pytest.fixture(scope="module")
def keras_net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a U-Net's weights.keras and model.onnx."""
    folder = tmp_path_factory.mktemp("keras")
    command = [
        str(TENSORFLOW),
        "-m",
        "tests.model_build.sagemaker.keras_net",
        str(data_folder(folder)),
        str(folder / "net"),
    ]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'components/common'}", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "net"


@pytest.fixture
def sagemaker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        client = boto3.client("sagemaker", region_name="eu-central-1")
        for plan in PIPELINES.values():
            client.create_model_package_group(ModelPackageGroupName=plan.group)
        yield client


@pytest.fixture
def buckets(tmp_path: Path, code: bytes) -> Path:
    """S3 with raw pictures, whose defects are bright, and the code."""
    bucket = tmp_path / "s3" / "linewatch-models"
    data_folder(tmp_path / "made")
    (tmp_path / "made" / "raw").rename(_made(bucket) / "raw")
    place = _made(bucket / "code" / code_digest(code))
    (place / ARCHIVE_FILE).write_bytes(code)
    (place / STARTER_FILE).write_bytes(starter())
    return tmp_path / "s3"


class Bright:
    """Stands for the training (test_training_toolkit runs a real one): a net of this name that finds bright defects."""

    def __init__(self, net: str, keras: Path) -> None:
        self._net, self._keras = net, keras

    def train(self, channel: Path, model: Path, hyperparameters: Mapping[str, str]) -> None:
        """As the training job: a run in `model`, learnt from `channel`."""
        assert hyperparameters["model"] == self._net
        assert hyperparameters["tiles"] == "none"
        run = self._run(model / "run", channel / "prepared")
        data = PreparedSet.open(channel / "prepared")
        names = read_splits(data.folder / SPLITS_FILE, data).splits[TRAIN]
        masks = "mask" in NETS[self._net].outputs
        shutil.rmtree(run / VALIDATION)
        said = PredictionsFolder(run / VALIDATION)
        for name in names if masks else ():  # out of fold, as such a net's masks are
            grey = data.example(name).picture.reshape(64, 96, -1).mean(axis=2) / 255
            said.add(name, grey.reshape(8, 8, 12, 8).mean(axis=(1, 3)).astype(np.float32)[None])
        scores = {name: 0.9 if data.entry(name).defective else 0.1 for name in names}
        said.finish(read_run(run).onnx, data, scores, masks=masks)

    def _run(self, folder: Path, data: Path) -> Path:
        if NETS[self._net].framework == "tensorflow":
            weights = (self._keras / "weights.keras").read_bytes()
            return run_folder(folder, data, self._keras / "model.onnx", SIZE, weights=weights, net=self._net)
        name = "inspector" if self._net == "inspector" else "classifier"
        return run_folder(folder, data, MODELS / f"{name}.onnx", net=self._net)


class Pipeline:
    """One of the three, ready to be executed once."""

    def __init__(
        self, name: str, definition: dict[str, Any], bright: Bright, places: tuple[Path, Path], sagemaker: Any
    ) -> None:
        self.name, self.buckets, self._work = name, *places
        self._definition, self._bright, self._sagemaker = definition, bright, sagemaker

    def execution(self) -> Execution:
        return Execution(
            self._definition,
            PARAMETERS | {"CompileTarget": TARGETS[self.name]},
            buckets=self.buckets,
            work=self._work,
            python=PYTHONS[self.name],
            train=self._bright.train,
            sagemaker=self._sagemaker,
        )

    def registered(self) -> list[dict[str, Any]]:
        group = PIPELINES[self.name].group
        found: list[dict[str, Any]] = self._sagemaker.list_model_packages(ModelPackageGroupName=group)[
            "ModelPackageSummaryList"
        ]
        return found


@pytest.fixture
def pipeline(
    request: pytest.FixtureRequest,
    definitions: dict[str, dict[str, Any]],
    buckets: Path,
    tmp_path: Path,
    sagemaker: Any,
) -> Pipeline:
    name = request.param
    keras = request.getfixturevalue("keras_net") if name == "unet" else Path()
    return Pipeline(name, definitions[name], Bright(name, keras), (buckets, tmp_path / "work"), sagemaker)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("pipeline", list(PIPELINES), indirect=True)
def test_what_passes_the_gate_is_registered_with_the_digest_of_everything(
    pipeline: Pipeline, code: bytes, tmp_path: Path, sagemaker: Any
) -> None:
    done = pipeline.execution().run().done
    assert done[-3:] == ["Gate", "Package", "Register"]
    (summary,) = pipeline.registered()
    assert summary["ModelApprovalStatus"] == "PendingManualApproval"
    told = sagemaker.describe_model_package(ModelPackageName=summary["ModelPackageArn"])
    model = from_properties(told["CustomerMetadataProperties"])
    assert told["InferenceSpecification"]["Containers"][0]["ModelDataUrl"] == model.package_uri
    assert (model.component, model.version) == (PIPELINES[pipeline.name].component, "1.1.0")
    assert model.code_digest == code_digest(code)
    _check_registered(model, pipeline.buckets, tmp_path)
    manifest = load_manifest(tmp_path / "package/package")
    assert (manifest.name, manifest.role, manifest.format) == {
        "inspector": ("SurfaceInspector", "inspector", "onnx"),
        "resnet18": ("SurfaceClassifier", "classifier", "onnx"),
        "unet": ("SurfaceSegmenter", "segmenter", "tflite"),
    }[pipeline.name]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("pipeline", list(PIPELINES), indirect=True)
def test_what_the_gate_refuses_ends_with_its_reason(pipeline: Pipeline) -> None:
    _swap(pipeline.buckets / "linewatch-models" / "raw")
    running = pipeline.execution()
    package = PIPELINES[pipeline.name].package
    with pytest.raises(PipelineFailedError, match=rf"The gate refuses {package}: image AP 0\.\d+ is below 0.9"):
        running.run()
    assert running.done[-2:] == ["Gate", "Refuse"]
    assert not pipeline.registered()


@pytest.mark.parametrize("pipeline", ["inspector"], indirect=True)
def test_a_job_that_fails_says_why(pipeline: Pipeline) -> None:
    (next((pipeline.buckets / "linewatch-models" / "raw" / "normal").iterdir())).write_bytes(b"no picture")
    with pytest.raises(PipelineFailedError, match=r"(?s)^prepare: .*not a picture that can be decoded"):
        pipeline.execution().run()


def _check_registered(model: RegisteredModel, buckets: Path, tmp_path: Path) -> None:
    """Every digest is that of the object that lies there."""
    stored = buckets / model.package_uri.removeprefix("s3://")
    made = stored.parents[2]
    assert model.package_sha256 == file_sha256(stored)
    assert model.data_digest == file_sha256(made / "prepare/data/prepared/index.json")
    assert model.artefacts["compiled"] == file_sha256(made / "compile/artefact/compiled/artefact.json")
    assert model.artefacts["evaluation"] == file_sha256(buckets / model.report_uri.removeprefix("s3://"))
    # What is compiled later is judged by these.
    assert buckets / model.data_uri.removeprefix("s3://") == made / "prepare/data"
    assert (buckets / model.run_uri.removeprefix("s3://")).is_file()
    assert [float(word) for word in model.gate.split(" ")] == [0.1, 0.1, 0.9]
    with tarfile.open(made / "train/job/output/model.tar.gz") as trained:
        trained.extractall(tmp_path / "trained", filter="data")
    assert model.artefacts["float"] == file_sha256(tmp_path / "trained/run" / MODEL_FILE)
    unpack(stored, tmp_path / "package")
    assert (tmp_path / "package/package/manifest.json").is_file()


def _swap(raw: Path) -> None:
    """Call the good parts defective and the other way round: the net is then always wrong."""
    masks = sorted((raw / "masks").iterdir())
    pictures = sorted((raw / "normal").iterdir())[: len(masks)]
    (raw / "normal").rename(raw / "old")
    (raw / "anomalous").rename(raw / "normal")
    (raw / "anomalous").mkdir()
    for mask, picture in zip(masks, pictures, strict=True):
        (raw / "old" / picture.name).rename(raw / "anomalous" / picture.name)
        mask.rename(mask.with_name(picture.name))
    for rest in (raw / "old").iterdir():
        rest.unlink()
    (raw / "old").rmdir()


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder
