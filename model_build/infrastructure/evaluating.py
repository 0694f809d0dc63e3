"""An artefact that was compiled after the approval, on the test split and before the same gate as the model that was approved.

The registry says where the prepared data and the run lie and what the gate asks (`data_uri`, `run_uri`, `gate`), and their digests.
The artefact runs here as on a device (`model_build.compiling.running`), so it must be one for this machine.
"""

from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from linewatch_common.errors import InputError, PackageError, StorageError
from linewatch_common.files import write_atomically

from model_build.data.prepared import PreparedSet
from model_build.fleet.calls import Caller
from model_build.jobs.places import MODEL_ARCHIVE, Processing
from model_build.jobs.processing import judge
from model_build.pipelines.registered import RegisteredModel
from model_build.training.run import read_run

# From the compiled library, what was registered and a folder to work in to why the gate refuses it; nothing when it passes.
Evaluate = Callable[[Path, RegisteredModel, Path], list[str]]
_GATE = ("--target-escapes", "--target-false-rejects", "--minimum-ap")


class CompiledEvaluation:
    """An Evaluate. `s3`: a boto3 client."""

    def __init__(self, s3: Any, call: Caller) -> None:
        self._s3 = s3
        self._call = call

    def __call__(self, library: Path, model: RegisteredModel, work: Path) -> list[str]:
        """Raises PackageError when there is nothing to judge it by, InputError, StorageError, FleetError."""
        if not (model.data_uri and model.run_uri and model.gate):
            raise PackageError(
                f"{model.model} {model.version} was registered without data_uri, run_uri and gate: what is compiled after the approval "
                "cannot be judged; register it again, or compile before the approval"
            )
        places = Processing(work)
        self._mirror(model.data_uri, places.base / "input" / "data")
        self._fetch(model.run_uri, places.base / "input" / "model" / MODEL_ARCHIVE)
        _check("data", PreparedSet.open(places.data()).digest, model.data_digest)
        _check("float model", read_run(places.run()).onnx, model.artefacts.get("float", "not registered"))
        flags = [part for pair in zip(_GATE, model.gate.split(" "), strict=True) for part in pair]
        gate = judge(places, flags, ("--artefact", str(library)))
        return [] if gate.passed else [gate.reason]

    def _mirror(self, uri: str, folder: Path) -> None:
        bucket, prefix = _parts(uri.rstrip("/") + "/")
        for key in self._keys(bucket, prefix):
            tail = PurePosixPath(key.removeprefix(prefix))
            if tail.is_absolute() or ".." in tail.parts:
                raise InputError(f"the key {key!r} leaves the folder")
            self._fetch(f"s3://{bucket}/{key}", folder.joinpath(*tail.parts))

    def _keys(self, bucket: str, prefix: str) -> Iterator[str]:
        token: dict[str, str] = {}
        while True:
            answer = self._call(self._s3, "list_objects_v2", Bucket=bucket, Prefix=prefix, **token)
            yield from (entry["Key"] for entry in answer.get("Contents", []) if not entry["Key"].endswith("/"))
            if not answer.get("IsTruncated"):
                return
            token = {"ContinuationToken": answer["NextContinuationToken"]}

    def _fetch(self, uri: str, path: Path) -> None:
        bucket, key = _parts(uri)
        answer = self._call(self._s3, "get_object", Bucket=bucket, Key=key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{path.parent}: {error.strerror}") from error
        write_atomically(path, answer["Body"].read(), 0o644)


def _parts(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def _check(what: str, found: str, registered: str) -> None:
    if found != registered:
        raise PackageError(
            f"the {what} in S3 has the digest {found}, registered was {registered}: it was changed since"
        )
