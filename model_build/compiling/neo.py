"""A SageMaker Neo CompilationJob behind the same interface as every other recipe.

Neo still answers, but its ONNX support ends at opset 12 and its newest Jetson is Xavier (docs/compiling.md): a job that fails is an
everyday outcome, and `--or-onnx` then gives the float ONNX with a note.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError
from linewatch_common.errors import InputError, UnavailableError
from linewatch_common.manifest import file_sha256

from model_build.compiling.artefact import Format
from model_build.compiling.locating import neo_library
from model_build.compiling.pictures import Calibration
from model_build.nets.interface import INPUT
from model_build.packaging.tarball import pack, unpack

_JOB_SECONDS = 900  # a net of ours compiles within a few minutes, and a job that hangs is billed until it is stopped
_QUEUE_SECONDS = 900  # what the service may take before it starts one
_FIRST_WAIT, _LONGEST_WAIT, _GROWTH = (
    5.0,
    60.0,
    1.5,
)  # of polling: a job takes minutes, the API is shared with the account's other work
_ATTEMPTS = 50  # of one compilation, over all runs: a name is taken for ever
_DONE, _FAILED = "COMPLETED", ("FAILED", "STOPPED")


@dataclass(frozen=True, slots=True)
class Hardware:
    """`device` as Neo names it (for example jetson_xavier), or a platform. `options`: Neo's CompilerOptions."""

    device: str | None = None
    os: str = "LINUX"
    arch: str = "X86_64"
    accelerator: str | None = None
    options: str | None = None

    def fields(self) -> dict[str, Any]:
        """Of a job's OutputConfig."""
        platform = {"Os": self.os, "Arch": self.arch} | ({"Accelerator": self.accelerator} if self.accelerator else {})
        chosen: dict[str, Any] = {"TargetDevice": self.device} if self.device else {"TargetPlatform": platform}
        return chosen | ({"CompilerOptions": self.options} if self.options else {})

    @property
    def slug(self) -> str:
        """For a job's name."""
        return (self.device or "-".join(filter(None, (self.os, self.arch, self.accelerator)))).lower().replace("_", "-")


@dataclass(frozen=True, slots=True)
class Clock:
    """Seconds that only grow, and a pause."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True)
class Neo:
    """`s3` and `sagemaker` are boto3 clients. Model and result lie below `bucket`/`prefix`, by the model's digest."""

    s3: Any
    sagemaker: Any
    role: str
    bucket: str
    prefix: str
    hardware: Hardware = field(default_factory=Hardware)
    clock: Clock = field(default_factory=Clock)
    name: str = "neo"
    format: Format = "neo"

    def make(self, model: Path, calibration: Calibration, folder: Path) -> str:
        """See Recipe. Raises UnavailableError when AWS cannot be reached or the job takes too long, InputError when it fails."""
        digest = file_sha256(model)
        size = calibration.preparation
        with translated("Neo"):
            source = self._uploaded(model, digest)
            result = self._awaited(self._started(self.request(digest, source, (1, size.height, size.width, 3))))
            return self._fetched(result, model.parent, folder)

    def request(self, digest: str, source: str, shape: tuple[int, ...]) -> dict[str, Any]:
        """The CreateCompilationJob for the model with this SHA-256 at `source`; the same input, output and hardware give the same name."""
        configs = {
            "InputConfig": {
                "S3Uri": source,
                "DataInputConfig": json.dumps({INPUT: list(shape)}),
                "Framework": "ONNX",
            },
            "OutputConfig": {"S3OutputLocation": self._uri(digest, "compiled"), **self.hardware.fields()},
        }
        asked = hashlib.sha256(json.dumps(configs, sort_keys=True).encode()).hexdigest()
        return {
            "CompilationJobName": f"linewatch-{digest[:8]}-{asked[:12]}-{self.hardware.slug}"[:60].rstrip("-"),
            "RoleArn": self.role,
            **configs,
            "StoppingCondition": {"MaxRuntimeInSeconds": _JOB_SECONDS},
        }

    def _key(self, digest: str, name: str) -> str:
        return "/".join(part for part in (self.prefix.strip("/"), digest, name) if part)

    def _uri(self, digest: str, name: str) -> str:
        return f"s3://{self.bucket}/{self._key(digest, name)}"

    def _uploaded(self, model: Path, digest: str) -> str:
        content = model.parent / "neo-input"
        content.mkdir(exist_ok=True)
        (content / "model.onnx").write_bytes(model.read_bytes())
        archive = model.parent / "neo-input.tar.gz"
        pack(content, archive)
        self.s3.put_object(Bucket=self.bucket, Key=self._key(digest, "model.tar.gz"), Body=archive.read_bytes())
        return self._uri(digest, "model.tar.gz")

    def _started(self, request: dict[str, Any]) -> str:
        """The job's name: a new one, or one that is there and has not failed. What made another one fail may be mended by now."""
        first = request["CompilationJobName"]
        for name in (first, *(f"{first}-{number}" for number in range(2, _ATTEMPTS + 1))):
            try:
                self.sagemaker.create_compilation_job(**request | {"CompilationJobName": name})
            except ClientError as error:
                if error.response["Error"]["Code"] != "ResourceInUse":
                    raise
                job = self.sagemaker.describe_compilation_job(CompilationJobName=name)
                if job["CompilationJobStatus"] in _FAILED:
                    continue
            return str(name)
        raise InputError(f"Neo: {_ATTEMPTS} jobs {first} have failed; delete them, or look at why")

    def _awaited(self, name: str) -> str:
        """The result's S3 URI."""
        end, wait = self.clock.now() + _QUEUE_SECONDS + _JOB_SECONDS, _FIRST_WAIT
        while True:
            job = self.sagemaker.describe_compilation_job(CompilationJobName=name)
            if job["CompilationJobStatus"] == _DONE:
                return str(job["ModelArtifacts"]["S3ModelArtifacts"])
            if job["CompilationJobStatus"] in _FAILED:
                raise InputError(
                    f"Neo: job {name} ended as {job['CompilationJobStatus']}: {job.get('FailureReason') or 'no reason given'}"
                )
            if self.clock.now() >= end:
                self.sagemaker.stop_compilation_job(CompilationJobName=name)
                raise UnavailableError(
                    f"Neo: job {name} is still {job['CompilationJobStatus']} after {_QUEUE_SECONDS + _JOB_SECONDS} s"
                )
            self.clock.sleep(min(wait, _LONGEST_WAIT))
            wait *= _GROWTH

    def _fetched(self, uri: str, work: Path, folder: Path) -> str:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        archive = work / "neo-output.tar.gz"
        self.s3.download_file(bucket, key, str(archive))
        unpack(archive, folder)
        return library_of(folder, uri)


def library_of(folder: Path, uri: str) -> str:
    """The compiled library among the unpacked files of a Neo result. Raises InputError when it is none."""
    if not all(path.is_file() for path in folder.iterdir()):
        raise InputError(f"Neo: {uri} holds folders, expected DLR's files alone")
    return neo_library(folder, uri)


@contextmanager
def translated(what: str) -> Iterator[None]:
    """AWS's errors as ours, one line each."""
    try:
        yield
    except ClientError as error:
        code, reason = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
        refused = code.startswith(("Validation", "AccessDenied", "NoSuch", "404"))
        raise (InputError if refused else UnavailableError)(
            f"{what}: {error.operation_name}: {code}: {reason}"
        ) from error
    except (BotoCoreError, Boto3Error) as error:  # the latter where a download broke off several times
        raise UnavailableError(f"{what}: {error}") from error
