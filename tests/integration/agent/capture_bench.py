"""Captures with their parts in one folder, on disks that can be slow, or away."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from linewatch_agent.captures import AuxiliaryItem, CaptureRequest, Captures, CaptureSettings, CaptureState, Encoding
from linewatch_agent.captures.disk import CaptureDisk
from linewatch_agent.captures.finished import FinishedCaptures
from linewatch_agent.captures.lines import AcceptedCapture, Origin
from linewatch_agent.captures.pushes import Push, push_of
from linewatch_agent.captures.request import Moment
from linewatch_agent.captures.segments import Content, FileShelf, Segment, SegmentHeader, Shelf
from linewatch_agent.captures.spool import Spool, SpoolSettings
from linewatch_agent.captures.timing import USUAL, Timing
from linewatch_agent.counters import Counters
from linewatch_common.errors import UnavailableError

from tests.unit.agent.support import wait_until

ORIGIN = Origin("fleet", "device")
HEADER = SegmentHeader("model", sampled=False, created_ns=time.time_ns(), origin=ORIGIN, prefix="prefix", embed_limit=4)
SMALL, LARGE = b"12", b"123456789"
NORMAL = (AuxiliaryItem("verdict", Encoding.JSON, b'"pass"'),)


def make_disk(
    root: Path, limit_bytes: int = 10**9, dropped: list[int] | None = None, limit_seconds: float = 1e9, **parts: Any
) -> CaptureDisk:
    on_dropped = ([] if dropped is None else dropped).append
    return CaptureDisk(root, "prefix/fleet", limit_bytes, limit_seconds, on_dropped, **parts)


def accepted(capture_id: str = "c", **parts: Any) -> AcceptedCapture:
    return AcceptedCapture(CaptureRequest("m", capture_id, **parts), Moment(0, 0), "model", "1.0.0")


def make_push(disk: CaptureDisk, *captures: AcceptedCapture, sampled: bool = False) -> Push:
    name = f"{hash(captures[0].request.capture_id) % 16**32:032x}"
    return push_of(Content(replace(HEADER, sampled=sampled), list(captures), name), disk)


def stored_line(root: Path, **parts: Any) -> dict[str, Any]:
    """The line of a capture with these parts, stored below `root`."""
    disk = make_disk(root)
    disk.store(make_push(disk, accepted(**parts)))
    [file] = root.rglob("*.jsonl")
    line: dict[str, Any] = json.loads(file.read_text())
    return line


def stored_ids(root: Path) -> list[str]:
    lines = [line for file in root.rglob("*.jsonl") for line in file.read_text().splitlines()]
    return sorted(json.loads(line)["eventMetadata"]["eventId"] for line in lines)


def end_owner(folder: Path) -> None:
    """Whoever has the spool in `folder` counts as ended: with a process its lock goes."""
    if folder.is_dir():
        (folder / "lock").unlink(missing_ok=True)


def found_by_another(folder: Path) -> list[Segment]:
    """What another process would find after this one's death."""
    end_owner(folder)
    return FileShelf(folder).open()


class HeldDisk(CaptureDisk):
    """A real disk that can be slow, or away."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, "prefix/fleet", 10**9, 1e9, lambda _count: None)
        self.go = threading.Event()
        self.away = False

    def reachable(self) -> bool:
        return not self.away

    def store(self, push: Push) -> None:
        if self.away:
            raise UnavailableError("away")
        self.go.wait(10)
        super().store(push)


class Gate:
    """`reached` says that somebody stands before it."""

    def __init__(self) -> None:
        self._way = threading.Event()
        self._way.set()
        self.reached = threading.Event()

    @contextmanager
    def shut(self) -> Iterator[None]:
        self._way.clear()
        try:
            yield
        finally:
            self._way.set()

    def go_through(self) -> None:
        if not self._way.is_set():
            self.reached.set()
            self._way.wait(20)


class HeldShelf:
    """A real folder of segments on a disk that can hang. A Shelf."""

    durable = True

    def __init__(self, folder: Path) -> None:
        self._files = FileShelf(folder)
        self.opening, self.syncing = Gate(), Gate()

    def open(self) -> list[Segment]:
        self.opening.go_through()
        return self._files.open()

    def create(self, header: SegmentHeader) -> Segment:
        return _HeldSegment(self._files.create(header), self.syncing)


class _HeldSegment:
    def __init__(self, segment: Segment, syncing: Gate) -> None:
        self.header, self.ids, self.size_bytes = segment.header, segment.ids, segment.size_bytes
        self._segment = segment
        self._syncing = syncing
        self.close, self.content, self.remove = segment.close, segment.content, segment.remove

    def append(self, capture: AcceptedCapture) -> None:
        self._segment.append(capture)
        self.size_bytes = self._segment.size_bytes

    def sync(self) -> None:
        self._syncing.go_through()
        self._segment.sync()


class Bench:
    """Captures with their parts, in one folder; made again as by a restart. Without `shelf` the spool is files."""

    def __init__(
        self,
        root: Path,
        disk: CaptureDisk | None = None,
        *,
        shelf: Shelf | None = None,
        timing: Timing = USUAL,
        limit_bytes: int = 10**9,
        **settings: Any,
    ) -> None:
        self.disk = disk or make_disk(root / "out")
        self.counters = Counters()
        self.spool_folder = root / "spool"
        end_owner(self.spool_folder)
        shelf = shelf or FileShelf(self.spool_folder)
        self.spool = Spool(shelf, SpoolSettings(ORIGIN, "prefix", 4, limit_bytes, limit_seconds=1e9))
        finished = FinishedCaptures(self.spool_folder / "finished" if shelf.durable else None)
        usual: dict[str, Any] = {"buffer_size": 4, "buffer_bytes": 1000, "batch_size": 2, "period": 0.1}
        bounds = CaptureSettings(**(usual | settings))
        self.captures = Captures(self.spool, finished, self.disk, bounds, self.counters, timing=timing)

    def take(self, capture_id: str, **parts: Any) -> None:
        self.captures.take(CaptureRequest("m", capture_id, **parts), None)

    def wait_for(self, capture_id: str, state: CaptureState) -> None:
        wait_until(lambda: self.captures.state_of(capture_id) is state)


@contextmanager
def running_bench(root: Path, disk: CaptureDisk | None = None, **settings: Any) -> Iterator[Bench]:
    bench = Bench(root, disk, **settings)
    bench.captures.start()
    try:
        yield bench
    finally:
        if isinstance(disk, HeldDisk):
            disk.go.set()
        bench.captures.stop()
