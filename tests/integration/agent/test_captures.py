"""Taking captures: states, the buffer, the end."""

from pathlib import Path

import pytest
from linewatch_agent.captures import CapturedTensor, CaptureState
from linewatch_agent.captures.segments import MemoryShelf
from linewatch_agent.errors import CaptureBufferFullError, CaptureExistsError, NoNetworkError, UnknownCaptureError

from tests.integration.agent.capture_bench import LARGE, HeldDisk, running_bench, stored_ids
from tests.unit.agent.support import wait_until


def test_success_only_after_the_destination_has_it(tmp_path: Path) -> None:
    disk = HeldDisk(tmp_path)
    with running_bench(tmp_path, disk) as bench:
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


def test_what_grows_fills_the_buffer(tmp_path: Path) -> None:
    with running_bench(tmp_path, period=1000, batch_size=4, buffer_size=3) as bench:
        for number in range(3):
            bench.take(f"c{number}")
        with pytest.raises(CaptureBufferFullError, match="3 of 3 requests"):
            bench.take("c3")
        assert bench.counters.snapshot()["captures_refused"] == 1
    with running_bench(tmp_path, period=1000, batch_size=4, buffer_bytes=10) as bench:
        tensor = CapturedTensor("t", "UINT8", (9,), LARGE)
        bench.take("b0", inputs=(tensor,))
        with pytest.raises(CaptureBufferFullError, match="9 of 10 bytes"):
            bench.take("b1", inputs=(tensor,))


def test_a_capture_larger_than_everything_is_refused_and_may_be_tried_again(tmp_path: Path) -> None:
    with running_bench(tmp_path, limit_bytes=5000, buffer_bytes=10**6) as bench:
        with pytest.raises(CaptureBufferFullError, match="CaptureDiskMB"):
            bench.take("c", inputs=(CapturedTensor("t", "UINT8", (6000,), bytes(6000)),))
        bench.take("c")
        bench.wait_for("c", CaptureState.SUCCESS)


def test_without_the_spool_nothing_is_taken_that_cannot_be_sent(tmp_path: Path) -> None:
    disk = HeldDisk(tmp_path / "out")
    with running_bench(tmp_path, disk, shelf=MemoryShelf(), buffer_size=2, batch_size=1) as bench:
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


def test_a_stop_stores_what_waits(tmp_path: Path) -> None:
    with running_bench(tmp_path, period=1000, batch_size=3) as bench:
        bench.take("c")
    assert stored_ids(tmp_path / "out") == ["c"]
