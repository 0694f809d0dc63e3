"""Whether a model still sees what it saw: days from running counts, and how sure the answers are."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import msgspec
import numpy as np
import pytest
from linewatch_common.messages.fleet import SCORE_BINS, FleetHealth
from linewatch_common.messages.verdicts import ModelUse

from model_build.drift.days import FIRST_DAYS, LAST_DAYS, Counts, Day, Life, counts_of, day_of
from model_build.drift.judging import Answer, Finding, Kind, judge

START = date(2026, 9, 1)
SHAPE = np.array([0.6, 0.2, 0.05, *[0.005] * (SCORE_BINS - 6), 0.02, 0.03, 0.03])
MOVED = np.array([0.4, 0.2, 0.15, *[0.01] * (SCORE_BINS - 6), 0.04, 0.03, 0.04])


def _text(number: int) -> str:
    return (START + timedelta(days=number)).isoformat()


def _days(
    rng: np.random.Generator, count: int, shape: Any = SHAPE, *, begin: int = 0, parts: int = 5000, **labels: int
) -> list[Day]:
    """Days that differ by more than their parts do: each draws its own shape around the model's."""
    rows = [rng.multinomial(parts, rng.dirichlet(400 * shape / shape.sum())) for _ in range(count)]
    return [
        Day(day=_text(begin + number), devices=5, scores=[int(bin_) for bin_ in row], labels=labels)
        for number, row in enumerate(rows)
    ]


def _answers(days: Sequence[Day]) -> dict[Kind, Finding]:
    return {finding.kind: finding for finding in judge(days, date.fromisoformat(days[-1].day))}


def test_a_model_whose_scores_moved_has_drifted_and_one_that_is_as_it_was_has_not() -> None:
    rng = np.random.default_rng(1)
    first = _days(rng, 14)
    moved = _answers([*first, *_days(rng, 7, MOVED, begin=30)])[Kind.DRIFT]
    assert (moved.answer, moved.figures["distance"] > 0.1) == (Answer.YES, True)
    assert "2026-10-01 to 2026-10-07" in moved.reason
    assert _answers([*first, *_days(rng, 7, begin=30)])[Kind.DRIFT].answer == Answer.NO


def test_weekly_looks_at_models_that_are_as_they_were_raise_no_alert_in_twenty_five_years() -> None:
    rng = np.random.default_rng(2)
    alerts = 0
    for _ in range(25):  # 200 were tried once: none either
        days = _days(rng, 14 + 365)
        # Each week's last day; the days between share six of seven days with it.
        looks = (
            judge([*days[:14], *days[end - 7 : end]], date.fromisoformat(days[end - 1].day))
            for end in range(21, 379, 7)
        )
        alerts += sum(finding.answer == Answer.YES for found in looks for finding in found)
    assert alerts == 0


def test_a_small_move_that_is_certain_is_no_drift() -> None:
    rng = np.random.default_rng(3)
    slight = SHAPE * np.linspace(1.0, 1.25, SCORE_BINS)
    parts = 10**7
    days = [*_days(rng, 14, parts=parts), *_days(rng, 7, slight, begin=14, parts=parts)]
    assert _answers(days)[Kind.DRIFT].answer == Answer.NO


@pytest.mark.parametrize(
    ("first", "last", "parts", "today"), [(13, 7, 5000, 20), (14, 6, 5000, 20), (14, 7, 1999, 21), (14, 7, 5000, 40)]
)
def test_few_days_few_parts_or_old_ones_are_inconclusive(first: int, last: int, parts: int, today: int) -> None:
    rng = np.random.default_rng(4)
    days = [*_days(rng, first, parts=parts), *_days(rng, last, MOVED, begin=first, parts=parts)]
    found = judge(days, START + timedelta(days=today))
    assert [finding.answer for finding in found] == [Answer.INCONCLUSIVE, Answer.INCONCLUSIVE]


def test_people_who_overrule_more_often_disagree() -> None:
    rng = np.random.default_rng(5)
    first = _days(rng, 14, passed=20, escapes=1, failed=20, false_rejects=1)

    def answer(**labels: int) -> Finding:
        return _answers([*first, *_days(rng, 7, begin=14, **labels)])[Kind.DISAGREEMENT]

    worse = answer(passed=20, escapes=1, failed=20, false_rejects=5)
    assert worse.answer == Answer.YES
    assert "false_rejects: 14 of 280 labelled then, 35 of 140 now" in worse.reason
    assert answer(passed=20, escapes=1, failed=20, false_rejects=1).answer == Answer.NO
    assert answer(passed=20, escapes=0, failed=3, false_rejects=3).answer == Answer.INCONCLUSIVE, "few labels"
    assert answer(passed=20, escapes=6, failed=0, false_rejects=0).answer == Answer.YES, "one question is enough"
    assert answer().answer == Answer.INCONCLUSIVE


def test_counts_that_no_device_should_send_do_not_break_the_tests() -> None:
    rng = np.random.default_rng(6)
    days = [*_days(rng, 14, failed=10, false_rejects=500), *_days(rng, 7, begin=14, failed=10, false_rejects=500)]
    assert _answers(days)[Kind.DISAGREEMENT].answer != Answer.YES


def _counts(parts: int, since: str = "2026-11-01T00:00:00Z", model: str = "S-1-0-0", **labels: int) -> Counts:
    return Counts(model=model, since=since, scores=[parts, *[0] * (SCORE_BINS - 1)], labels=labels)


def test_a_day_is_what_came_since_the_day_before() -> None:
    before = {"a": _counts(100, failed=2), "b": _counts(900), "c": _counts(50), "gone": _counts(1)}
    now = {
        "a": _counts(150, failed=5),
        "b": _counts(30, since="2026-11-02T00:00:00Z"),  # Inspector was started again
        "c": _counts(40, model="S-2-0-0"),
        "new": _counts(10**6),  # who knows since when
    }
    days = day_of("2026-11-03", before, now)
    assert {model: (day.devices, day.parts, day.labels) for model, day in days.items()} == {
        "S-1-0-0": (2, 80, {"failed": 3}),
        "S-2-0-0": (1, 40, {}),
    }


def _report(**changes: Any) -> FleetHealth:
    values: dict[str, Any] = {
        "thing": "a",
        "station": "s",
        "at": "2026-11-01T00:00:00Z",
        "since": "2026-11-01T00:00:00Z",
        "sequence": 0,
        "components": {},
        "models": [
            ModelUse(role="classifier", identifier="C-1-0-0", version="1.0.0"),
            ModelUse(role="segmenter", identifier="S-1-0-0", version="1.0.0"),
        ],
        "scores": [1] * SCORE_BINS,
        "labels": {"failed": 3, "false_rejects": 0, "stranger": 7},
    }
    return FleetHealth(**{**values, **changes})


def test_the_model_that_gives_the_score_is_counted() -> None:
    counts = counts_of(_report())
    assert counts is not None
    assert (counts.model, sum(counts.scores), counts.labels) == ("C-1-0-0", SCORE_BINS, {"failed": 3})
    both = counts_of(_report(models=[ModelUse(role="inspector", identifier="I-1-0-0", version="1"), *_report().models]))
    assert both is not None
    assert both.model == "I-1-0-0"


@pytest.mark.parametrize(
    "change",
    [
        {"models": []},
        {"scores": [1, 2]},
        {"scores": [-1] * SCORE_BINS},
        {"models": [ModelUse(role="classifier", identifier="../../fleets/x", version="1")]},
    ],
)
def test_a_report_that_says_nothing_of_a_model_counts_for_none(change: dict[str, Any]) -> None:
    assert counts_of(_report(**change)) is None


def test_a_life_keeps_its_first_and_its_last_days() -> None:
    life = Life(model="m")
    for number in range(FIRST_DAYS + LAST_DAYS + 30):
        life.add(Day(day=_text(number)))
    life.add(Day(day=_text(FIRST_DAYS + LAST_DAYS + 29), devices=7))
    assert len(life.days) == FIRST_DAYS + LAST_DAYS
    assert (life.days[FIRST_DAYS - 1].day, life.days[-1].devices) == (_text(FIRST_DAYS - 1), 7)
    assert msgspec.json.decode(msgspec.json.encode(life), type=Life) == life
