"""One model in both roles, tiles, and pixels that never count: the judge on a real ring."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from linewatch_common.errors import PackageError
from linewatch_common.messages import Outcome
from linewatch_common.ring import RingReader, RingWriter, Stamp, ring_path
from linewatch_inspector.ended import Ended
from linewatch_inspector.frames import Frame
from linewatch_inspector.judge import Judge, Rules
from linewatch_inspector.plan import load_plan
from numpy.typing import NDArray

from tests.fakes.predictor import FakePredictor
from tests.unit.inspector.packages import make_package, serving

INSPECTOR = "TestInspector-1-0-0"


class Bench:
    """A ring, one package of an inspector, a judge."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer = RingWriter.open(ring_path(folder, "line1"), 4, 1 << 20)
        self._reader = RingReader(self._writer.path)
        self.asked: list[str] = []

    def close(self) -> None:
        self._reader.close()
        self._writer.close()

    def inspect(self, pixels: NDArray[np.uint8], *, also: tuple[str, ...] = (), **package: Any) -> Ended:
        """Judge one grey frame by a plan of the inspector, with packages of the roles `also` served beside it."""
        manifests = [make_package(self._folder / "i", "inspector", **package)]
        manifests += [make_package(self._folder / role, role) for role in also]
        plan = load_plan(serving(self._folder / "i", *(self._folder / role for role in also)))
        fake = FakePredictor(*manifests)
        judge = Judge(Rules(20_000), ring=self._reader, plan=lambda: plan, predictor=fake, stopping=threading.Event())
        height, width = pixels.shape
        sequence = self._writer.write_picture(
            pixels.tobytes(), width=width, height=height, stride=width, pixel_format="Mono8", stamp=Stamp.now()
        )
        ended = judge.inspect(Frame(station="line1", epoch=self._writer.epoch, sequence=sequence))
        self.asked = fake.asked
        return ended


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def frame(
    width: int = 32, height: int = 32, *, grey: int = 120, spot: tuple[int, int] | None = (8, 12)
) -> NDArray[np.uint8]:
    """In the review band, with a white square of 4 pixels at x, y."""
    pixels = np.full((height, width), grey, np.uint8)
    if spot is not None:
        pixels[spot[1] : spot[1] + 4, spot[0] : spot[0] + 4] = 255
    return pixels


def test_one_prediction_gives_score_and_mask(bench: Bench) -> None:
    verdict = bench.inspect(frame()).verdict
    assert bench.asked == [INSPECTOR]
    assert verdict.outcome is Outcome.FAIL, "a defect confirms a score in the review band"
    assert [(use.role, use.identifier) for use in verdict.models] == [("inspector", INSPECTOR)]
    assert [defect.box for defect in verdict.defects] == [(8, 12, 4, 4)]
    assert verdict.score == pytest.approx(frame().mean() / 255, abs=1e-3)


def test_below_the_review_threshold_the_mask_is_not_read(bench: Bench) -> None:
    verdict = bench.inspect(frame(grey=20)).verdict
    assert (verdict.outcome, verdict.defects, bench.asked) == (Outcome.PASS, [], [INSPECTOR])


def test_it_goes_before_a_classifier_and_a_segmenter_that_are_served_too(bench: Bench) -> None:
    bench.inspect(frame(), also=("classifier", "segmenter"))
    assert bench.asked == [INSPECTOR]


def test_a_long_part_is_judged_by_its_worst_tile_and_located_as_a_whole(bench: Bench) -> None:
    tiles = {"tiles": {"width": 32, "height": 32, "overlap": 8}}
    pixels = frame(80, 32, grey=20, spot=None)
    pixels[:, 48:] = 120
    pixels[16:20, 52:56] = 255
    verdict = bench.inspect(pixels, preparation=tiles).verdict
    assert bench.asked == [INSPECTOR] * 3
    assert verdict.score == pytest.approx(pixels[:, 48:].mean() / 255, abs=1e-3)
    assert [defect.box for defect in verdict.defects] == [(52, 16, 4, 4)]
    assert verdict.outcome is Outcome.FAIL


def ignoring(pixels: NDArray[np.uint8]) -> dict[str, Any]:
    done, data = cv2.imencode(".png", pixels)
    assert done
    return {"preparation": {"ignore": "ignore.png"}, "files": {"ignore.png": data.tobytes()}}


def test_ignored_pixels_never_count(bench: Bench) -> None:
    mask = np.zeros((32, 32), np.uint8)
    mask[10:18, 6:14] = 1
    verdict = bench.inspect(frame(), **ignoring(mask)).verdict
    assert (verdict.defects, verdict.outcome) == ([], Outcome.REVIEW)
    assert bench.inspect(frame(spot=(20, 20)), **ignoring(mask)).verdict.defects_total == 1


def test_an_ignore_mask_of_another_size_is_an_error_with_both_sizes(bench: Bench) -> None:
    verdict = bench.inspect(frame(), **ignoring(np.zeros((16, 20), np.uint8))).verdict
    assert verdict.outcome is Outcome.ERROR
    assert "ignore mask is 20x16, the frame 32x32" in verdict.reason


@pytest.mark.parametrize(("data", "line"), [(b"other", "was changed"), (None, "No such file")])
def test_an_ignore_mask_that_is_not_the_packages_is_refused(tmp_path: Path, data: bytes | None, line: str) -> None:
    make_package(tmp_path / "i", "inspector", **ignoring(np.zeros((4, 4), np.uint8)))
    path = tmp_path / "i" / "ignore.png"
    path.unlink() if data is None else path.write_bytes(data)
    with pytest.raises(PackageError, match=line):
        load_plan(serving(tmp_path / "i"))


def test_a_plan_of_one_model_names_it_once(tmp_path: Path) -> None:
    make_package(tmp_path / "i", "inspector")
    plan = load_plan(serving(tmp_path / "i"))
    assert (plan.in_use, plan.one) == ([INSPECTOR], True)
    assert (plan.score.fail, plan.mask.pixel) == (0.6, 0.9)
