"""Files that matter, written so that a power cut or a full disk leaves the old or the new content, never half."""

import contextlib
import os
import secrets
from pathlib import Path

from linewatch_common.errors import StorageError

# sun_path of a unix socket address holds 108 bytes with its terminating zero.
MAX_SOCKET_PATH_BYTES = 107


def write_atomically(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write `data` beside `path`, fsync, rename over it, fsync the folder.

    Raises StorageError, with the path and the system's reason, when the disk refuses; the old content then still stands.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise StorageError(f"{path}: cannot write {len(data)} bytes: {error.strerror}") from error


def sync_folder(folder: Path) -> None:
    """Make a rename or a new name in `folder` durable. Raises OSError."""
    _sync(folder, os.O_DIRECTORY)


def sync_tree(folder: Path) -> None:
    """Make all that lies below `folder` durable, contents and names: before it is renamed into its place. Raises OSError."""
    for place, _, names in os.walk(folder):
        for name in names:
            _sync(Path(place) / name)
        sync_folder(Path(place))


def _sync(path: Path, flags: int = 0) -> None:
    fd = os.open(path, os.O_RDONLY | flags)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_private_folder(folder: Path) -> Path:
    """`folder`, made with mode 0700 when it is missing. Raises StorageError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{folder}: cannot make the folder: {error.strerror}") from error
    return folder
