"""Captured data: lines, files, bounds, states."""

import base64
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
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
from linewatch_agent.captures.lines import AcceptedCapture, Origin
from linewatch_agent.captures.request import Moment
from linewatch_agent.counters import Counters
from linewatch_agent.errors import CaptureBufferFullError, CaptureExistsError
from linewatch_common.errors import StorageError

from tests.unit.agent.support import wait_until

ORIGIN = Origin("fleet", "device")
SMALL, LARGE = b"12", b"123456789"


def _disk(root: Path, limit_bytes: int = 10**9) -> CaptureDisk:
    disk = CaptureDisk(root, "prefix", ORIGIN, embed_limit=4, limit_bytes=limit_bytes)
    disk.open()
    return disk


def _accepted(capture_id: str = "c", **parts: Any) -> AcceptedCapture:
    return AcceptedCapture(CaptureRequest("m", capture_id, **parts), Moment(0, 0), "model", "1.0.0")


def _stored(root: Path, **parts: Any) -> dict[str, Any]:
    _disk(root).store([_accepted(**parts)], lambda _count: None)
    [file] = root.rglob("*.jsonl")
    line: dict[str, Any] = json.loads(file.read_text())
    return line


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


def test_the_oldest_push_is_dropped_for_room_and_counted(tmp_path: Path) -> None:
    disk = _disk(tmp_path, limit_bytes=1000)
    dropped: list[int] = []
    for number in range(5):
        disk.store([_accepted(f"c{number}"), _accepted(f"d{number}")], dropped.append)
    ids = {
        json.loads(line)["eventMetadata"]["eventId"]
        for file in tmp_path.rglob("*.jsonl")
        for line in file.read_text().splitlines()
    }
    assert (ids, dropped) == ({"c4", "d4"}, [2, 2, 2, 2])


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
    disk = CaptureDisk(tmp_path, "prefix", ORIGIN, embed_limit=4, limit_bytes=600)
    disk.open()
    assert (half.exists(), orphan.exists(), stranger.exists()) == (False, False, True)
    disk.store([_accepted("later")], dropped.append)
    assert dropped == [1]
    assert not file.exists()
    assert not Path(line["deviceFleetInputs"][0]["data-ref"].removeprefix("file://")).exists()


def test_a_push_larger_than_everything_is_refused(tmp_path: Path) -> None:
    disk = _disk(tmp_path, limit_bytes=100)
    with pytest.raises(StorageError, match="CaptureDiskMB"):
        disk.store([_accepted()], lambda _count: None)


class SlowDisk(CaptureDisk):
    """Stores nothing before it is told to."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, "prefix", ORIGIN, embed_limit=4, limit_bytes=10**9)
        self.go = threading.Event()

    def store(self, captures: list[AcceptedCapture], on_dropped: Any) -> None:
        self.go.wait(10)
        super().store(captures, on_dropped)


@contextmanager
def _captures(disk: CaptureDisk, counters: Counters, **settings: Any) -> Iterator[Captures]:
    usual = {"buffer_size": 4, "buffer_bytes": 1000, "batch_size": 2, "period": 0.1}
    captures = Captures(disk, CaptureSettings(**(usual | settings)), counters)
    captures.start()
    try:
        yield captures
    finally:
        captures.stop()


def test_success_only_after_the_disk_has_it(tmp_path: Path) -> None:
    disk, counters = SlowDisk(tmp_path), Counters()
    with _captures(disk, counters) as captures:
        captures.take(CaptureRequest("m", "c"), None)
        wait_until(lambda: not captures._waiting)
        assert captures.state_of("c") is CaptureState.IN_PROGRESS
        disk.go.set()
        wait_until(lambda: captures.state_of("c") is CaptureState.SUCCESS)
    assert (counters.snapshot()["captures_taken"], counters.snapshot()["captures_stored"]) == (1, 1)


def test_what_is_being_written_still_fills_the_buffer(tmp_path: Path) -> None:
    disk, counters = SlowDisk(tmp_path), Counters()
    with _captures(disk, counters, buffer_size=3) as captures:
        for number in range(3):
            captures.take(CaptureRequest("m", f"c{number}"), None)
        wait_until(lambda: len(captures._waiting) == 1)
        with pytest.raises(CaptureBufferFullError, match="3 of 3 requests"):
            captures.take(CaptureRequest("m", "c3"), None)
        disk.go.set()
        wait_until(lambda: captures.state_of("c2") is CaptureState.SUCCESS)
        captures.take(CaptureRequest("m", "c3"), None)
    assert counters.snapshot()["captures_refused"] == 1


def test_bytes_fill_the_buffer_too(tmp_path: Path) -> None:
    disk = SlowDisk(tmp_path)
    with _captures(disk, Counters(), buffer_bytes=10) as captures:
        tensor = CapturedTensor("t", "UINT8", (9,), LARGE)
        captures.take(CaptureRequest("m", "c0", inputs=(tensor,)), None)
        with pytest.raises(CaptureBufferFullError, match="9 of 10 bytes"):
            captures.take(CaptureRequest("m", "c1", inputs=(tensor,)), None)
        disk.go.set()


def test_a_disk_that_refuses_is_a_failure_and_the_id_may_be_tried_again(tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder is wanted")
    counters = Counters()
    disk = CaptureDisk(blocked, "prefix", ORIGIN, embed_limit=4, limit_bytes=10**9)
    with _captures(disk, counters) as captures:
        captures.take(CaptureRequest("m", "c"), None)
        wait_until(lambda: captures.state_of("c") is CaptureState.FAILURE)
        blocked.unlink()
        captures.take(CaptureRequest("m", "c"), None)
        wait_until(lambda: captures.state_of("c") is CaptureState.SUCCESS)
        with pytest.raises(CaptureExistsError):
            captures.take(CaptureRequest("m", "c"), None)
    assert counters.snapshot()["captures_failed"] == 1


def test_a_stop_stores_what_waits(tmp_path: Path) -> None:
    with _captures(_disk(tmp_path), Counters(), period=1000, batch_size=3) as captures:
        captures.take(CaptureRequest("m", "c"), None)
    assert len(list(tmp_path.rglob("*.jsonl"))) == 1
