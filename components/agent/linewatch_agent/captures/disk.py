"""Captured files on disk, in the original's key layout, bounded in bytes: the oldest push goes first."""

import logging
import os
import re
import secrets
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from linewatch_common.errors import StorageError
from linewatch_common.files import sync_folder, write_atomically

from linewatch_agent.captures.lines import AcceptedCapture, LineWriter, Origin

log = logging.getLogger(__name__)

_OURS = re.compile(r"([0-9a-f]{32})(\.jsonl|-\d+\..+)")


@dataclass(frozen=True, slots=True)
class _Push:
    """The files of one push; the lines file first."""

    files: tuple[Path, ...]
    size_bytes: int


class CaptureDisk:
    """`<root>/<prefix>/<fleet>/<model>/YYYY/MM/DD/HH/<32 hex>.jsonl`, raw data below the hour. Used by one thread."""

    def __init__(self, root: Path, prefix: str, origin: Origin, embed_limit: int, limit_bytes: int) -> None:
        self._root = root / prefix / origin.fleet
        self._origin = origin
        self._embed_limit = embed_limit
        self._limit_bytes = limit_bytes
        self._pushes: deque[_Push] = deque()
        self._used = 0

    def open(self) -> None:
        """Find what earlier runs left, and remove what they did not finish. Raises StorageError."""
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._pushes = deque(_found(self._root))
        except OSError as error:
            raise StorageError(f"{self._root}: cannot keep captured data here: {error.strerror}") from error
        self._used = sum(push.size_bytes for push in self._pushes)

    def store(self, captures: list[AcceptedCapture], on_dropped: Callable[[int], None]) -> None:
        """Write the captures (all of one model) as one push; returns when it is durable.

        `on_dropped` is told how many older captures had to go. Raises StorageError; nothing of the push counts then.
        """
        hour = self._root / captures[0].model_name / f"{datetime.now(tz=UTC):%Y/%m/%d/%H}"
        name = secrets.token_hex(16)
        files = LineWriter(self._origin, self._embed_limit, hour, name).write(captures)
        if files.size_bytes > self._limit_bytes:
            raise StorageError(
                f"{files.size_bytes} bytes of captures at once, CaptureDiskMB admits {self._limit_bytes}"
            )
        self._make_room(files.size_bytes, on_dropped)
        written = [hour / f"{name}.jsonl", *(hour / path for path in files.raw)]
        try:
            for path, data in files.raw.items():
                _write(hour / path, data)
            # The line comes last: what it refers to is there.
            _write(written[0], files.lines)
        except StorageError:
            _remove(written)
            raise
        self._pushes.append(_Push(tuple(written), files.size_bytes))
        self._used += files.size_bytes

    def _make_room(self, size_bytes: int, on_dropped: Callable[[int], None]) -> None:
        while self._pushes and self._used + size_bytes > self._limit_bytes:
            push = self._pushes.popleft()
            on_dropped(_count_lines(push.files[0]))
            _remove(push.files)
            self._used -= push.size_bytes


def _found(root: Path) -> Iterable[_Push]:
    """Pushes by age; half-written files and raw files without their lines are removed."""
    groups: dict[str, list[Path]] = defaultdict(list)
    for folder, _, names in os.walk(root):
        for name in names:
            ours = _OURS.fullmatch(name)
            if ours is not None:
                groups[ours.group(1)].append(Path(folder, name))
            elif name.startswith("."):
                _remove([Path(folder, name)])
    aged: list[tuple[float, _Push]] = []
    for paths in groups.values():
        lines = [path for path in paths if path.suffix == ".jsonl"]
        if not lines:
            _remove(paths)
            continue
        ordered = (*lines, *(path for path in paths if path not in lines))
        sizes = [path.stat() for path in ordered]
        aged.append((sizes[0].st_mtime, _Push(ordered, sum(size.st_size for size in sizes))))
    return (push for _, push in sorted(aged, key=lambda item: item[0]))


def _write(path: Path, data: bytes) -> None:
    """Write durably, with the folders above."""
    missing = [folder for folder in (path.parent, *path.parent.parents) if not folder.exists()]
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in missing:
            sync_folder(folder.parent)
    except OSError as error:
        raise StorageError(f"{path.parent}: cannot make the folder: {error.strerror}") from error
    write_atomically(path, data)


def _remove(files: Iterable[Path]) -> None:
    for path in files:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("captures: %s cannot be removed: %s", path, error.strerror)


def _count_lines(path: Path) -> int:
    try:
        return path.read_bytes().count(b"\n")
    except OSError:
        return 0
