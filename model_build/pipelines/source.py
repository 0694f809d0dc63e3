"""The archive of the code that every step of a pipeline runs: the same files give the same bytes, and its digest names them."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

from linewatch_common.errors import InputError

ARCHIVE_FILE, STARTER_FILE = "source.tar.gz", "processing.py"
_LOCKS = {"requirements-torch.txt": "locks/train.txt", "requirements-tensorflow.txt": "locks/train-tensorflow.txt"}
CHECKOUT = Path(__file__).resolve().parents[2]
_PACKAGES = {  # place in the checkout: place in the archive
    "model_build": "model_build",
    "components/common/linewatch_common": "linewatch_common",
    "components/common/linewatch_vision": "linewatch_vision",
    "components/agent/linewatch_agent": "linewatch_agent",  # runs what Neo compiled
    "components/builder": "components/builder",  # the command `package` shares its module with `component`
}
_SCRIPTS = "model_build/jobs/scripts"
_SUFFIXES = {".py", ".json", ".j2", ".yaml"}


def archive(checkout: Path = CHECKOUT) -> bytes:
    """The archive as tar.gz, with the training script and each framework's locked requirements at its top. Raises InputError."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, path in sorted(_files(checkout)):
            info = tarfile.TarInfo(name)
            content = _read(path)
            info.size, info.mode = len(content), 0o644
            tar.addfile(info, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), compresslevel=9, mtime=0)


def starter(checkout: Path = CHECKOUT) -> bytes:
    """The script that a processing container starts. Raises InputError."""
    return _read(checkout / _SCRIPTS / STARTER_FILE)


def code_digest(packed: bytes) -> str:
    """What names the archive: its SHA-256, as hex."""
    return hashlib.sha256(packed).hexdigest()


def _files(checkout: Path) -> Iterator[tuple[str, Path]]:
    yield "train.py", checkout / _SCRIPTS / "train.py"
    yield "pyproject.toml", checkout / "pyproject.toml"  # a package names the version of the code that made it
    yield from ((name, checkout / lock) for name, lock in _LOCKS.items())
    for place, name in _PACKAGES.items():
        for path in (checkout / place).rglob("*"):
            if path.suffix in _SUFFIXES and "__pycache__" not in path.parts:
                yield f"{name}/{path.relative_to(checkout / place).as_posix()}", path


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}: the pipelines are made from a checkout of the project") from error
