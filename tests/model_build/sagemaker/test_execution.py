"""A definition as the SDK wrote it, executed here from raw pictures: both branches of its condition."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from linewatch_common.manifest import file_sha256
from moto import mock_aws

from model_build.data.prepared import PreparedSet
from model_build.data.splits import SPLITS_FILE, TRAIN, read_splits
from model_build.packaging.tarball import unpack
from model_build.pipelines.offline import emitted
from model_build.pipelines.plans import EXAMPLE, PIPELINES
from model_build.pipelines.registered import RegisteredModel, from_properties
from model_build.pipelines.source import ARCHIVE_FILE, STARTER_FILE, archive, code_digest, starter
from model_build.training.predictions import PredictionsFolder
from model_build.training.run import VALIDATION, read_run
from tests.model_build.sagemaker.executing import Execution, PipelineFailedError
from tests.unit.model_build.runs import data_folder, run_folder

ROOT = Path(__file__).resolve().parents[3]
PYTHON = ROOT / ".venv-train/bin/python"  # what the locked requirements of torch's container make
PARAMETERS = {
    "InputData": "s3://linewatch-models/raw",
    "CompileTarget": "onnx",
    "TestShare": 0.4,
    # Twenty pictures cannot show more.
    "TargetEscapes": 0.1,
    "TargetFalseRejects": 0.1,
}


@pytest.fixture(scope="module")
def code() -> bytes:
    return archive()


@pytest.fixture(scope="module")
def definition(code: bytes) -> dict[str, Any]:
    (text,) = emitted([PIPELINES["inspector"]], EXAMPLE, code_digest(code), os.environ)
    return dict(json.loads(text))


@pytest.fixture
def sagemaker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        client = boto3.client("sagemaker", region_name="eu-central-1")
        client.create_model_package_group(ModelPackageGroupName="linewatch-inspector")
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


def bright(channel: Path, model: Path, hyperparameters: Mapping[str, str]) -> None:
    """Stands for the training (test_training_toolkit runs a real one): a net that finds bright defects."""
    assert hyperparameters["model"] == "inspector"
    run = run_folder(model / "run", channel / "prepared", ROOT / "tests/data/models/inspector.onnx")
    data = PreparedSet.open(channel / "prepared")
    names = read_splits(data.folder / SPLITS_FILE, data).splits[TRAIN]
    shutil.rmtree(run / VALIDATION)
    said = PredictionsFolder(run / VALIDATION)
    for name in names:  # out of fold, with the masks that the net gives
        grey = data.example(name).picture.reshape(64, 96, -1).mean(axis=2) / 255
        said.add(name, grey.reshape(8, 8, 12, 8).mean(axis=(1, 3)).astype(np.float32)[None])
    scores = {name: 0.9 if data.entry(name).defective else 0.1 for name in names}
    said.finish(read_run(run).onnx, data, scores, masks=True)


def execution(definition: dict[str, Any], buckets: Path, work: Path, sagemaker: Any) -> Execution:
    return Execution(
        definition, PARAMETERS, buckets=buckets, work=work, python=PYTHON, train=bright, sagemaker=sagemaker
    )


def test_what_passes_the_gate_is_registered_with_the_digest_of_everything(
    definition: dict[str, Any], code: bytes, buckets: Path, tmp_path: Path, sagemaker: Any
) -> None:
    done = execution(definition, buckets, tmp_path / "work", sagemaker).run().done
    assert done[-3:] == ["Gate", "Package", "Register"]
    (summary,) = sagemaker.list_model_packages(ModelPackageGroupName="linewatch-inspector")["ModelPackageSummaryList"]
    assert summary["ModelApprovalStatus"] == "PendingManualApproval"
    told = sagemaker.describe_model_package(ModelPackageName=summary["ModelPackageArn"])
    model = from_properties(told["CustomerMetadataProperties"])
    assert told["InferenceSpecification"]["Containers"][0]["ModelDataUrl"] == model.package_uri
    assert (model.component, model.version) == ("com.linewatch.model.SurfaceInspector", "1.1.0")
    assert model.code_digest == code_digest(code)
    _check_registered(model, buckets, tmp_path)


def test_what_the_gate_refuses_ends_with_its_reason(
    definition: dict[str, Any], buckets: Path, tmp_path: Path, sagemaker: Any
) -> None:
    raw = buckets / "linewatch-models" / "raw"
    _swap(raw)
    running = execution(definition, buckets, tmp_path / "work", sagemaker)
    with pytest.raises(PipelineFailedError, match=r"The gate refuses SurfaceInspector: image AP 0\.\d+ is below 0.9"):
        running.run()
    assert running.done[-2:] == ["Gate", "Refuse"]
    assert not sagemaker.list_model_packages(ModelPackageGroupName="linewatch-inspector")["ModelPackageSummaryList"]


def test_a_job_that_fails_says_why(definition: dict[str, Any], buckets: Path, tmp_path: Path, sagemaker: Any) -> None:
    (next((buckets / "linewatch-models" / "raw" / "normal").iterdir())).write_bytes(b"no picture")
    with pytest.raises(PipelineFailedError, match=r"(?s)^prepare: .*not a picture that can be decoded"):
        execution(definition, buckets, tmp_path / "work", sagemaker).run()


def _check_registered(model: RegisteredModel, buckets: Path, tmp_path: Path) -> None:
    """Every digest is that of the object that lies there."""
    stored = buckets / model.package_uri.removeprefix("s3://")
    made = stored.parents[2]
    assert model.package_sha256 == file_sha256(stored)
    assert model.data_digest == file_sha256(made / "prepare/data/prepared/index.json")
    assert model.artefacts["compiled"] == file_sha256(made / "compile/artefact/compiled/artefact.json")
    assert model.artefacts["evaluation"] == file_sha256(buckets / model.report_uri.removeprefix("s3://"))
    assert model.artefacts["float"] == file_sha256(ROOT / "tests/data/models/inspector.onnx")
    # What is compiled later is judged by these.
    assert buckets / model.data_uri.removeprefix("s3://") == made / "prepare/data"
    assert (buckets / model.run_uri.removeprefix("s3://")).is_file()
    assert [float(word) for word in model.gate.split(" ")] == [0.1, 0.1, 0.9]
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
