"""Captured data: lines, files, bounds, states."""

import base64
import errno
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from linewatch_agent.captures import (
    AuxiliaryItem,
    CapturedTensor,
    CaptureRequest,
    Captures,
    CaptureSettings,
    CaptureState,
    Encoding,
)
from linewatch_agent.captures.disk import CaptureDisk
from linewatch_agent.captures.finished import FinishedCaptures
from linewatch_agent.captures.importance import is_sampled_normal
from linewatch_agent.captures.intake import UNSYNCED_SECONDS, WAITING
from linewatch_agent.captures.lines import AcceptedCapture, Origin
from linewatch_agent.captures.periodic import PeriodicUpload
from linewatch_agent.captures.pushes import Push, push_of
from linewatch_agent.captures.request import Moment
from linewatch_agent.captures.segments import Content, FileShelf, MemoryShelf, SegmentHeader
from linewatch_agent.captures.spool import Spool, SpoolSettings
from linewatch_agent.counters import Counters
from linewatch_agent.errors import CaptureBufferFullError, CaptureExistsError, NoNetworkError, UnknownCaptureError
from linewatch_common.errors import StorageError, UnavailableError
from linewatch_common.files import write_atomically

from tests.disks import file_size_limit
from tests.unit.agent.support import wait_until

ORIGIN = Origin("fleet", "device")
HEADER = SegmentHeader("model", sampled=False, created_ns=time.time_ns(), origin=ORIGIN, prefix="prefix", embed_limit=4)
SMALL, LARGE = b"12", b"123456789"
NORMAL = (AuxiliaryItem("verdict", Encoding.JSON, b'"pass"'),)


def _disk(
    root: Path, limit_bytes: int = 10**9, dropped: list[int] | None = None, limit_seconds: float = 1e9
) -> CaptureDisk:
    return CaptureDisk(root, "prefix/fleet", limit_bytes, limit_seconds, ([] if dropped is None else dropped).append)


def _accepted(capture_id: str = "c", **parts: Any) -> AcceptedCapture:
    return AcceptedCapture(CaptureRequest("m", capture_id, **parts), Moment(0, 0), "model", "1.0.0")


def _push(disk: CaptureDisk, *captures: AcceptedCapture, sampled: bool = False) -> Push:
    name = f"{hash(captures[0].request.capture_id) % 16**32:032x}"
    return push_of(Content(replace(HEADER, sampled=sampled), list(captures), name), disk)


def _stored(root: Path, **parts: Any) -> dict[str, Any]:
    disk = _disk(root)
    disk.store(_push(disk, _accepted(**parts)))
    [file] = root.rglob("*.jsonl")
    line: dict[str, Any] = json.loads(file.read_text())
    return line


def _ids(root: Path) -> list[str]:
    lines = [line for file in root.rglob("*.jsonl") for line in file.read_text().splitlines()]
    return sorted(json.loads(line)["eventMetadata"]["eventId"] for line in lines)


def test_a_line_has_the_originals_fields(tmp_path: Path) -> None:
    line = _stored(tmp_path, inputs=(CapturedTensor("t", "FLOAT32", (1, 3), SMALL),))
    assert line == {
        "deviceFleetInputs": [
            {
                "name": "t",
                "mode": "Input",
                "observedContentType": "Tensor[FLOAT32; 1, 3]",
                "encoding": "BASE64",
                "data": base64.b64encode(SMALL).decode(),
            }
        ],
        "deviceFleetOutputs": [],
        "deviceFleetAuxiliaryInputs": [],
        "deviceFleetAuxiliaryOutputs": [],
        "eventMetadata": {
            "deviceFleetName": "fleet",
            "deviceId": "device",
            "eventId": "c",
            "inferenceTime": "1970-01-01T00:00:00",
            "modelName": "model",
            "modelVersion": "1.0.0",
        },
        "eventVersion": "0",
    }


def test_keys_are_laid_out_as_the_originals(tmp_path: Path) -> None:
    _stored(tmp_path)
    [file] = tmp_path.rglob("*.jsonl")
    key = file.relative_to(tmp_path).as_posix()
    assert re.fullmatch(r"prefix/fleet/model/\d{4}/\d\d/\d\d/\d\d/[0-9a-f]{32}\.jsonl", key)


@pytest.mark.parametrize(("field", "place"), [("inputs", "input-tensors"), ("outputs", "output-tensors")])
def test_large_tensors_lie_beside_the_line(tmp_path: Path, field: str, place: str) -> None:
    line = _stored(tmp_path, **{field: (CapturedTensor("t", "UINT8", (9,), LARGE),)})
    [entry] = line["deviceFleetInputs" if field == "inputs" else "deviceFleetOutputs"]
    assert (entry["encoding"], "data" in entry) == ("NONE", False)
    path = Path(entry["data-ref"].removeprefix("file://"))
    assert (path.read_bytes(), path.parent.name, path.parent.parent.name) == (LARGE, place, "raw-data")


@pytest.mark.parametrize(
    ("item", "content_type", "encoding", "data"),
    [
        (AuxiliaryItem("a.jpg", Encoding.BASE64, SMALL), "jpg", "BASE64", "MTI="),
        (AuxiliaryItem("a.mask.png", Encoding.BASE64, SMALL), "mask.png", "BASE64", "MTI="),
        (AuxiliaryItem("Input-1", Encoding.JSON, b"{}"), "json", "JSON", "{}"),
        (AuxiliaryItem("Input-1", Encoding.CSV, b"1,2"), "csv", "CSV", "1,2"),
        (AuxiliaryItem("Input-1", Encoding.JSON, b"\xff"), "json", "BASE64", "/w=="),
        (AuxiliaryItem("a.jpg", Encoding.NONE, SMALL), "jpg", "NONE", None),
        (AuxiliaryItem("a./../x", Encoding.NONE, SMALL), "/../x", "NONE", None),
        (AuxiliaryItem("a.jpg", Encoding.JSON, LARGE), "jpg", "NONE", None),
    ],
)
def test_auxiliary_data(
    tmp_path: Path, item: AuxiliaryItem, content_type: str, encoding: str, data: str | None
) -> None:
    [entry] = _stored(tmp_path, auxiliary_inputs=(item,))["deviceFleetAuxiliaryInputs"]
    assert (entry["observedContentType"], entry["encoding"], entry.get("data")) == (content_type, encoding, data)
    if data is None:
        path = Path(entry["data-ref"].removeprefix("file://"))
        assert path.read_bytes() == item.data
        assert path.is_relative_to(tmp_path)


@pytest.mark.parametrize(
    ("seconds", "text"), [(-62_135_596_800, "0001-01-01T00:00:00"), (253_402_300_799, "9999-12-31T23:59:59")]
)
def test_the_first_and_the_last_moment(seconds: int, text: str) -> None:
    assert Moment(seconds, 0).text() == text


def test_the_oldest_normal_push_is_dropped_for_room_first_and_counted(tmp_path: Path) -> None:
    dropped: list[int] = []
    kept = _push(_disk(tmp_path), _accepted("kept"))
    normal = _push(_disk(tmp_path), _accepted("normal", auxiliary_inputs=NORMAL), sampled=True)
    both = kept.files.size_bytes + normal.files.size_bytes
    disk = _disk(tmp_path, both, dropped)
    disk.store(kept)
    disk.store(normal)
    disk = _disk(tmp_path, both, dropped)  # a restart: what is normal must be read from the lines
    disk.store(_push(disk, _accepted("later")))
    assert (_ids(tmp_path), dropped) == (["kept", "later"], [1])
    disk.store(_push(disk, _accepted("last")))
    assert (_ids(tmp_path), dropped) == (["last", "later"], [1, 1])


def test_the_same_push_again_changes_nothing(tmp_path: Path) -> None:
    disk = _disk(tmp_path)
    for _ in range(2):
        disk.store(_push(disk, _accepted()))
    assert (_ids(tmp_path), len(disk.pushes())) == (["c"], 1)


def test_what_is_too_old_goes(tmp_path: Path) -> None:
    dropped: list[int] = []
    disk = _disk(tmp_path, dropped=dropped, limit_seconds=-1)
    disk.store(_push(disk, _accepted("a")))
    disk.store(_push(disk, _accepted("b")))
    assert (_ids(tmp_path), dropped) == (["b"], [1])


def test_what_is_too_old_goes_without_a_new_push(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("linewatch_agent.captures.sender.IDLE_SECONDS", 0.05)
    before = _disk(tmp_path / "out")
    before.store(_push(before, _accepted("old")))
    [file] = (tmp_path / "out").rglob("*.jsonl")
    os.utime(file, (0, 0))
    dropped: list[int] = []
    with _bench(tmp_path, _disk(tmp_path / "out", dropped=dropped, limit_seconds=1e6)):
        wait_until(lambda: not file.exists())
    assert dropped == [1]
    assert "1 of the oldest" in caplog.text


def test_an_idle_agent_touches_no_folder_that_it_never_wrote_to(tmp_path: Path) -> None:
    _disk(tmp_path / "out").expire()
    assert not (tmp_path / "out").exists()


def test_what_goes_leaves_no_empty_folders(tmp_path: Path) -> None:
    disk = _disk(tmp_path)
    tensor = CapturedTensor("t", "UINT8", (9,), LARGE)
    old = replace(HEADER, created_ns=0)
    for name in ("1" * 32, "2" * 32):
        disk.store(push_of(Content(old, [_accepted(inputs=(tensor,))], name), disk))
    [hour] = {file.parent for file in tmp_path.rglob("*.jsonl")}
    first, second = disk.pushes()
    disk.remove(first)
    assert hour.is_dir()
    disk.remove(second)
    assert list((tmp_path / "prefix/fleet").iterdir()) == [tmp_path / "prefix/fleet/.linewatch-inherited"]


def test_a_folder_that_is_being_written_to_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The upload removes a push of the same hour between the making of a folder and of the first file in it."""
    disk = _disk(tmp_path)
    tensor = CapturedTensor("t", "UINT8", (9,), LARGE)
    disk.store(_push(disk, _accepted("a", inputs=(tensor,))))
    [uploaded] = disk.pushes()

    def removing(path: Path, data: bytes) -> None:
        disk.remove(uploaded)
        write_atomically(path, data)

    monkeypatch.setattr("linewatch_agent.captures.disk.write_atomically", removing)
    disk.store(_push(disk, _accepted("b", inputs=(tensor,))))
    assert _ids(tmp_path) == ["b"]


class ReturningStore:
    """Away at first."""

    bucket = "bucket"

    def __init__(self) -> None:
        self.tries = 0

    def put(self, key: str, data: bytes) -> None:
        self.tries += 1
        if self.tries < 3:
            raise UnavailableError("away")

    def reachable(self) -> bool:
        return True


def test_an_upload_says_once_that_it_waits_and_once_that_it_goes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr("linewatch_agent.captures.periodic.FIRST_PAUSE", 0.01)
    disk = _disk(tmp_path)
    disk.store(_push(disk, _accepted()))
    upload = PeriodicUpload(disk, ReturningStore(), 0.01, Counters())
    upload.start()
    wait_until(lambda: not disk.pushes())
    upload.stop()
    said = [record.message for record in caplog.records if record.levelname != "DEBUG"]
    assert said == ["captures stay on disk: away", "captures are uploaded again"]


def test_what_the_original_left_is_nobodys_room(tmp_path: Path) -> None:
    """Its files are named as ours, in the same folders; whoever moves from one agent to the other has years of them."""
    hour = tmp_path / "prefix/fleet/score/2021/05/04/13"
    files = [
        hour / f"{'f' * 32}.jsonl",
        hour / f"raw-data/input-tensors/{'e' * 32}-0.bin",
        hour / f".{'d' * 32}.jsonl.0123abcd",
        hour / ".keep",
    ]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(LARGE)
        os.utime(file, (0, 0))
    dropped: list[int] = []
    for capture_id in ("a", "b", "c"):  # each after a restart
        disk = _disk(tmp_path, limit_bytes=600, dropped=dropped, limit_seconds=86_400)
        disk.store(_push(disk, _accepted(capture_id)))
        assert hour not in [push.files[0].parent for push in disk.pushes()]
    assert [file.read_bytes() for file in files] == [LARGE] * 4
    assert dropped, "our own went for room"


def test_a_restart_knows_what_lies_there_and_removes_what_is_half(tmp_path: Path) -> None:
    line = _stored(tmp_path, inputs=(CapturedTensor("t", "UINT8", (9,), LARGE),))
    [file] = tmp_path.rglob("*.jsonl")
    half = file.with_name("." + file.name + ".0123")
    half.write_text("{")
    orphan = file.parent / "raw-data" / "input-tensors" / f"{'0' * 32}-0.bin"
    orphan.write_bytes(LARGE)
    stranger = tmp_path / "prefix" / "fleet" / "mine.txt"
    stranger.write_text("not ours")
    dropped: list[int] = []
    disk = _disk(tmp_path, limit_bytes=600, dropped=dropped)
    disk.store(_push(disk, _accepted("later")))
    assert (half.exists(), orphan.exists(), stranger.exists()) == (False, False, True)
    assert dropped == [1]
    assert not file.exists()
    assert not Path(line["deviceFleetInputs"][0]["data-ref"].removeprefix("file://")).exists()


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("verdict", b"pass", True),
        ("verdict.json", b'{"verdict": "pass"}', True),
        ("result.json", b'{"outcome": "pass", "label": "fail"}', False),
        ("label", b"scratch", False),
        ("sampled", b"true", True),
        ("picture.jpg", b"pass", False),
        ("result.json", b"[1]", False),
    ],
)
def test_what_says_of_itself_that_it_is_normal(name: str, data: bytes, expected: bool) -> None:
    item = AuxiliaryItem(name, Encoding.BASE64, data)
    assert is_sampled_normal(_accepted(auxiliary_outputs=(item,)).request) is expected
    assert is_sampled_normal(_accepted(auxiliary_outputs=(item,), auxiliary_inputs=NORMAL).request) is (
        expected or name in ("picture.jpg",) or data == b"[1]"
    )


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


class Bench:
    """Captures with their parts, in one folder; made again as by a restart."""

    def __init__(self, root: Path, disk: CaptureDisk | None = None, *, spool: bool = True, **settings: Any) -> None:
        self.disk = disk or _disk(root / "out")
        self.counters = Counters()
        self.spool_folder = root / "spool"
        bounds = {"limit_bytes": settings.pop("limit_bytes", 10**9), "limit_seconds": 1e9}
        shelf = FileShelf(self.spool_folder) if spool else MemoryShelf()
        self.spool = Spool(shelf, SpoolSettings(ORIGIN, "prefix", 4, **bounds))
        finished = FinishedCaptures(self.spool_folder / "finished" if spool else None)
        usual: dict[str, Any] = {"buffer_size": 4, "buffer_bytes": 1000, "batch_size": 2, "period": 0.1}
        self.captures = Captures(self.spool, finished, self.disk, CaptureSettings(**(usual | settings)), self.counters)

    def take(self, capture_id: str, **parts: Any) -> None:
        self.captures.take(CaptureRequest("m", capture_id, **parts), None)

    def wait_for(self, capture_id: str, state: CaptureState) -> None:
        wait_until(lambda: self.captures.state_of(capture_id) is state)


@contextmanager
def _bench(root: Path, disk: CaptureDisk | None = None, **settings: Any) -> Iterator[Bench]:
    bench = Bench(root, disk, **settings)
    bench.captures.start()
    try:
        yield bench
    finally:
        if isinstance(disk, HeldDisk):
            disk.go.set()
        bench.captures.stop()


def test_success_only_after_the_destination_has_it(tmp_path: Path) -> None:
    disk = HeldDisk(tmp_path)
    with _bench(tmp_path, disk) as bench:
        bench.take("c")
        wait_until(lambda: bench.spool._sending is not None)
        assert bench.captures.state_of("c") is CaptureState.IN_PROGRESS
        disk.go.set()
        bench.wait_for("c", CaptureState.SUCCESS)
        with pytest.raises(CaptureExistsError):
            bench.take("c")
        with pytest.raises(UnknownCaptureError):
            bench.captures.state_of("d")
    counts = bench.counters.snapshot()
    assert (counts["captures_taken"], counts["captures_stored"]) == (1, 1)


def test_a_capture_that_was_answered_lies_in_the_spool(tmp_path: Path) -> None:
    with _bench(tmp_path, period=1000) as bench:
        bench.take("c")
        assert [segment.ids for segment in _found(bench.spool_folder)] == [["c"]]


def _found(folder: Path) -> list[Any]:
    """What another process would find after this one's death (whose lock would be gone)."""
    shelf = FileShelf(folder)
    shelf._lock = 0
    return shelf.open()


def test_a_restart_forgets_nothing_and_sends_nothing_twice(tmp_path: Path) -> None:
    away = HeldDisk(tmp_path / "out")
    away.away = True
    with _bench(tmp_path, away) as bench:
        for number in range(5):
            bench.take(f"c{number}")
            wait_until(lambda: bench.captures._held.count < 4)
    with _release_lock(bench), _bench(tmp_path) as again:
        for number in range(5):
            again.wait_for(f"c{number}", CaptureState.SUCCESS)
        with pytest.raises(CaptureExistsError):
            again.take("c0")
    assert _ids(tmp_path / "out") == [f"c{number}" for number in range(5)]
    with _release_lock(again), _bench(tmp_path) as third:
        wait_until(lambda: third.captures._open)
        assert third.captures.state_of("c0") is CaptureState.SUCCESS


@contextmanager
def _release_lock(bench: Bench) -> Iterator[None]:
    """As the end of the process does."""
    os.close(bench.spool._shelf._lock)  # type: ignore[attr-defined]  # the file shelf's
    yield


def test_killed_between_delivery_and_removal(tmp_path: Path) -> None:
    """Before the note of delivery: sent again, the same. After it: not sent again."""
    shelf = FileShelf(tmp_path / "spool")
    shelf.open()
    segments = [shelf.create(HEADER) for _ in range(2)]
    for segment, capture_id in zip(segments, ("a", "b"), strict=True):
        segment.append(_accepted(capture_id))
    disk = _disk(tmp_path / "out")
    disk.store(push_of(segments[0].content(), disk))
    FinishedCaptures(tmp_path / "spool" / "finished").add(["b"], CaptureState.SUCCESS)
    bench = Bench(tmp_path)
    bench.spool._shelf._lock = 0  # type: ignore[attr-defined]  # the other's was released by its end
    bench.captures.start()
    bench.wait_for("a", CaptureState.SUCCESS)
    bench.captures.stop()
    assert _ids(tmp_path / "out") == ["a"]
    assert _found(tmp_path / "spool") == []


@pytest.mark.parametrize("damage", ["cut", "flipped", "zeros"])
def test_a_power_cut_costs_only_what_was_not_synced(tmp_path: Path, damage: str) -> None:
    shelf = FileShelf(tmp_path / "spool")
    shelf.open()
    segment = shelf.create(HEADER)
    segment.append(_accepted("whole"))
    whole = segment.size_bytes
    segment.append(_accepted("torn"))
    [file] = (tmp_path / "spool").glob("*.spool")
    data = bytearray(file.read_bytes())
    if damage == "cut":
        data = data[:-3]
    elif damage == "flipped":
        data[-3] ^= 1
    else:
        data[whole:] = bytes(len(data) - whole)
    file.write_bytes(data)
    [found] = _found(tmp_path / "spool")
    assert [capture.request.capture_id for capture in found.content().captures] == ["whole"]


def test_a_spool_is_one_agents(tmp_path: Path) -> None:
    FileShelf(tmp_path).open()
    with pytest.raises(StorageError, match="another agent"):
        FileShelf(tmp_path).open()


def test_a_full_spool_drops_the_oldest_normal_capture_first_and_says_so(tmp_path: Path) -> None:
    away = HeldDisk(tmp_path / "out")
    away.away = True
    with _bench(tmp_path, away, limit_bytes=4 * 4096, batch_size=1) as bench:
        for capture_id, parts in (("k1", ()), ("n1", NORMAL), ("k2", ()), ("n2", NORMAL), ("k3", ()), ("k4", ())):
            bench.take(capture_id, auxiliary_inputs=parts)
            wait_until(lambda: bench.captures._held.count == 0)
        states = {name: bench.captures.state_of(name) for name in ("k1", "n1", "k2", "n2", "k3", "k4")}
    failed = {name for name, state in states.items() if state is CaptureState.FAILURE}
    assert (failed, bench.counters.snapshot()["captures_dropped"]) == ({"n1", "n2"}, 2)


def test_a_capture_that_cannot_fit_costs_none_of_those_that_wait(tmp_path: Path) -> None:
    away = HeldDisk(tmp_path / "out")
    away.away = True
    with _bench(tmp_path, away, limit_bytes=5 * 4096, buffer_bytes=10**6, batch_size=1) as bench:
        for capture_id in ("k1", "k2"):
            bench.take(capture_id)
            wait_until(lambda: bench.captures._held.count == 0)
        with pytest.raises(CaptureBufferFullError, match="CaptureDiskMB"):
            bench.take("c", inputs=(CapturedTensor("t", "UINT8", (30_000,), bytes(30_000)),))
        assert bench.captures.state_of("k1") is CaptureState.IN_PROGRESS
        assert bench.counters.snapshot()["captures_dropped"] == 0


def test_what_grows_fills_the_buffer(tmp_path: Path) -> None:
    with _bench(tmp_path, period=1000, batch_size=4, buffer_size=3) as bench:
        for number in range(3):
            bench.take(f"c{number}")
        with pytest.raises(CaptureBufferFullError, match="3 of 3 requests"):
            bench.take("c3")
        assert bench.counters.snapshot()["captures_refused"] == 1
    with _release_lock(bench), _bench(tmp_path, period=1000, batch_size=4, buffer_bytes=10) as bench:
        tensor = CapturedTensor("t", "UINT8", (9,), LARGE)
        bench.take("b0", inputs=(tensor,))
        with pytest.raises(CaptureBufferFullError, match="9 of 10 bytes"):
            bench.take("b1", inputs=(tensor,))


def test_a_capture_larger_than_everything_is_refused_and_may_be_tried_again(tmp_path: Path) -> None:
    with _bench(tmp_path, limit_bytes=5000, buffer_bytes=10**6) as bench:
        with pytest.raises(CaptureBufferFullError, match="CaptureDiskMB"):
            bench.take("c", inputs=(CapturedTensor("t", "UINT8", (6000,), bytes(6000)),))
        bench.take("c")
        bench.wait_for("c", CaptureState.SUCCESS)


def test_without_the_spool_nothing_is_taken_that_cannot_be_sent(tmp_path: Path) -> None:
    disk = HeldDisk(tmp_path / "out")
    with _bench(tmp_path, disk, spool=False, buffer_size=2, batch_size=1) as bench:
        bench.take("a")
        bench.take("b")
        with pytest.raises(CaptureBufferFullError):
            bench.take("c")
        disk.go.set()
        bench.wait_for("b", CaptureState.SUCCESS)
        disk.away = True
        with pytest.raises(NoNetworkError, match="CaptureSpool"):
            bench.take("c")
    assert not bench.spool_folder.exists()


def test_a_spool_that_comes_late(tmp_path: Path) -> None:
    blocked = tmp_path / "spool"
    blocked.write_text("a file where a folder is wanted")
    with _bench(tmp_path) as bench:
        blocked.unlink()
        bench.take("c")
        bench.wait_for("c", CaptureState.SUCCESS)


def test_a_disk_that_is_full_at_the_start_neither_holds_up_nor_loses_what_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = FileShelf(tmp_path / "spool")
    shelf.open()
    shelf.create(HEADER).append(_accepted("a"))
    FinishedCaptures(tmp_path / "spool" / "finished").add(["b"], CaptureState.SUCCESS)
    with (tmp_path / "spool" / "finished").open("a") as file:
        file.write("S c")  # cut by a power cut
    monkeypatch.setattr("linewatch_agent.captures.finished.write_atomically", _full)
    disk = HeldDisk(tmp_path / "out")
    bench = Bench(tmp_path, disk)
    bench.spool._shelf._lock = 0  # type: ignore[attr-defined]  # the other's was released by its end
    bench.captures.start()
    wait_until(lambda: bench.captures._open)
    disk.go.set()
    bench.wait_for("a", CaptureState.SUCCESS)
    monkeypatch.undo()
    bench.take("d")
    bench.wait_for("d", CaptureState.SUCCESS)
    bench.captures.stop()
    assert bench.counters.snapshot()["captures_failed"] == 0
    again = FinishedCaptures(tmp_path / "spool" / "finished")
    again.open()
    assert [again.get(each) for each in "abcd"] == [CaptureState.SUCCESS] * 2 + [None, CaptureState.SUCCESS]


def test_nothing_is_sent_before_all_is_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("linewatch_agent.captures.intake.OPEN_AGAIN_SECONDS", 0.1)
    shelf = FileShelf(tmp_path / "spool")
    shelf.open()
    shelf.create(HEADER).append(_accepted("a"))
    (tmp_path / "spool" / "finished").mkdir()  # cannot be read
    disk = HeldDisk(tmp_path / "out")
    bench = Bench(tmp_path, disk)
    bench.spool._shelf._lock = 0  # type: ignore[attr-defined]  # the other's was released by its end
    bench.captures.start()
    time.sleep(0.3)
    (tmp_path / "spool" / "finished").rmdir()
    wait_until(lambda: bench.captures._open)
    disk.go.set()
    bench.wait_for("a", CaptureState.SUCCESS)
    bench.captures.stop()
    assert bench.counters.snapshot()["captures_failed"] == 0


def test_a_note_that_a_full_disk_took_half_of_spoils_no_other(tmp_path: Path) -> None:
    finished = FinishedCaptures(tmp_path / "finished")
    finished.open()
    finished.add(["before"], CaptureState.SUCCESS)
    with file_size_limit(12), pytest.raises(StorageError):
        finished.add(["refused"], CaptureState.SUCCESS)
    finished.add(["after"], CaptureState.SUCCESS)
    again = FinishedCaptures(tmp_path / "finished")
    again.open()
    assert [again.get(each) for each in ("before", "refused", "after")] == [CaptureState.SUCCESS] * 3


def _full(path: Path, data: bytes) -> None:
    raise StorageError(f"{path}: cannot write {len(data)} bytes: No space left on device")


def test_a_disk_that_takes_a_part_and_does_not_let_go_of_it_costs_no_other_capture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a card that the kernel has made read-only: neither the rest nor the cut back is admitted."""
    shelf = FileShelf(tmp_path)
    shelf.open()
    segment = shelf.create(HEADER)
    segment.append(_accepted("before"))
    with monkeypatch.context() as patched, file_size_limit(segment.size_bytes + 60):
        patched.setattr(os, "ftruncate", _read_only)
        with pytest.raises(StorageError, match="cannot write"):
            segment.append(_accepted("part", inputs=(CapturedTensor("t", "UINT8", (9,), LARGE),)))
    segment.append(_accepted("after"))
    assert [capture.request.capture_id for capture in segment.content().captures] == ["before", "after"]


def _read_only(_fd: int, _size: int) -> None:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def test_foreign_and_unreadable_files_in_the_spool_hold_nobody_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = FileShelf(tmp_path / "spool")
    shelf.open()
    shelf.create(HEADER).append(_accepted("a"))
    shutil.copy(tmp_path / "spool" / "000000000000.spool", tmp_path / "spool" / "000000000000 (copy).spool")
    (tmp_path / "spool" / "000000000007.spool").mkdir()
    assert [segment.ids for segment in _found(tmp_path / "spool")] == [["a"]]
    assert "000000000007.spool" in caplog.text


def test_a_spool_that_cannot_be_opened_is_named_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("linewatch_agent.captures.intake.OPEN_AGAIN_SECONDS", 0.01)
    (tmp_path / "spool").write_text("a file where a folder is wanted")
    with _bench(tmp_path):
        time.sleep(0.3)
    assert caplog.text.count("cannot make the folder") == 1


def test_a_stop_stores_what_waits(tmp_path: Path) -> None:
    with _bench(tmp_path, period=1000, batch_size=3) as bench:
        bench.take("c")
    assert _ids(tmp_path / "out") == ["c"]


def test_ids_are_remembered_within_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("linewatch_agent.captures.finished.REMEMBERED", 3)
    finished = FinishedCaptures(tmp_path / "finished")
    finished.open()
    for number in range(20):
        finished.add([f"c{number}"], CaptureState.SUCCESS)
    again = FinishedCaptures(tmp_path / "finished")
    again.open()
    assert [again.get(f"c{number}") for number in (16, 17, 19)] == [None, CaptureState.SUCCESS, CaptureState.SUCCESS]
    assert len((tmp_path / "finished").read_text().splitlines()) <= 6


def test_nothing_is_taken_while_older_captures_are_unsynced_for_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync, go, syncing = os.fsync, threading.Event(), threading.Event()

    def slow(fd: int) -> None:
        syncing.set()
        go.wait(20)
        sync(fd)

    with _bench(tmp_path, period=1000) as bench:
        wait_until(lambda: bench.captures._open)
        monkeypatch.setattr(os, "fsync", slow)
        bench.take("a")
        assert syncing.wait(10)
        wait_until(lambda: time.monotonic() - bench.captures._unsynced_since > UNSYNCED_SECONDS)
        taking = threading.Thread(target=bench.take, args=("b",))
        taking.start()
        taking.join(0.2)
        assert taking.is_alive()
        go.set()
        taking.join(10)
        # Taken; a quick disk has it already.
        assert bench.captures.state_of("b") in (CaptureState.IN_PROGRESS, CaptureState.SUCCESS)


@pytest.mark.parametrize("hangs", ["the sync", "the note of what ended"])
def test_a_disk_that_hangs_does_not_take_all_of_the_agents_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hangs: str
) -> None:
    hanging, go = threading.Event(), threading.Event()
    add = FinishedCaptures.add

    def held(*_: object) -> None:
        hanging.set()
        go.wait(20)

    def added_late(*arguments: Any) -> None:
        held()
        add(*arguments)

    note = hangs == "the note of what ended"
    with _bench(tmp_path, period=1000, buffer_size=100, batch_size=1 if note else 50) as bench:
        wait_until(lambda: bench.captures._open)
        if note:
            monkeypatch.setattr(FinishedCaptures, "add", added_late)
        else:
            monkeypatch.setattr(os, "fsync", held)
        bench.take("a")
        assert hanging.wait(10)
        wait_until(lambda: note or time.monotonic() - bench.captures._unsynced_since > UNSYNCED_SECONDS)
        waiting = [threading.Thread(target=bench.take, args=(f"b{number}",)) for number in range(WAITING)]
        for thread in waiting:
            thread.start()
        wait_until(lambda: bench.captures._patience._value == 0)
        began = time.monotonic()
        with pytest.raises(CaptureBufferFullError, match="too slow"):
            bench.take("c")
        assert bench.captures.state_of("a") is CaptureState.IN_PROGRESS
        assert time.monotonic() - began < 2.0
        go.set()
        for thread in waiting:
            thread.join(10)
        bench.take("c")
        assert bench.counters.snapshot()["captures_refused"] == 1


def test_a_spool_that_takes_long_to_open_is_waited_for_with_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Days without a network leave thousands of files, which are read and synced one by one."""
    monkeypatch.setattr("linewatch_agent.captures.intake.ROOM_SECONDS", 0.2)
    go, opened = threading.Event(), FileShelf.open

    def slowly(shelf: FileShelf) -> Any:
        go.wait(20)
        return opened(shelf)

    monkeypatch.setattr(FileShelf, "open", slowly)
    with _bench(tmp_path) as bench:
        began = time.monotonic()
        with pytest.raises(CaptureBufferFullError, match="not open"):
            bench.take("a")
        assert time.monotonic() - began < 5.0
        go.set()
        wait_until(lambda: bench.captures._open)
        bench.take("a")
