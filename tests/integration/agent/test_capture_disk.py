"""Captured data on disk: bounds, age, restarts, the upload."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from linewatch_agent.captures import CapturedTensor
from linewatch_agent.captures.disk import StoredPush
from linewatch_agent.captures.periodic import PeriodicUpload
from linewatch_agent.captures.pushes import push_of
from linewatch_agent.captures.segments import Content
from linewatch_agent.captures.timing import Timing
from linewatch_agent.counters import Counters
from linewatch_common.errors import UnavailableError
from linewatch_common.files import write_atomically

from tests.integration.agent.capture_bench import (
    HEADER,
    LARGE,
    NORMAL,
    accepted,
    make_disk,
    make_push,
    running_bench,
    stored_ids,
    stored_line,
)
from tests.unit.agent.support import wait_until


def test_the_oldest_normal_push_is_dropped_for_room_first_and_counted(tmp_path: Path) -> None:
    dropped: list[int] = []
    kept = make_push(make_disk(tmp_path), accepted("kept"))
    normal = make_push(make_disk(tmp_path), accepted("normal", auxiliary_inputs=NORMAL), sampled=True)
    both = kept.files.size_bytes + normal.files.size_bytes
    disk = make_disk(tmp_path, both, dropped)
    disk.store(kept)
    disk.store(normal)
    disk = make_disk(tmp_path, both, dropped)  # a restart: what is normal must be read from the lines
    disk.store(make_push(disk, accepted("later")))
    assert (stored_ids(tmp_path), dropped) == (["kept", "later"], [1])
    disk.store(make_push(disk, accepted("last")))
    assert (stored_ids(tmp_path), dropped) == (["last", "later"], [1, 1])


def test_the_same_push_again_changes_nothing(tmp_path: Path) -> None:
    disk = make_disk(tmp_path)
    for _ in range(2):
        disk.store(make_push(disk, accepted()))
    assert (stored_ids(tmp_path), len(disk.pushes())) == (["c"], 1)


def test_what_is_too_old_goes(tmp_path: Path) -> None:
    dropped: list[int] = []
    disk = make_disk(tmp_path, dropped=dropped, limit_seconds=-1)
    disk.store(make_push(disk, accepted("a")))
    disk.store(make_push(disk, accepted("b")))
    assert (stored_ids(tmp_path), dropped) == (["b"], [1])


def test_what_is_too_old_goes_without_a_new_push(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = make_disk(tmp_path / "out")
    before.store(make_push(before, accepted("old")))
    [file] = (tmp_path / "out").rglob("*.jsonl")
    os.utime(file, (0, 0))
    dropped: list[int] = []
    with running_bench(
        tmp_path, make_disk(tmp_path / "out", dropped=dropped, limit_seconds=1e6), timing=Timing(idle=0.05)
    ):
        wait_until(lambda: not file.exists())
    assert dropped == [1]
    assert "1 of the oldest" in caplog.text


def test_an_idle_agent_touches_no_folder_that_it_never_wrote_to(tmp_path: Path) -> None:
    make_disk(tmp_path / "out").expire()
    assert not (tmp_path / "out").exists()


def test_what_goes_leaves_no_empty_folders(tmp_path: Path) -> None:
    disk = make_disk(tmp_path)
    tensor = CapturedTensor("t", "UINT8", (9,), LARGE)
    old = replace(HEADER, created_ns=0)
    for name in ("1" * 32, "2" * 32):
        disk.store(push_of(Content(old, [accepted(inputs=(tensor,))], name), disk))
    [hour] = {file.parent for file in tmp_path.rglob("*.jsonl")}
    first, second = disk.pushes()
    disk.remove(first)
    assert hour.is_dir()
    disk.remove(second)
    assert list((tmp_path / "prefix/fleet").iterdir()) == [tmp_path / "prefix/fleet/.linewatch-inherited"]


def test_a_folder_that_is_being_written_to_stays(tmp_path: Path) -> None:
    """The upload removes a push of the same hour between the making of a folder and of the first file in it."""
    tensor = CapturedTensor("t", "UINT8", (9,), LARGE)
    uploaded: list[StoredPush] = []

    def write(path: Path, data: bytes) -> None:
        for push in uploaded:
            disk.remove(push)
        write_atomically(path, data)

    disk = make_disk(tmp_path, write=write)
    disk.store(make_push(disk, accepted("a", inputs=(tensor,))))
    uploaded += disk.pushes()
    disk.store(make_push(disk, accepted("b", inputs=(tensor,))))
    assert stored_ids(tmp_path) == ["b"]


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
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    disk = make_disk(tmp_path)
    disk.store(make_push(disk, accepted()))
    upload = PeriodicUpload(disk, ReturningStore(), 0.01, Counters(), Timing(first_pause=0.01))
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
        disk = make_disk(tmp_path, limit_bytes=600, dropped=dropped, limit_seconds=86_400)
        disk.store(make_push(disk, accepted(capture_id)))
        assert hour not in [push.files[0].parent for push in disk.pushes()]
    assert [file.read_bytes() for file in files] == [LARGE] * 4
    assert dropped, "our own went for room"


def test_a_restart_knows_what_lies_there_and_removes_what_is_half(tmp_path: Path) -> None:
    line = stored_line(tmp_path, inputs=(CapturedTensor("t", "UINT8", (9,), LARGE),))
    [file] = tmp_path.rglob("*.jsonl")
    half = file.with_name("." + file.name + ".0123")
    half.write_text("{")
    orphan = file.parent / "raw-data" / "input-tensors" / f"{'0' * 32}-0.bin"
    orphan.write_bytes(LARGE)
    stranger = tmp_path / "prefix" / "fleet" / "mine.txt"
    stranger.write_text("not ours")
    dropped: list[int] = []
    disk = make_disk(tmp_path, limit_bytes=600, dropped=dropped)
    disk.store(make_push(disk, accepted("later")))
    assert (half.exists(), orphan.exists(), stranger.exists()) == (False, False, True)
    assert dropped == [1]
    assert not file.exists()
    assert not Path(line["deviceFleetInputs"][0]["data-ref"].removeprefix("file://")).exists()
