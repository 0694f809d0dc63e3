"""Where the state of deployments lies: small objects by key, some of them changed only when nobody else did."""

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from linewatch_common.errors import StorageError
from linewatch_common.files import write_atomically

from model_build.fleet.errors import ConflictError


class StateStore(Protocol):
    """Objects below one prefix. Every method may raise CloudUnavailableError, CredentialsError or StorageError."""

    @property
    def address(self) -> str:
        """For messages, e.g. s3://bucket/prefix/."""

    def read(self, key: str) -> tuple[bytes, str] | None:
        """Content and tag; None when there is no such object."""

    def write(self, key: str, data: bytes) -> None:
        """Write it, whatever is there."""

    def create(self, key: str, data: bytes) -> None:
        """Write a new object. Raises ConflictError when it exists."""

    def replace(self, key: str, data: bytes, tag: str) -> None:
        """Write over the content that had `tag`. Raises ConflictError when it has changed since."""

    def keys(self, prefix: str) -> list[str]:
        """Sorted keys that begin with `prefix`."""


class FolderStore:
    """A StateStore in a folder, for one machine: a file lock keeps two processes apart."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def address(self) -> str:
        """See StateStore."""
        return f"{self._folder}/"

    def read(self, key: str) -> tuple[bytes, str] | None:
        """See StateStore."""
        try:
            data = (self._folder / key).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(f"{self._folder / key}: {error.strerror}") from error
        return data, _tag(data)

    def write(self, key: str, data: bytes) -> None:
        """See StateStore."""
        path = self._folder / key
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{path.parent}: {error.strerror}") from error
        write_atomically(path, data)

    def create(self, key: str, data: bytes) -> None:
        """See StateStore."""
        with self._locked():
            if self.read(key) is not None:
                raise ConflictError(f"{self.address}{key} exists already")
            self.write(key, data)

    def replace(self, key: str, data: bytes, tag: str) -> None:
        """See StateStore."""
        with self._locked():
            found = self.read(key)
            if found is None or found[1] != tag:
                raise ConflictError(f"{self.address}{key} was changed by somebody else")
            self.write(key, data)

    def keys(self, prefix: str) -> list[str]:
        """See StateStore."""
        root = self._folder
        start = root / prefix
        top = start if prefix.endswith("/") else start.parent
        files = (path.relative_to(root).as_posix() for path in top.rglob("*") if path.is_file())
        return sorted(key for key in files if key.startswith(prefix) and not Path(key).name.startswith("."))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StorageError(f"{self._folder}: {error.strerror}") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)


def _tag(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
