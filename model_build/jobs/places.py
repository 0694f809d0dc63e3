"""Where a job's inputs and outputs lie, on SageMaker and on a laptop."""

import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from linewatch_common.errors import InputError, StorageError
from linewatch_common.files import write_atomically

BASE = "LINEWATCH_PROCESSING_BASE"
DEFAULT_BASE = Path("/opt/ml/processing")
PREPARED, RUN, COMPILED = (
    "prepared",
    "run",
    "compiled",
)  # folders inside an output: the output's own folder is there before the job starts
MODEL_ARCHIVE = "model.tar.gz"
PACKAGE_FILE, REGISTERED_FILE = "package.tar.gz", "registered.json"
REGISTERED_ARTEFACTS = ("compiled", "evaluation", "float", "weights")  # whose digests the registry gets
_MAX_REASON = 1000  # what DescribeProcessingJob shows as ExitMessage


@dataclass(frozen=True, slots=True)
class Processing:
    """A processing job's folders under `base`: input/NAME, output/NAME and work/."""

    base: Path

    def input(self, name: str) -> Path:
        """An input that the job was given. Raises InputError."""
        path = self.base / "input" / name
        if not path.is_dir():
            raise InputError(f"{path}: this job needs an input {name!r}")
        return path

    def output(self, name: str) -> Path:
        """The folder of an output, made when it is missing. Raises StorageError."""
        return _made(self.base / "output" / name)

    def work(self, name: str) -> Path:
        """A folder for what no one else needs. Raises StorageError."""
        return _made(self.base / "work" / name)

    def data(self) -> Path:
        """The prepared data. Raises InputError."""
        return self.input("data") / PREPARED

    def run(self) -> Path:
        """The training run, out of the training job's model archive. Raises InputError, StorageError."""
        archive, work = self.input("model") / MODEL_ARCHIVE, self.work("model")
        try:
            with tarfile.open(archive) as packed:
                packed.extractall(work, filter="data")
        except (tarfile.TarError, EOFError, zlib.error) as error:
            raise InputError(f"{archive}: {error}") from error
        except OSError as error:
            raise StorageError(f"{archive}: cannot unpack to {work}: {error.strerror or error}") from error
        return work / RUN

    def say_why(self, reason: str) -> None:
        """Leave the reason of a failure where SageMaker reads it. Raises StorageError."""
        write_atomically(
            _made(self.base.parent / "output") / "message",
            reason.encode()[:_MAX_REASON].decode(errors="ignore").encode(),
        )


def processing(environment: Mapping[str, str], base: Path | None = None) -> Processing:
    """`base` goes before LINEWATCH_PROCESSING_BASE, that before /opt/ml/processing."""
    return Processing(base or Path(environment.get(BASE, str(DEFAULT_BASE))))


@dataclass(frozen=True, slots=True)
class Training:
    """A training job's folders, as SageMaker's toolkit names them in SM_…

    `checkpoints`: there when the job was given a checkpoint configuration; SageMaker keeps it over interruptions.
    """

    data: Path
    model: Path
    output: Path
    checkpoints: Path | None


def training(environment: Mapping[str, str]) -> Training:
    """From SM_CHANNEL_DATA, SM_MODEL_DIR and SM_OUTPUT_DATA_DIR. Raises InputError when one is missing."""
    for name in ("SM_CHANNEL_DATA", "SM_MODEL_DIR", "SM_OUTPUT_DATA_DIR"):
        if not environment.get(name):
            raise InputError(f"{name} is not set: this script runs in a SageMaker training job; by hand use `train`")
    model = Path(environment["SM_MODEL_DIR"])
    checkpoints = model.parent / "checkpoints"
    return Training(
        data=Path(environment["SM_CHANNEL_DATA"]) / PREPARED,
        model=_made(model),
        output=_made(Path(environment["SM_OUTPUT_DATA_DIR"])),
        checkpoints=checkpoints if checkpoints.is_dir() else None,
    )


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{folder}: cannot make the folder: {error.strerror}") from error
    return folder
