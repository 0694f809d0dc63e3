"""Captures on disks that are full, slow, or hang."""

import errno
import os
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from linewatch_agent.captures import CapturedTensor, CaptureState
from linewatch_agent.captures.finished import FinishedCaptures
from linewatch_agent.captures.intake import WAITING
from linewatch_agent.captures.segments import FileShelf
from linewatch_agent.captures.timing import USUAL
from linewatch_agent.errors import CaptureBufferFullError
from linewatch_common.errors import StorageError

from tests.disks import file_size_limit, hanging_file
from tests.integration.agent.capture_bench import HEADER, LARGE, Bench, HeldDisk, HeldShelf, accepted, running_bench
from tests.unit.agent.support import wait_until


@pytest.mark.parametrize("room_comes", ["before the first delivery", "after it"])
def test_a_disk_that_is_full_at_the_start_neither_holds_up_nor_loses_what_waits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, room_comes: str
) -> None:
    shelf = FileShelf(tmp_path / "spool")
    shelf.open()
    shelf.create(HEADER).append(accepted("a"))
    earlier = [f"earlier-{number}" for number in range(1000)]
    FinishedCaptures(tmp_path / "spool" / "finished").add(["b", *earlier], CaptureState.SUCCESS)
    with (tmp_path / "spool" / "finished").open("a") as file:
        file.write("S c")  # cut by a power cut
    disk = HeldDisk(tmp_path / "out")
    bench = Bench(tmp_path, disk)
    with ExitStack() as full:
        full.enter_context(file_size_limit(4000))  # room for a push, not for the notes
        bench.captures.start()
        wait_until(lambda: bench.captures._open)
        assert "finished: cannot write" in caplog.text
        if room_comes == "before the first delivery":
            full.close()
        disk.go.set()
        bench.wait_for("a", CaptureState.SUCCESS)
    bench.take("d")
    bench.wait_for("d", CaptureState.SUCCESS)
    bench.captures.stop()
    assert bench.counters.snapshot()["captures_failed"] == 0
    again = FinishedCaptures(tmp_path / "spool" / "finished")
    again.open()
    assert [again.get(each) for each in "abcd"] == [CaptureState.SUCCESS] * 2 + [None, CaptureState.SUCCESS]


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


def test_a_disk_that_takes_a_part_and_does_not_let_go_of_it_costs_no_other_capture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a card that the kernel has made read-only: neither the rest nor the cut back is admitted."""
    shelf = FileShelf(tmp_path)
    shelf.open()
    segment = shelf.create(HEADER)
    segment.append(accepted("before"))
    with monkeypatch.context() as patched, file_size_limit(segment.size_bytes + 60):
        patched.setattr(os, "ftruncate", _read_only)
        with pytest.raises(StorageError, match="cannot write"):
            segment.append(accepted("part", inputs=(CapturedTensor("t", "UINT8", (9,), LARGE),)))
    segment.append(accepted("after"))
    assert [capture.request.capture_id for capture in segment.content().captures] == ["before", "after"]


def _read_only(_fd: int, _size: int) -> None:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def test_nothing_is_taken_while_older_captures_are_unsynced_for_too_long(tmp_path: Path) -> None:
    shelf = HeldShelf(tmp_path / "spool")
    with running_bench(tmp_path, shelf=shelf, period=1000) as bench:
        wait_until(lambda: bench.captures._open)
        with shelf.syncing.shut():
            bench.take("a")
            assert shelf.syncing.reached.wait(10)
            wait_until(lambda: _is_unsynced_for_too_long(bench))
            taking = threading.Thread(target=bench.take, args=("b",))
            taking.start()
            taking.join(0.2)
            assert taking.is_alive()
        taking.join(10)
        # Taken; a quick disk has it already.
        assert bench.captures.state_of("b") in (CaptureState.IN_PROGRESS, CaptureState.SUCCESS)


def _is_unsynced_for_too_long(bench: Bench) -> bool:
    return time.monotonic() - bench.captures._unsynced_since > USUAL.unsynced


def test_a_sync_that_hangs_does_not_take_all_of_the_agents_threads(tmp_path: Path) -> None:
    shelf = HeldShelf(tmp_path / "spool")
    with running_bench(tmp_path, shelf=shelf, period=1000, buffer_size=100, batch_size=50) as bench:
        wait_until(lambda: bench.captures._open)
        with shelf.syncing.shut():
            bench.take("a")
            assert shelf.syncing.reached.wait(10)
            wait_until(lambda: _is_unsynced_for_too_long(bench))
            waiting = _refuse_the_next(bench)
        _take_again(bench, waiting)


def test_a_note_of_what_ended_that_hangs_does_not_take_all_of_the_agents_threads(tmp_path: Path) -> None:
    with running_bench(tmp_path, period=1000, buffer_size=100, batch_size=1) as bench:
        wait_until(lambda: bench.captures._open)
        with hanging_file(bench.spool_folder / "finished"):
            bench.take("a")
            wait_until(lambda: _is_held(bench.captures._changed))
            waiting = _refuse_the_next(bench)
        _take_again(bench, waiting)


def _is_held(lock: threading.Condition) -> bool:
    """For longer than a disk that works makes anybody hold it."""
    if lock.acquire(timeout=0.5):
        lock.release()
        return False
    return True


def _refuse_the_next(bench: Bench) -> list[threading.Thread]:
    """Some wait for the disk that hangs; who comes after them is refused soon, and may ask how a capture is."""
    waiting = [threading.Thread(target=bench.take, args=(f"b{number}",)) for number in range(WAITING)]
    for thread in waiting:
        thread.start()
    wait_until(lambda: bench.captures._patience._value == 0)
    began = time.monotonic()
    with pytest.raises(CaptureBufferFullError, match="too slow"):
        bench.take("c")
    assert bench.captures.state_of("a") is CaptureState.IN_PROGRESS
    assert time.monotonic() - began < 2.0
    return waiting


def _take_again(bench: Bench, waiting: list[threading.Thread]) -> None:
    for thread in waiting:
        thread.join(10)
    bench.take("c")
    assert bench.counters.snapshot()["captures_refused"] == 1
