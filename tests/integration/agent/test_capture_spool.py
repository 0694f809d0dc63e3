"""The spool: what a restart, a kill and a power cut find, its bounds, its opening."""

import shutil
import time
from pathlib import Path

import pytest
from linewatch_agent.captures import CapturedTensor, CaptureState
from linewatch_agent.captures.finished import FinishedCaptures
from linewatch_agent.captures.pushes import push_of
from linewatch_agent.captures.segments import FileShelf
from linewatch_agent.captures.timing import Timing
from linewatch_agent.errors import CaptureBufferFullError, CaptureExistsError
from linewatch_common.errors import StorageError

from tests.integration.agent.capture_bench import (
    HEADER,
    NORMAL,
    Bench,
    HeldDisk,
    HeldShelf,
    accepted,
    found_by_another,
    make_disk,
    running_bench,
    stored_ids,
)
from tests.unit.agent.support import wait_until


def test_a_capture_that_was_answered_lies_in_the_spool(tmp_path: Path) -> None:
    with running_bench(tmp_path, period=1000) as bench:
        bench.take("c")
        assert [segment.ids for segment in found_by_another(bench.spool_folder)] == [["c"]]


def test_a_restart_forgets_nothing_and_sends_nothing_twice(tmp_path: Path) -> None:
    away = HeldDisk(tmp_path / "out")
    away.away = True
    with running_bench(tmp_path, away) as bench:
        for number in range(5):
            bench.take(f"c{number}")
            wait_until(lambda: bench.captures._held.count < 4)
    with running_bench(tmp_path) as again:
        for number in range(5):
            again.wait_for(f"c{number}", CaptureState.SUCCESS)
        with pytest.raises(CaptureExistsError):
            again.take("c0")
    assert stored_ids(tmp_path / "out") == [f"c{number}" for number in range(5)]
    with running_bench(tmp_path) as third:
        wait_until(lambda: third.captures._open)
        assert third.captures.state_of("c0") is CaptureState.SUCCESS


def test_killed_between_delivery_and_removal(tmp_path: Path) -> None:
    """Before the note of delivery: sent again, the same. After it: not sent again."""
    shelf = FileShelf(tmp_path / "spool")
    shelf.open()
    segments = [shelf.create(HEADER) for _ in range(2)]
    for segment, capture_id in zip(segments, ("a", "b"), strict=True):
        segment.append(accepted(capture_id))
    disk = make_disk(tmp_path / "out")
    disk.store(push_of(segments[0].content(), disk))
    FinishedCaptures(tmp_path / "spool" / "finished").add(["b"], CaptureState.SUCCESS)
    bench = Bench(tmp_path)
    bench.captures.start()
    bench.wait_for("a", CaptureState.SUCCESS)
    bench.captures.stop()
    assert stored_ids(tmp_path / "out") == ["a"]
    assert found_by_another(tmp_path / "spool") == []


@pytest.mark.parametrize("damage", ["cut", "flipped", "zeros"])
def test_a_power_cut_costs_only_what_was_not_synced(tmp_path: Path, damage: str) -> None:
    shelf = FileShelf(tmp_path / "spool")
    shelf.open()
    segment = shelf.create(HEADER)
    segment.append(accepted("whole"))
    whole = segment.size_bytes
    segment.append(accepted("torn"))
    [file] = (tmp_path / "spool").glob("*.spool")
    data = bytearray(file.read_bytes())
    if damage == "cut":
        data = data[:-3]
    elif damage == "flipped":
        data[-3] ^= 1
    else:
        data[whole:] = bytes(len(data) - whole)
    file.write_bytes(data)
    [found] = found_by_another(tmp_path / "spool")
    assert [capture.request.capture_id for capture in found.content().captures] == ["whole"]


def test_a_spool_is_one_agents(tmp_path: Path) -> None:
    FileShelf(tmp_path).open()
    with pytest.raises(StorageError, match="another agent"):
        FileShelf(tmp_path).open()


def test_foreign_and_unreadable_files_in_the_spool_hold_nobody_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = FileShelf(tmp_path / "spool")
    shelf.open()
    shelf.create(HEADER).append(accepted("a"))
    shutil.copy(tmp_path / "spool" / "000000000000.spool", tmp_path / "spool" / "000000000000 (copy).spool")
    (tmp_path / "spool" / "000000000007.spool").mkdir()
    assert [segment.ids for segment in found_by_another(tmp_path / "spool")] == [["a"]]
    assert "000000000007.spool" in caplog.text


def test_ids_are_remembered_within_a_bound(tmp_path: Path) -> None:
    finished = FinishedCaptures(tmp_path / "finished", remembered=3)
    finished.open()
    for number in range(20):
        finished.add([f"c{number}"], CaptureState.SUCCESS)
    assert len((tmp_path / "finished").read_text().splitlines()) <= 6
    again = FinishedCaptures(tmp_path / "finished", remembered=3)
    again.open()
    assert [again.get(f"c{number}") for number in (16, 17, 19)] == [None, CaptureState.SUCCESS, CaptureState.SUCCESS]


def test_a_full_spool_drops_the_oldest_normal_capture_first_and_says_so(tmp_path: Path) -> None:
    away = HeldDisk(tmp_path / "out")
    away.away = True
    with running_bench(tmp_path, away, limit_bytes=4 * 4096, batch_size=1) as bench:
        for capture_id, parts in (("k1", ()), ("n1", NORMAL), ("k2", ()), ("n2", NORMAL), ("k3", ()), ("k4", ())):
            bench.take(capture_id, auxiliary_inputs=parts)
            wait_until(lambda: bench.captures._held.count == 0)
        states = {name: bench.captures.state_of(name) for name in ("k1", "n1", "k2", "n2", "k3", "k4")}
    failed = {name for name, state in states.items() if state is CaptureState.FAILURE}
    assert (failed, bench.counters.snapshot()["captures_dropped"]) == ({"n1", "n2"}, 2)


def test_a_capture_that_cannot_fit_costs_none_of_those_that_wait(tmp_path: Path) -> None:
    away = HeldDisk(tmp_path / "out")
    away.away = True
    with running_bench(tmp_path, away, limit_bytes=5 * 4096, buffer_bytes=10**6, batch_size=1) as bench:
        for capture_id in ("k1", "k2"):
            bench.take(capture_id)
            wait_until(lambda: bench.captures._held.count == 0)
        with pytest.raises(CaptureBufferFullError, match="CaptureDiskMB"):
            bench.take("c", inputs=(CapturedTensor("t", "UINT8", (30_000,), bytes(30_000)),))
        assert bench.captures.state_of("k1") is CaptureState.IN_PROGRESS
        assert bench.counters.snapshot()["captures_dropped"] == 0


def test_a_spool_that_comes_late(tmp_path: Path) -> None:
    blocked = tmp_path / "spool"
    blocked.write_text("a file where a folder is wanted")
    with running_bench(tmp_path) as bench:
        blocked.unlink()
        bench.take("c")
        bench.wait_for("c", CaptureState.SUCCESS)


def test_nothing_is_sent_before_all_is_open(tmp_path: Path) -> None:
    shelf = FileShelf(tmp_path / "spool")
    shelf.open()
    shelf.create(HEADER).append(accepted("a"))
    (tmp_path / "spool" / "finished").mkdir()  # cannot be read
    disk = HeldDisk(tmp_path / "out")
    bench = Bench(tmp_path, disk, timing=Timing(open_again=0.1))
    bench.captures.start()
    time.sleep(0.3)
    (tmp_path / "spool" / "finished").rmdir()
    wait_until(lambda: bench.captures._open)
    disk.go.set()
    bench.wait_for("a", CaptureState.SUCCESS)
    bench.captures.stop()
    assert bench.counters.snapshot()["captures_failed"] == 0


def test_a_spool_that_cannot_be_opened_is_named_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "spool").write_text("a file where a folder is wanted")
    with running_bench(tmp_path, timing=Timing(open_again=0.01)):
        time.sleep(0.3)
    assert caplog.text.count("cannot make the folder") == 1


def test_a_spool_that_takes_long_to_open_is_waited_for_with_a_limit(tmp_path: Path) -> None:
    """Days without a network leave thousands of files, which are read and synced one by one."""
    shelf = HeldShelf(tmp_path / "spool")
    bench = Bench(tmp_path, shelf=shelf, timing=Timing(room=0.2))
    with shelf.opening.shut():
        bench.captures.start()
        began = time.monotonic()
        with pytest.raises(CaptureBufferFullError, match="not open"):
            bench.take("a")
        assert time.monotonic() - began < 5.0
    wait_until(lambda: bench.captures._open)
    bench.take("a")
    bench.captures.stop()
