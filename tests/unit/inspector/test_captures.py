"""Captured data: which inspections, what goes with them, and what a slow or absent agent costs (nothing but captures)."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from linewatch_agent_api.client import Capture
from linewatch_common.captured import CapturedInspection, CapturedLabel
from linewatch_common.messages import LabelVerdict, ModelUse, Outcome, Verdict
from linewatch_inspector.captures.choice import Choice

from tests.unit.inspector.line import BAD, GOOD, HEIGHT, WIDTH, Line, wait_until
from tests.unit.inspector.packages import make_package, serving

NOW = "2026-11-22T10:00:00.000000Z"


def verdict(number: int, outcome: Outcome = Outcome.PASS, judged: Outcome | None = None) -> Verdict:
    return Verdict(
        inspection_id="i",
        frame_id=f"line1-1-{number:06}",
        station="line1",
        outcome=outcome,
        judged=judged,
        captured_at=NOW,
        published_at=NOW,
        models=[ModelUse(role="classifier", identifier="M-1-0-0", version="1.0.0")],
    )


def cut_off(path: Path) -> None:
    """As a power cut leaves it."""
    path.write_bytes(path.read_bytes()[:100])


def hidden(path: Path) -> None:
    """The disk answers with an error, again and again."""
    path.unlink()
    path.mkdir()


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    made = Line(tmp_path, CaptureNotPass=True)
    yield made
    made.close()


def test_the_draw_takes_its_share_and_does_not_look_at_the_outcome() -> None:
    choice = Choice(10.0, not_pass=True)
    drawn = [number for number in range(4000) if choice.stratum(verdict(number)) == "random"]
    assert 300 < len(drawn) < 500
    assert drawn == [n for n in range(4000) if choice.stratum(verdict(n, Outcome.FAIL)) == "random"]


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (verdict(1), None),
        (verdict(1, Outcome.FAIL), "not-pass"),
        (verdict(1, Outcome.REVIEW), "not-pass"),
        (verdict(1, Outcome.LATE, judged=Outcome.PASS), None),
        (verdict(1, Outcome.LATE, judged=Outcome.FAIL), "not-pass"),
        (msgspec.structs.replace(verdict(1, Outcome.ERROR), models=[]), None),
    ],
)
def test_what_did_not_pass_is_captured_where_it_is_wanted(seen: Verdict, expected: str | None) -> None:
    assert Choice(0.0, not_pass=True).stratum(seen) == expected
    assert Choice(0.0, not_pass=False).stratum(seen) is None


def test_a_reject_is_captured_with_the_frame_as_it_was(line: Line) -> None:
    line.start()
    line.capture(GOOD)
    name = line.capture(BAD)
    capture = taken(line, name)
    record = msgspec.json.decode(items(capture)["inspection.json"], type=CapturedInspection)
    assert (record.stratum, record.outcome, record.inspection.frame_id) == ("not-pass", Outcome.FAIL, name)
    assert json.loads(items(capture)["inspection.json"])["outcome"] == "fail", "the agent reads it here"
    assert capture.model == record.inspection.models[0].identifier
    picture = cv2.imdecode(np.frombuffer(items(capture)["picture.png"], np.uint8), cv2.IMREAD_UNCHANGED)
    expected = np.full((HEIGHT, WIDTH, 3), BAD, np.uint8)
    expected[8:16, 8:16] = 255
    assert picture is not None
    assert np.array_equal(picture, expected)
    assert items(capture)["mask.png"].startswith(b"\x89PNG")
    assert list(line.captures.taken) == [name], "the good part was not asked for"


def test_an_escape_that_a_person_finds_is_captured_from_the_store(line: Line) -> None:
    line.start()
    name = line.capture(GOOD)
    wait_until(lambda: bool(line.stored()), "the picture to be stored")
    line.say(line.topics.commands, LabelVerdict(command_id="c1", frame_id=name, label="fail", operator="ann"))
    word = msgspec.json.decode(items(taken(line, f"{name}-label-c1"))["annotation.json"], type=CapturedLabel)
    assert (word.frame_id, word.verdict_label, word.operator) == (name, "fail", "ann")
    escape = items(taken(line, name))
    assert msgspec.json.decode(escape["inspection.json"], type=CapturedInspection).stratum == "labelled"
    assert escape["picture.jpg"].startswith(b"\xff\xd8")


def test_an_escape_of_a_model_that_was_replaced_meanwhile_is_captured_too(line: Line) -> None:
    line.start()
    name = line.capture(GOOD)
    wait_until(lambda: bool(line.stored()), "the picture to be stored")
    line.packages[0] = line.folder / "newer"
    make_package(line.packages[0], "classifier", version="1.1.0")
    line.captures.serve("TestClassifier-1-1-0")
    line.serve(serving(*line.packages))
    line.say(line.topics.commands, LabelVerdict(command_id="c1", frame_id=name, label="fail", operator="ann"))
    assert taken(line, f"{name}-label-c1").model == "TestClassifier-1-1-0"
    escape = taken(line, name)
    record = msgspec.json.decode(items(escape)["inspection.json"], type=CapturedInspection)
    assert record.inspection.models[0].identifier == "TestClassifier-1-0-0", "who judged it is still said"


def test_a_reject_that_waited_while_its_model_was_replaced_is_captured_too(line: Line) -> None:
    """As when one deployment brings a new agent and a new model."""
    inspector = line.start()
    line.captures.away = True
    name = line.capture(BAD)
    line.wait_for_verdicts(1)
    line.packages[0] = line.folder / "newer"
    make_package(line.packages[0], "classifier", version="1.1.0")
    line.captures.serve("TestClassifier-1-1-0")
    line.serve(serving(*line.packages))
    wait_until(lambda: "TestClassifier-1-1-0" in str(inspector.status().inspector), "the new model to be in use")
    line.captures.away = False
    capture = taken(line, name)
    record = msgspec.json.decode(items(capture)["inspection.json"], type=CapturedInspection)
    assert (capture.model, record.inspection.models[0].identifier) == ("TestClassifier-1-1-0", "TestClassifier-1-0-0")


@pytest.mark.parametrize("spoil", [cut_off, hidden])
def test_a_stored_picture_that_cannot_be_read_holds_up_neither_its_label_nor_the_next_capture(
    line: Line, spoil: Callable[[Path], None]
) -> None:
    line.start()
    name = line.capture(GOOD)
    wait_until(lambda: bool(line.stored()), "the picture to be stored")
    spoil(Path(line.stored()[0].path))
    line.say(line.topics.commands, LabelVerdict(command_id="c1", frame_id=name, label="fail", operator="ann"))
    assert taken(line, f"{name}-label-c1")
    assert taken(line, line.capture(BAD))
    assert name not in line.captures.taken


def test_an_agent_that_is_away_costs_captures_and_nothing_else(line: Line) -> None:
    inspector = line.start()
    line.captures.away = True
    names = [line.capture(BAD) for _ in range(12)]
    line.wait_for_verdicts(12)
    wait_until(lambda: inspector.status().counters["captures_dropped"] > 0, "captures to be dropped")
    assert [seen.outcome for seen in line.verdicts()] == [Outcome.FAIL] * 12
    line.captures.away = False
    wait_until(lambda: names[0] in line.captures.taken, "what waited to go out")
    wait_until(lambda: sum(counted(line)) == 12, "all to be counted")


def test_pictures_that_are_let_go_of_while_the_bus_is_away_are_counted(line: Line) -> None:
    inspector = line.start()
    line.buses[0].away = True
    line.capture(BAD)
    wait_until(lambda: inspector.status().counters["verdicts_waiting"] == 1, "the verdict to wait")
    line.buses[0].away = False
    line.wait_for_verdicts(1)
    wait_until(lambda: inspector.status().counters["pictures_dropped"] == 1, "the stored picture to be counted")
    assert inspector.status().counters["captures_dropped"] == 1


def test_a_capture_that_breaks_us_holds_nobody_up(line: Line) -> None:
    inspector = line.start()
    line.captures.broken = True
    line.capture(BAD)
    wait_until(lambda: inspector.status().counters["captures_dropped"] == 1, "the broken one to be given up")
    line.captures.broken = False
    assert taken(line, line.capture(BAD))


def test_what_never_fits_is_dropped_with_its_reason_and_holds_nobody_up(
    line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    line.start()
    line.captures.largest = 0
    for _ in range(3):
        line.capture(BAD)
    wait_until(lambda: counted(line) == (0, 3), "them to be given up")
    line.captures.largest = 10**6
    assert taken(line, line.capture(BAD))
    wait_until(lambda: counted(line) == (1, 3), "all to be counted")
    said = [entry.getMessage() for entry in caplog.records if "given up" in entry.getMessage()]
    assert len(said) == 2, "the first and the second"
    assert "capture buffer full" in said[0]


def test_nothing_is_captured_by_default(tmp_path: Path) -> None:
    line = Line(tmp_path)
    try:
        line.start()
        line.capture(BAD)
        line.wait_for_rows(1)
        line.stop()
        assert line.captures.taken == {}
    finally:
        line.close()


def counted(line: Line) -> tuple[int, int]:
    assert line.inspector is not None
    counters = line.inspector.status().counters
    return counters["captures_taken"], counters["captures_dropped"]


def taken(line: Line, name: str) -> Capture:
    wait_until(lambda: name in line.captures.taken, f"the capture {name}")
    return line.captures.taken[name]


def items(capture: Capture) -> dict[str, bytes]:
    return {item.name: item.data for item in (*capture.auxiliary_inputs, *capture.auxiliary_outputs)}
