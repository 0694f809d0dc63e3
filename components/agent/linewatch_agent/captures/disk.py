"""Captured files on disk, in the original's key layout, bounded in bytes and age: the oldest sampled-normal push goes first."""

import itertools
import json
import logging
import os
import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from linewatch_common.errors import StorageError
from linewatch_common.files import sync_folder, write_atomically

from linewatch_agent.captures.importance import is_sampled_line
from linewatch_agent.captures.inherited import inherited, is_ours
from linewatch_agent.captures.pushes import Push

log = logging.getLogger(__name__)

# A file of a push, or one that write_atomically had not finished.
_OURS = re.compile(r"(?P<half>\.)?(?P<push>[0-9a-f]{32})(\.jsonl|-\d+\..+)(?(half)\.[0-9a-f]+|)")


@dataclass(slots=True)
class StoredPush:
    """The files of one push, the lines file first. `sampled` is None until somebody looks."""

    files: tuple[Path, ...]
    size_bytes: int
    stored_at: float  # wall clock, seconds
    sampled: bool | None = None

    def is_sampled(self) -> bool:
        """Whether it may go first when room is wanted."""
        if self.sampled is None:
            self.sampled = _first_line_is_sampled(self.files[0])
        return self.sampled


class CaptureDisk:
    """`<root>/<prefix>/<fleet>/<model>/YYYY/MM/DD/HH/<32 hex>.jsonl`, raw data below the hour. A push is a Destination's.

    What lay there before this agent's first push is left alone.
    Safe for concurrent use. `on_dropped` is told how many captures had to go for newer ones. `write` puts one file in its place, durably.
    """

    counter = "captures_stored"
    embeds_all = False
    missing = ""

    def __init__(
        self,
        root: Path,
        area: str,
        limit_bytes: int,
        limit_seconds: float,
        on_dropped: Callable[[int], None],
        *,
        write: Callable[[Path, bytes], None] = write_atomically,
    ) -> None:
        self._root = root
        self._area = root / area  # only what is below it is ours
        self._limit_bytes = limit_bytes
        self._limit_seconds = limit_seconds
        self._on_dropped = on_dropped
        self._write = write
        self._lock = threading.Lock()
        self._pushes: dict[Path, StoredPush] | None = None  # by the lines file, oldest first
        self._used = 0
        self._writing: Path | None = None  # the hour's folder that a push is being written to

    @property
    def root(self) -> Path:
        """What pushes' folders are relative to."""
        return self._root

    def uri(self, folder: str) -> str:
        """See Destination."""
        return (self._root / folder).as_uri()

    def reachable(self) -> bool:
        """See Destination."""
        return True

    def store(self, push: Push) -> None:
        """See Destination. Raises StorageError; nothing of the push counts then."""
        hour = self._root / push.folder
        lines = hour / f"{push.name}.jsonl"
        with self._lock:
            pushes = self._opened()
            self._make_room(pushes, push.files.size_bytes)
            _make_folder(hour)
            self._writing = hour
        written = [lines, *(hour / path for path in push.files.raw)]
        try:
            for path, data in push.files.raw.items():
                self._put(hour / path, data)
            # The line comes last: what it refers to is there.
            self._put(lines, push.files.lines)
        except StorageError:
            _remove(written)
            raise
        finally:
            self._writing = None
        with self._lock:
            before = pushes.get(lines)
            self._used += push.files.size_bytes - (before.size_bytes if before else 0)
            pushes[lines] = StoredPush(tuple(written), push.files.size_bytes, time.time(), push.sampled)

    def expire(self) -> None:
        """See Destination. Raises StorageError."""
        with self._lock:
            if self._pushes is not None or is_ours(self._area):
                self._make_room(self._opened(), 0)

    def close(self) -> None:
        """See Destination."""

    def pushes(self) -> list[StoredPush]:
        """What is stored, oldest first. Raises StorageError."""
        with self._lock:
            return list(self._opened().values())

    def remove(self, push: StoredPush) -> None:
        """It is safe elsewhere."""
        with self._lock:
            self._forget(self._opened(), push)

    def _put(self, path: Path, data: bytes) -> None:
        """Write durably, with the folders above."""
        _make_folder(path.parent)
        self._write(path, data)

    def _opened(self) -> dict[Path, StoredPush]:
        """Find what earlier runs of ours left, and remove what they did not finish."""
        if self._pushes is None:
            try:
                self._area.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._pushes = {push.files[0]: push for push in _found(self._area, inherited(self._area))}
            except OSError as error:
                raise StorageError(f"{self._area}: cannot keep captured data here: {error.strerror}") from error
            self._used = sum(push.size_bytes for push in self._pushes.values())
        return self._pushes

    def _make_room(self, pushes: dict[Path, StoredPush], size_bytes: int) -> None:
        oldest = time.time() - self._limit_seconds
        going = list(itertools.takewhile(lambda push: push.stored_at < oldest, pushes.values()))
        excess = self._used + size_bytes - sum(push.size_bytes for push in going) - self._limit_bytes
        younger = itertools.islice(pushes.values(), len(going), None)
        for push in _least_first(younger) if excess > 0 else ():
            going.append(push)
            excess -= push.size_bytes
            if excess <= 0:
                break
        if not going:
            return
        count = sum(count_lines(push.files[0]) for push in going)
        log.warning("captures: %d of the oldest on the disk dropped to stay within its bounds", count)
        self._on_dropped(count)
        for push in going:
            self._forget(pushes, push)

    def _forget(self, pushes: dict[Path, StoredPush], push: StoredPush) -> None:
        if pushes.pop(push.files[0], None) is not None:
            self._used -= push.size_bytes
            _remove(push.files)
            self._remove_empty({path.parent for path in push.files})

    def _remove_empty(self, folders: Iterable[Path]) -> None:
        """And those above that have become empty: each takes a block of the disk, and a look at every start."""
        for leaf in folders:
            for folder in (leaf, *leaf.parents):
                if folder == self._area or (self._writing and folder.is_relative_to(self._writing)):
                    break
                try:
                    folder.rmdir()
                except OSError:
                    break  # not empty


def _least_first(pushes: Iterable[StoredPush]) -> Iterator[StoredPush]:
    """Sampled-normal pushes by age, then the others by age; looks into files only as far as it is asked."""
    others = []
    for push in pushes:
        if push.is_sampled():
            yield push
        else:
            others.append(push)
    yield from others


def _first_line_is_sampled(path: Path) -> bool:
    """All captures of a file are of one importance."""
    try:
        with path.open("rb") as file:
            line = json.loads(file.readline())
    except (OSError, ValueError):
        return False
    return isinstance(line, dict) and is_sampled_line(line, path.parent)


def _found(root: Path, strangers: Container[bytes]) -> Iterable[StoredPush]:
    """Pushes by age; half-written files and raw files without their lines are removed. Pushes of `strangers` are not looked at."""
    groups: dict[str, list[Path]] = defaultdict(list)
    for folder, _, names in os.walk(root):
        for name in names:
            ours = _OURS.fullmatch(name)
            if ours is None or bytes.fromhex(ours["push"]) in strangers:
                continue
            if ours["half"]:
                _remove([Path(folder, name)])
            else:
                groups[ours["push"]].append(Path(folder, name))
    aged: list[StoredPush] = []
    for paths in groups.values():
        lines = [path for path in paths if path.suffix == ".jsonl"]
        if not lines:
            _remove(paths)
            continue
        ordered = (*lines, *(path for path in paths if path not in lines))
        sizes = [path.stat() for path in ordered]
        aged.append(StoredPush(ordered, sum(size.st_size for size in sizes), sizes[0].st_mtime))
    return sorted(aged, key=lambda push: push.stored_at)


def _make_folder(wanted: Path) -> None:
    missing = [folder for folder in (wanted, *wanted.parents) if not folder.exists()]
    try:
        wanted.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in missing:
            sync_folder(folder.parent)
    except OSError as error:
        raise StorageError(f"{wanted}: cannot make the folder: {error.strerror}") from error


def _remove(files: Iterable[Path]) -> None:
    for path in files:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("captures: %s cannot be removed: %s", path, error.strerror)


def count_lines(path: Path) -> int:
    """How many captures a lines file holds; 0 when it is gone."""
    try:
        return path.read_bytes().count(b"\n")
    except OSError:
        return 0
