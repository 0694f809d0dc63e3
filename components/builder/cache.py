"""What builds keep for the next build: .cache/build/<kind>/<slot>/<key>.<suffix>.

A key is a hash of everything that the file was made from, so a file in the cache is right or is not there. One slot (say: the
agent's zip for amd64) keeps its newest key only. Builds at the same time wait for each other.
"""

import contextlib
import fcntl
import hashlib
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from components.builder.errors import BuildError


class Cache:
    """The cache below `root`, which is made when it is missing."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @contextlib.contextmanager
    def locked(self, on_wait: Callable[[], None]) -> Iterator[None]:
        """Hold the cache alone. Calls `on_wait` once when another build holds it."""
        self._root.mkdir(parents=True, exist_ok=True)
        with (self._root / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                on_wait()
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def get(self, kind: str, slot: str, key: str, suffix: str) -> Path | None:
        """The file, when the cache has it."""
        path = self._root / kind / slot / f"{key}{suffix}"
        return path if path.is_file() else None

    @contextlib.contextmanager
    def make(self, kind: str, slot: str, key: str, suffixes: tuple[str, ...]) -> Iterator[tuple[Path, ...]]:
        """Paths to write new files to; they enter the cache together, and older keys leave, when the block ends well."""
        folder = self._root / kind / slot
        folder.mkdir(parents=True, exist_ok=True)
        token = secrets.token_hex(4)
        beside = tuple(folder / f".{token}{suffix}" for suffix in suffixes)
        try:
            yield beside
            for old in folder.iterdir():
                if old not in beside:
                    old.unlink()
            for path, suffix in zip(beside, suffixes, strict=True):
                path.chmod(0o444)
                path.replace(folder / f"{key}{suffix}")
        except OSError as error:
            raise BuildError(f"{folder}: cannot write: {error.strerror or error}") from error
        finally:
            for path in beside:
                path.unlink(missing_ok=True)

    def scratch(self) -> Path:
        """A folder for temporary files on the cache's file system."""
        folder = self._root / "scratch"
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def hash_of(parts: Iterable[str | bytes]) -> str:
    """A key over the parts, in their order."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.hexdigest()[:32]


def place(cached: Path, target: Path) -> None:
    """Put the cached file at `target`: by a hard link where the file system can, else by a copy. Raises BuildError."""
    try:
        if target.exists() and target.samefile(cached):
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        try:
            os.link(cached, beside)
        except OSError:
            beside.write_bytes(cached.read_bytes())
        beside.replace(target)
    except OSError as error:
        raise BuildError(f"{target}: cannot write: {error.strerror or error}") from error
