"""Neo behind the same interface, against moto over HTTP; every request is held against botocore's model."""

import io
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import boto3
import msgspec
import pytest
from botocore.exceptions import ClientError
from linewatch_agent.backends.dlr.backend import installed_runtime
from linewatch_common.errors import InputError, UnavailableError
from linewatch_common.manifest import Preparation, file_sha256
from moto.server import ThreadedMotoServer

from model_build.__main__ import main
from model_build.compiling.artefact import read_artefact, runs_here
from model_build.compiling.neo import Clock, Hardware, Neo, translated
from model_build.compiling.pictures import Calibration
from model_build.evaluation.predictions import PREDICTIONS_FILE, Document
from tests.fakes.botocore_checks import check_request
from tests.unit.model_build.runs import data_folder, run_folder

MODEL = Path(__file__).parents[2] / "data/models/inspector.onnx"
NEO = MODEL.parent / "neo"  # made by tests/data/make_neo.py
ROLE = "arn:aws:iam::123456789012:role/compiling"
ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00"  # a library's header up to the processor that it is for
DLR_FILES = {
    "compiled.so": ELF + (183).to_bytes(2, "little"),  # for aarch64
    "compiled_model.json": b"{}",
    "compiled.params": b"params",
    "libdlr.so": b"\x7fELF",
}
HARDWARE = [
    Hardware(),
    Hardware(arch="ARM64"),
    Hardware(
        arch="ARM64", accelerator="NVIDIA", options='{"gpu-code": "sm_72", "trt-ver": "7.1.3", "cuda-ver": "10.2"}'
    ),
    Hardware("jetson_xavier"),
]


class Job:
    """What a job says of itself, one status after the other: moto's are complete at once."""

    def __init__(self, statuses: list[str], reason: str = "") -> None:
        self._statuses, self._reason = statuses, reason
        self.stopped = False

    def create_compilation_job(self, **request: Any) -> None:
        check_request("sagemaker", "CreateCompilationJob", request)

    def describe_compilation_job(self, **request: Any) -> dict[str, Any]:
        check_request("sagemaker", "DescribeCompilationJob", request)
        status = self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]
        return {"CompilationJobStatus": status, "FailureReason": self._reason}

    def stop_compilation_job(self, **request: Any) -> None:
        check_request("sagemaker", "StopCompilationJob", request)
        self.stopped = True


class Time:
    """Passes only in sleeps."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.passed += seconds
        self.pauses.append(seconds)

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.passed, self.sleep)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    at = f"http://{host}:{port}"
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}  # moto takes any
    client = boto3.client("s3", endpoint_url=at, region_name="eu-west-1", **keys)
    client.create_bucket(Bucket="models", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    yield at
    server.stop()


@pytest.fixture
def aws(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }.items():
        monkeypatch.setenv(name, value)
    return "models"


@pytest.fixture
def calibration() -> Calibration:
    return Calibration(None, Preparation(width=48, height=32, resize="squash"), ())  # type: ignore[arg-type]  # Neo takes no pictures


def result(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def put_result(files: dict[str, bytes], model: Path = MODEL) -> None:
    """Where moto says that the result lies: at the output location itself."""
    boto3.client("s3").put_object(Bucket="models", Key=f"neo/{file_sha256(model)}/compiled", Body=result(files))


def copied(folder: Path) -> Path:
    folder.mkdir()
    (folder / "model.onnx").write_bytes(MODEL.read_bytes())
    return folder / "model.onnx"


@pytest.mark.parametrize("hardware", HARDWARE, ids=lambda hardware: hardware.slug)
def test_the_request_is_what_the_service_takes(hardware: Hardware) -> None:
    neo = Neo(None, None, ROLE, "models", "/neo/", hardware)
    request = neo.request("a" * 64, f"s3://models/neo/{'a' * 64}/model.tar.gz", (1, 640, 256, 3))
    check_request("sagemaker", "CreateCompilationJob", request)
    assert request["InputConfig"]["DataInputConfig"] == '{"image": [1, 640, 256, 3]}'
    assert ("TargetDevice" in request["OutputConfig"]) == (hardware.device is not None)


def test_a_job_becomes_an_artefact_by_the_command_line(
    aws: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = data_folder(tmp_path)
    run = run_folder(tmp_path / "run", data, MODEL)
    put_result(DLR_FILES)
    command = ["compile", str(run), str(tmp_path / "out"), "--data", str(data), "--target", "neo", "--neo-role", ROLE]
    assert main([*command, "--neo-s3", f"s3://{aws}/neo", "--neo-arch", "ARM64"]) == 0
    made = read_artefact(tmp_path / "out")
    assert (made.format, made.model, sorted(made.files)) == ("neo", "compiled.so", sorted(DLR_FILES))
    assert made.comparison is None
    assert "a Neo model runs on its target only" in made.note
    assert "compiled.so: is compiled for aarch64, this machine is" in made.note
    assert "not compared" in capsys.readouterr().out
    with tarfile.open(fileobj=io.BytesIO(_stored(f"neo/{made.source.onnx}/model.tar.gz"))) as archive:
        assert archive.getnames() == ["model.onnx"]


def test_where_nothing_names_a_region_the_command_line_does(
    aws: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in a job of a pipeline: its container is not told what boto3 looks for."""
    data = data_folder(tmp_path)
    run = run_folder(tmp_path / "run", data, MODEL)
    put_result(DLR_FILES)
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    command = ["compile", str(run), str(tmp_path / "out"), "--data", str(data), "--target", "neo", "--neo-role", ROLE]
    command += ["--neo-s3", f"s3://{aws}/neo", "--neo-arch", "ARM64"]
    assert main(command) == 1
    assert "You must specify a region" in capsys.readouterr().err
    assert main([*command, "--neo-region", "eu-central-1"]) == 0


@pytest.mark.skipif(installed_runtime() is None, reason="the extra dlr is not installed")
def test_a_result_for_this_machine_is_compared_judged_and_predicted_by_dlr(
    aws: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a real result of the compiler, and the net that it was compiled from."""
    monkeypatch.chdir(tmp_path)  # people name artefacts relative to where they are
    data = data_folder(tmp_path)
    run = run_folder(tmp_path / "run", data, NEO / "net.onnx", (16, 16))
    files = {path.name: path.read_bytes() for path in (NEO / "net").iterdir()}
    put_result(files, NEO / "net.onnx")
    command = ["compile", str(run), str(tmp_path / "out"), "--data", str(data), "--target", "neo", "--neo-role", ROLE]
    assert main([*command, "--neo-s3", f"s3://{aws}/neo"]) == 0
    made = read_artefact(tmp_path / "out")
    assert made.comparison is not None
    assert made.comparison.score_difference < 1e-5
    assert made.comparison.mask_difference is not None
    assert made.comparison.mask_difference < 1e-5
    assert (made.note, runs_here(made)) == ("", True)
    (tmp_path / "model.tar.gz").write_bytes(result(files))
    said: list[Document] = []
    for artefact in ("out", "out/compiled.so", "model.tar.gz", None):
        which = [] if artefact is None else ["--artefact", artefact]
        assert main(["predict", str(run), str(data), str(tmp_path / f"said-{len(said)}"), *which]) == 0
        said.append(
            msgspec.json.decode((tmp_path / f"said-{len(said)}" / PREDICTIONS_FILE).read_bytes(), type=Document)
        )
    *neo, floating = said
    assert {one.model for one in neo} == {file_sha256(NEO / "net" / "compiled.params")}, "the library holds no weights"
    assert all(one.masks for one in said)
    for one in neo:
        assert one.scores == pytest.approx(floating.scores, abs=1e-5)


def test_an_artefact_that_is_none_or_not_for_here_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = data_folder(tmp_path)
    run = run_folder(tmp_path / "run", data, MODEL)
    (tmp_path / "foreign").mkdir()
    for name, content in DLR_FILES.items():
        (tmp_path / "foreign" / name).write_bytes(content)
    (tmp_path / "broken.so").write_bytes(b"no library")
    (tmp_path / "two.tar.gz").write_bytes(result({"a.so": b"", "b.so": b""}))
    lines = {
        "foreign/compiled.so": "is compiled for aarch64, this machine is",
        "broken.so": "is not a Linux library",
        "two.tar.gz": "holds 2 compiled libraries",
        "nowhere": "no such artefact",
        "foreign": "artefact.json",
    }
    for artefact, line in lines.items():
        command = ["predict", str(run), str(data), str(tmp_path / "said"), "--artefact", str(tmp_path / artefact)]
        assert main(command) == 1
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert line in error
        assert not (tmp_path / "said").exists()


def test_a_failure_falls_through_to_onnx_when_that_is_asked(
    aws: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = data_folder(tmp_path)
    run = run_folder(tmp_path / "run", data, MODEL)
    put_result({"no-library.txt": b""})
    command = ["compile", str(run), str(tmp_path / "out"), "--data", str(data), "--target", "neo", "--neo-role", ROLE]
    command += ["--neo-s3", f"s3://{aws}/neo"]
    assert main(command) == 1
    assert "expected one" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main([*command, "--or-onnx"]) == 0
    made = read_artefact(tmp_path / "out")
    assert made.format == "onnx"
    assert made.note.startswith("Neo gave nothing, this is the float ONNX: neo: no recipe will do")
    assert made.files["model.onnx"] == made.source.onnx


def test_a_hostile_result_writes_nothing_outside(aws: str, tmp_path: Path, calibration: Calibration) -> None:
    put_result({"../escaped.so": b"x"})
    neo = Neo(boto3.client("s3"), boto3.client("sagemaker"), ROLE, aws, "neo", Hardware("jetson_nano"))
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match=r"escaped\.so"):
        neo.make(copied(tmp_path / "work"), calibration, tmp_path / "out")
    assert not (tmp_path / "escaped.so").exists()


@pytest.mark.parametrize("statuses", [["STARTING", "INPROGRESS", "FAILED"], ["STOPPED"]], ids=["failed", "stopped"])
def test_a_job_that_fails_gives_its_reason(
    statuses: list[str], aws: str, tmp_path: Path, calibration: Calibration
) -> None:
    time = Time()
    neo = Neo(boto3.client("s3"), Job(statuses, "opset 17"), ROLE, aws, "neo", clock=time.clock)
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match=r"ended as (FAILED|STOPPED): opset 17"):
        neo.make(copied(tmp_path / "work"), calibration, tmp_path / "out")
    assert time.pauses == sorted(time.pauses)


class Taken(Job):
    """A service that knows jobs already, by name with their status; a new one is done at once."""

    def __init__(self, bucket: str) -> None:
        super().__init__([])
        self._bucket, self.known = bucket, dict[str, str]()

    def create_compilation_job(self, **request: Any) -> None:
        super().create_compilation_job(**request)
        if request["CompilationJobName"] in self.known:
            raise ClientError({"Error": {"Code": "ResourceInUse", "Message": "exists"}}, "CreateCompilationJob")
        self.known[request["CompilationJobName"]] = "COMPLETED"

    def describe_compilation_job(self, **request: Any) -> dict[str, Any]:
        check_request("sagemaker", "DescribeCompilationJob", request)
        place = f"s3://{self._bucket}/neo/{file_sha256(MODEL)}/compiled"
        return {
            "CompilationJobStatus": self.known[request["CompilationJobName"]],
            "ModelArtifacts": {"S3ModelArtifacts": place},
        }


def test_a_retry_takes_up_the_job_that_is_there_but_not_one_that_failed(
    aws: str, tmp_path: Path, calibration: Calibration
) -> None:
    put_result(DLR_FILES)
    service = Taken(aws)
    neo = Neo(boto3.client("s3"), service, ROLE, aws, "neo", clock=Time().clock)
    for number, jobs in enumerate((1, 1, 2, 3)):
        (tmp_path / f"out{number}").mkdir()
        assert neo.make(copied(tmp_path / f"work{number}"), calibration, tmp_path / f"out{number}") == "compiled.so"
        assert len(service.known) == jobs
        if number:
            service.known |= dict.fromkeys(service.known, ("FAILED", "STOPPED")[number % 2])
    assert all(len(name) <= 63 for name in service.known)


def test_another_compilation_is_another_job() -> None:
    neos = [Neo(None, None, ROLE, "models", "neo", hardware) for hardware in HARDWARE]
    neos.append(replace(neos[2], hardware=replace(HARDWARE[2], options='{"gpu-code": "sm_87"}')))
    neos.append(replace(neos[2], prefix="elsewhere"))
    names = {neo.request("a" * 64, "s3://models/model.tar.gz", (1, 640, 256, 3))["CompilationJobName"] for neo in neos}
    assert len(names) == len(neos)


def test_a_job_that_hangs_is_stopped(aws: str, tmp_path: Path, calibration: Calibration) -> None:
    time, job = Time(), Job(["INPROGRESS"])
    neo = Neo(boto3.client("s3"), job, ROLE, aws, "neo", clock=time.clock)
    (tmp_path / "out").mkdir()
    with pytest.raises(UnavailableError, match="still INPROGRESS after 1800 s"):
        neo.make(copied(tmp_path / "work"), calibration, tmp_path / "out")
    assert job.stopped
    assert max(time.pauses) == 60
    assert 1800 <= time.passed < 1900


class CutOff(BaseHTTPRequestHandler):
    """An S3 whose answers break off."""

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(b"half")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base names it
        """Say nothing."""


def test_a_download_that_breaks_off_is_one_line(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), CutOff) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        at = f"http://127.0.0.1:{server.server_port}"
        s3 = boto3.client("s3", endpoint_url=at, region_name="eu-west-1", **keys)
        with pytest.raises(UnavailableError, match=r"^Neo: [^\n]+$"), translated("Neo"):
            s3.download_file("models", "result", str(tmp_path / "result"))
        server.shutdown()


def test_a_missing_bucket_is_one_line(aws: str, tmp_path: Path, calibration: Calibration) -> None:
    neo = Neo(boto3.client("s3"), boto3.client("sagemaker"), ROLE, "nowhere-at-all", "neo")
    with pytest.raises(InputError, match=r"^Neo: PutObject: NoSuchBucket: [^\n]+$"):
        neo.make(copied(tmp_path / "work"), calibration, tmp_path)


def _stored(key: str) -> bytes:
    return bytes(boto3.client("s3").get_object(Bucket="models", Key=key)["Body"].read())
