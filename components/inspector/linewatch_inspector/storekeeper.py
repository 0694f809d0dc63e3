"""Keeps the store within its bounds: bytes and age. The oldest pictures of good parts go first; every deletion is counted."""

import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from linewatch_common.errors import StorageError
from linewatch_common.logs import Complaints
from linewatch_common.store import SUFFIX

log = logging.getLogger(__name__)

# Deleting a little more than needed means deleting in batches instead of at every picture.
ROOM = 0.98
# A deletion takes under a millisecond; rows and new pictures come between two batches.
BATCH = 64


@dataclass(frozen=True, slots=True)
class _File:
    size: int
    written: float


class Storekeeper:
    """Knows every file of the store folder. Used by the recording thread alone."""

    def __init__(self, folder: Path, max_bytes: int, max_seconds: float) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._max_seconds = max_seconds
        self._passes: OrderedDict[Path, _File] = OrderedDict()
        self._others: OrderedDict[Path, _File] = OrderedDict()
        self._refused = Complaints(log, "store")
        self.bytes = 0
        self.deleted = 0

    def take_stock(self, passes: Collection[str]) -> None:
        """Find what lies in the folder; `passes` are the paths of good parts. Raises StorageError."""
        self._passes.clear()
        self._others.clear()
        self.bytes = 0
        try:
            found = [(path, path.stat()) for path in self._folder.glob(f"*/*{SUFFIX}")]
            for leftover in self._folder.glob(f"*/.*{SUFFIX}.part"):
                leftover.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"{self._folder}: cannot look through the store: {error.strerror}") from error
        for path, status in sorted(found, key=lambda item: item[1].st_mtime):
            self._note(path, _File(status.st_size, status.st_mtime), passed=str(path) in passes)

    def added(self, path: Path, size: int, *, passed: bool) -> None:
        """A file was written."""
        self._note(path, _File(size, time.time()), passed=passed)

    def make_room(self) -> list[Path]:
        """Delete what is too old or too much, at most a batch; returns what went."""
        gone: list[Path] = []
        full = self.bytes > self._max_bytes
        while len(gone) < BATCH:
            path = self._too_old() or (self._first() if full and self.bytes > self._max_bytes * ROOM else None)
            if path is None or not self._delete(path):
                break
            gone.append(path)
        return gone

    def _note(self, path: Path, file: _File, *, passed: bool) -> None:
        for group in (self._passes, self._others):
            before = group.pop(path, None)
            self.bytes -= before.size if before else 0
        (self._passes if passed else self._others)[path] = file
        self.bytes += file.size

    def _first(self) -> Path | None:
        return next(iter(self._passes), None) or next(iter(self._others), None)

    def _too_old(self) -> Path | None:
        limit = time.time() - self._max_seconds
        for group in (self._passes, self._others):
            for path, file in group.items():
                if file.written < limit:
                    return path
                break
        return None

    def _delete(self, path: Path) -> bool:
        """False when the disk refuses: the file stays counted, and every other one's turn comes first."""
        group = self._passes if path in self._passes else self._others
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            self._refused.note(f"{path}: cannot delete it: {error.strerror}")
            self._others[path] = group.pop(path)
            return False
        self.bytes -= group.pop(path).size
        self.deleted += 1
        with contextlib.suppress(OSError):  # not empty yet
            path.parent.rmdir()
        return True
