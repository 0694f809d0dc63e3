"""What was compiled after the approval, on the test split, by DLR itself, before the gate that the approved model passed."""

import io
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import msgspec
import pytest
from linewatch_agent.backends.dlr.backend import installed_runtime
from linewatch_common.errors import InputError, PackageError
from moto import mock_aws

from model_build.compiling.running import open_model
from model_build.data.prepared import PreparedSet
from model_build.fleet.calls import Caller
from model_build.infrastructure.evaluating import CompiledEvaluation
from model_build.pipelines import registered
from model_build.pipelines.registered import RegisteredModel
from model_build.training.run import read_run
from tests.unit.model_build.runs import data_folder, run_folder

MODELS = Path("tests/data/models")
NEO = MODELS / "neo" / "net"  # of net.onnx, whose weights are random: it tells good from bad by chance
BUCKET = "linewatch-models"
SHA = "a" * 64

needs_dlr = pytest.mark.skipif(installed_runtime() is None, reason="the extra dlr is not installed")


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        client = boto3.client("s3", region_name="eu-central-1")
        client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        yield client


class Trained:
    """Prepared data and a run of the float model `onnx`, in S3 as the pipeline's steps leave them."""

    def __init__(self, s3: Any, folder: Path, onnx: Path, size: tuple[int, int]) -> None:
        data = data_folder(folder)
        run = run_folder(folder / "run", data, onnx, size)
        self.s3 = s3
        for path in sorted(data.rglob("*")):
            if path.is_file():
                self.put(f"made/data/prepared/{path.relative_to(data)}", path.read_bytes())
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            archive.add(run, "run")
        self.put("made/train/model.tar.gz", packed.getvalue())
        self.model = registered.make(
            model="SurfaceInspector",
            component="com.linewatch.model.SurfaceInspector",
            version="1.0.0",
            package_uri=f"s3://{BUCKET}/package.tar.gz",
            package_sha256=SHA,
            manifest_digest=f"sha256:{SHA}",
            data_digest=PreparedSet.open(data).digest,
            code_digest=SHA,
            report_uri=f"s3://{BUCKET}/evaluation.json",
            data_uri=f"s3://{BUCKET}/made/data",
            run_uri=f"s3://{BUCKET}/made/train/model.tar.gz",
            gate="0.1 0.1 0.9",
            artefacts={"float": read_run(run).onnx},
        )

    def put(self, key: str, data: bytes) -> None:
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=data)

    def judge(self, library: Path, work: Path, model: RegisteredModel | None = None) -> list[str]:
        return CompiledEvaluation(self.s3, Caller())(library, model or self.model, work)


@pytest.fixture
def bright(s3: Any, tmp_path: Path) -> Trained:
    """Its float model tells the bright defects well."""
    return Trained(s3, tmp_path / "trained", MODELS / "inspector.onnx", (48, 32))


@needs_dlr
def test_a_neo_result_that_tells_good_from_bad_by_chance_is_refused(s3: Any, tmp_path: Path) -> None:
    trained = Trained(s3, tmp_path / "trained", NEO.parent / "net.onnx", (16, 16))
    shutil.copytree(NEO, tmp_path / "neo")
    [reason] = trained.judge(tmp_path / "neo" / "compiled.so", tmp_path / "work")
    assert "image AP" in reason
    assert (tmp_path / "work" / "output" / "evaluation" / "report.html").is_file()


def test_an_artefact_that_answers_as_the_approved_model_passes(bright: Trained, tmp_path: Path) -> None:
    assert bright.judge((MODELS / "inspector.onnx").resolve(), tmp_path / "work") == []


@needs_dlr
def test_a_neo_result_of_another_input_is_one_line(bright: Trained, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="DLR refuses a picture of"):
        bright.judge((NEO / "compiled.so").resolve(), tmp_path / "work")
    with pytest.raises(InputError, match="needs exactly the input 'image'"):
        open_model((MODELS / "neo" / "score" / "compiled.so").resolve())
    (tmp_path / "alone.so").write_bytes(b"no library")
    with pytest.raises(InputError, match=r"alone\.so"):
        open_model(tmp_path / "alone.so")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"data_uri": ""}, "registered without data_uri, run_uri and gate"),
        ({"gate": ""}, "registered without data_uri, run_uri and gate"),
        ({"data_digest": SHA}, "the data in S3 has the digest"),
        ({"artefacts": {"float": SHA}}, "the float model in S3 has the digest"),
    ],
)
def test_what_was_changed_or_not_registered_judges_nothing(
    bright: Trained, tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    model = msgspec.structs.replace(bright.model, **change)
    with pytest.raises(PackageError, match=reason):
        bright.judge((MODELS / "inspector.onnx").resolve(), tmp_path / "work", model)


def test_the_registry_keeps_where_the_evidence_lies(bright: Trained) -> None:
    properties = bright.model.to_properties()
    assert properties["gate"] == "0.1 0.1 0.9"
    assert registered.from_properties(properties) == bright.model
    bare = {name: value for name, value in properties.items() if name not in ("data_uri", "run_uri", "gate")}
    older = registered.from_properties(bare)
    assert (older.data_uri, older.run_uri, older.gate) == ("", "", "")
    assert older.to_properties() == bare
