"""The ring as a file: whose it is, who writes it, and how it is made whole before anybody sees it."""

import contextlib
import errno
import fcntl
import os
from pathlib import Path

from linewatch_common.errors import StorageError


def open_existing(path: Path) -> int | None:
    """A descriptor of the file at `path`, ours and locked for us; None when there is no file. Raises StorageError."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"{path}: cannot open the ring: {error.strerror}") from error
    try:
        _check_owner(fd, path)
        _lock(fd, path)
    except StorageError:
        os.close(fd)
        raise
    return fd


def make_file(path: Path, header: bytes, size: int) -> int:
    """A locked descriptor of a new file of `size` bytes that begins with `header`, put under the name when it is complete, mode 0600.

    Raises StorageError with one line; what was under the name then still is.
    """
    beside = path.with_name(f".{path.name}.new")
    fd = -1
    try:
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()  # of a process that was killed here
        fd = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        _lock(fd, path)
        _allocate(fd, path.parent, size)
        os.pwrite(fd, header, 0)
        beside.replace(path)
    except OSError as error:
        if fd >= 0:
            os.close(fd)
            with contextlib.suppress(OSError):
                beside.unlink()
        raise StorageError(
            f"{path}: cannot make a ring of {size / 1e6:.1f} MB: {error.strerror}{_free_text(path.parent)}"
        ) from error
    return fd


def free_memory_of(path: Path) -> bool:
    """Cut off an old ring that nobody writes, so that its memory is free at once, whoever still has it open; False when there is none.

    Raises StorageError when it is another's or in use.
    """
    fd = open_existing(path)
    if fd is None:
        return False
    try:
        os.ftruncate(fd, 0)
    except OSError as error:
        raise StorageError(f"{path}: cannot free the old ring: {error.strerror}") from error
    finally:
        os.close(fd)
    return True


def check_unused(path: Path) -> None:
    """Raises StorageError when another process writes the file at `path`."""
    fd = open_existing(path)
    if fd is not None:
        os.close(fd)


def _allocate(fd: int, folder: Path, size: int) -> None:
    """All memory now: a full file system is refused here in one line, not at some frame. Raises OSError."""
    # Without this look the try would take all that is left, for a moment, from everybody else.
    if _free_bytes(folder) < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.posix_fallocate(fd, 0, size)


def _check_owner(fd: int, path: Path) -> None:
    owner = os.fstat(fd).st_uid
    if owner != os.geteuid():
        raise StorageError(
            f"{path}: belongs to user {owner}, this process is user {os.geteuid()}: "
            "run all linewatch components as one user, or remove the file"
        )


def _lock(fd: int, path: Path) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise StorageError(f"{path}: another process writes this ring") from error


def _free_bytes(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def _free_text(folder: Path) -> str:
    try:
        return f" ({_free_bytes(folder) / 1e6:.1f} MB are free)"
    except OSError:
        return ""
