"""The decision rule, line by line."""

import pytest
from linewatch_common.manifest import ScoreThresholds
from linewatch_common.messages import Outcome
from linewatch_inspector.decision import SegmentWhen, decide, needs_segmenter

THRESHOLDS = ScoreThresholds(fail=0.6, review=0.4)


@pytest.mark.parametrize(
    ("score", "defects", "outcome"),
    [
        (0.0, None, Outcome.PASS),
        (0.399999, None, Outcome.PASS),
        (0.399999, 0, Outcome.PASS),
        (0.399999, 1, Outcome.REVIEW),
        (0.4, None, Outcome.REVIEW),
        (0.4, 0, Outcome.REVIEW),
        (0.4, 1, Outcome.FAIL),
        (0.599999, 0, Outcome.REVIEW),
        (0.599999, 3, Outcome.FAIL),
        (0.6, None, Outcome.FAIL),
        (0.6, 0, Outcome.FAIL),
        (1.0, 2, Outcome.FAIL),
    ],
)
def test_the_rule(score: float, defects: int | None, outcome: Outcome) -> None:
    decision = decide(score, THRESHOLDS, defects)
    assert decision.outcome is outcome
    assert f"{score:.3f}" in decision.reason


def test_without_a_review_band_there_is_no_review_by_the_score() -> None:
    thresholds = ScoreThresholds(fail=0.5, review=0.5)
    assert decide(0.49, thresholds, None).outcome is Outcome.PASS
    assert decide(0.5, thresholds, None).outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("when", "score", "asked"),
    [("always", 0.0, True), ("not-pass", 0.399, False), ("not-pass", 0.4, True), ("not-pass", 0.9, True)],
)
def test_when_the_segmenter_is_asked(when: SegmentWhen, score: float, asked: bool) -> None:
    assert needs_segmenter(when, score, THRESHOLDS) is asked
