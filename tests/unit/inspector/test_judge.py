"""One frame on a real ring: odd pictures, odd answers, odd clocks."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from linewatch_common.errors import AgentUnavailableError
from linewatch_common.messages import Outcome
from linewatch_common.ring import RingReader, RingWriter, Stamp, ring_path
from linewatch_inspector.ended import Ended
from linewatch_inspector.frames import Frame
from linewatch_inspector.judge import Judge, Rules, StoppedError
from linewatch_inspector.plan import Plan, load_plan
from linewatch_inspector.stages import Stages
from numpy.typing import NDArray

from tests.fakes.predictor import FakePredictor
from tests.unit.inspector.packages import make_package, serving

Answer = Callable[[], Mapping[str, NDArray[Any]]]


class Scripted:
    """An agent that answers as it is told."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def predict(
        self, endpoint: str, identifier: str, inputs: Mapping[str, NDArray[Any]], seconds: float
    ) -> Mapping[str, NDArray[Any]]:
        return self._answer()

    def close(self) -> None:
        pass


class Bench:
    """A ring of one size, a plan, a judge."""

    def __init__(self, folder: Path) -> None:
        packages = [folder / "c", folder / "s"]
        self.fake = FakePredictor(make_package(packages[0], "classifier"), make_package(packages[1], "segmenter"))
        self.plan: Plan | None = load_plan(serving(*packages))
        self.writer = RingWriter.open(ring_path(folder, "line1"), 4, 1 << 20)
        self.reader = RingReader(self.writer.path)
        self.stopping = threading.Event()

    def write(self, pixels: NDArray[np.uint8], pixel_format: str, *, padding: int = 0, ahead_ns: int = 0) -> Frame:
        height, width = pixels.shape[:2]
        rows = pixels.reshape(height, -1)
        rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=255)
        sequence = self.writer.write_picture(
            rows.tobytes(),
            width=width,
            height=height,
            stride=rows.shape[1],
            pixel_format=pixel_format,
            stamp=Stamp(time.monotonic_ns() + ahead_ns, time.time_ns()),
        )
        return Frame(station="line1", epoch=self.writer.epoch, sequence=sequence)

    def inspect(self, frame: Frame, *, answer: Answer | None = None, deadline_ms: int = 20_000) -> Ended:
        judge = Judge(
            Rules(deadline_ms),
            ring=self.reader,
            plan=lambda: self.plan,
            predictor=Scripted(answer) if answer else self.fake,
            stopping=self.stopping,
        )
        return judge.inspect(frame)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.reader.close()
    made.writer.close()


@pytest.mark.parametrize(
    ("shape", "pixel_format"), [((48, 64), "Mono8"), ((48, 64, 3), "RGB8"), ((1, 1), "Mono8"), ((1, 1, 3), "BGR8")]
)
@pytest.mark.parametrize("padding", [0, 5])
def test_every_format_and_size_is_judged(bench: Bench, shape: tuple[int, ...], pixel_format: str, padding: int) -> None:
    item = bench.inspect(bench.write(np.full(shape, 102, np.uint8), pixel_format, padding=padding))
    assert item.verdict.outcome is Outcome.REVIEW
    assert item.verdict.score == pytest.approx(0.4, abs=1e-6)
    assert item.picture is not None
    assert item.picture.pixels.shape == shape
    assert int(item.picture.pixels.max()) == 102, "the padding of a row is no part of the picture"


@pytest.mark.parametrize("score", [np.nan, np.inf, -0.5, 1.5])
def test_a_score_that_is_no_probability_is_an_error(bench: Bench, score: float) -> None:
    item = bench.inspect(
        bench.write(np.zeros((8, 8), np.uint8), "Mono8"), answer=lambda: {"score": np.array([[score]], np.float32)}
    )
    assert item.verdict.outcome is Outcome.ERROR
    assert "not a probability" in item.verdict.reason
    assert item.picture is not None


@pytest.mark.parametrize(
    ("outputs", "reason"),
    [({}, "lacks the output 'score'"), ({"score": np.zeros((1, 2), np.float32)}, "expected one score")],
)
def test_an_answer_that_does_not_fit_the_manifest_is_an_error(
    bench: Bench, outputs: dict[str, NDArray[Any]], reason: str
) -> None:
    item = bench.inspect(bench.write(np.zeros((8, 8), np.uint8), "Mono8"), answer=lambda: outputs)
    assert item.verdict.outcome is Outcome.ERROR
    assert reason in item.verdict.reason


def test_a_frame_that_was_overwritten_is_missed(bench: Bench) -> None:
    first = bench.write(np.zeros((8, 8), np.uint8), "Mono8")
    for _ in range(4):
        bench.write(np.zeros((8, 8), np.uint8), "Mono8")
    item = bench.inspect(first)
    assert (item.verdict.outcome, item.verdict.reason) == (
        Outcome.MISSED,
        "overwritten in the ring before it was judged",
    )


def test_a_frame_that_never_comes_is_missed_at_its_deadline(bench: Bench) -> None:
    frame = Frame(station="line1", epoch=bench.writer.epoch, sequence=7, monotonic_ns=time.monotonic_ns())
    item = bench.inspect(frame, deadline_ms=30)
    assert item.verdict.outcome is Outcome.MISSED
    assert "not there" in item.verdict.reason


def test_a_role_that_comes_back_in_time_is_used(bench: Bench) -> None:
    plan, bench.plan = bench.plan, None
    timer = threading.Timer(0.05, lambda: setattr(bench, "plan", plan))
    timer.start()
    item = bench.inspect(bench.write(np.zeros((8, 8), np.uint8), "Mono8"))
    timer.join()
    assert item.verdict.outcome is Outcome.PASS
    assert item.verdict.timings_ms["retry"] > 0


def test_a_stop_does_not_wait_for_an_absent_agent(bench: Bench) -> None:
    def away() -> Mapping[str, NDArray[Any]]:
        bench.stopping.set()
        raise AgentUnavailableError("away")

    with pytest.raises(StoppedError):
        bench.inspect(bench.write(np.zeros((8, 8), np.uint8), "Mono8"), answer=away)


def test_a_stamp_from_the_future_is_just_young(bench: Bench) -> None:
    frame = bench.write(np.zeros((8, 8), np.uint8), "Mono8")
    ahead = Frame(
        station="line1", epoch=frame.epoch, sequence=frame.sequence, monotonic_ns=time.monotonic_ns() + 10**12
    )
    assert bench.inspect(ahead).verdict.outcome is Outcome.PASS


@pytest.mark.parametrize("ahead_ns", [10**12, 2**62])
def test_a_stamp_from_the_future_does_not_put_off_the_deadline(bench: Bench, ahead_ns: int) -> None:
    """Else one frame of this kind would hold up the line for as long as it says."""
    frame = Frame(station="line1", epoch=bench.writer.epoch, sequence=7, monotonic_ns=time.monotonic_ns() + ahead_ns)
    give_up = threading.Timer(5.0, bench.stopping.set)
    give_up.start()
    assert bench.inspect(frame, deadline_ms=30).verdict.outcome is Outcome.MISSED
    give_up.cancel()


def test_a_stamp_from_the_future_in_the_ring_does_not_either(bench: Bench) -> None:
    bench.plan = None
    frame = bench.write(np.zeros((8, 8), np.uint8), "Mono8", ahead_ns=10**12)
    give_up = threading.Timer(5.0, bench.stopping.set)
    give_up.start()
    assert bench.inspect(frame, deadline_ms=30).verdict.outcome is Outcome.MISSED
    give_up.cancel()


def test_stages_add_up_whatever_the_clock_does() -> None:
    ticks = iter([1_000_000, 3_000_000, 7_000_000, 9_000_000])
    stages = Stages(0, lambda: next(ticks))
    stages.mark("wait")
    stages.captured_at(500_000)
    stages.mark("map")
    stages.mark("classify")
    stages.mark("map")
    assert stages.milliseconds() == {"wait": 0.5, "map": 4.0, "classify": 4.0, "total": 8.5}
