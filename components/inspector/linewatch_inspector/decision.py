"""The decision rule: a pure function of the numbers.

    classifier's score        segmenter not run   no defects   defects
    at or above fail          fail                fail         fail
    review to below fail      review              review       fail
    below review              pass                pass         review

A reject by the classifier stands even where the segmenter finds nothing: an escape costs more than a false reject. In the review band a
defect found confirms it. Below the band, a defect that only the segmenter sees goes to a person, because the models disagree.
"""

from dataclasses import dataclass
from typing import Literal

from linewatch_common.manifest import ScoreThresholds
from linewatch_common.messages import Outcome

SegmentWhen = Literal["always", "not-pass"]


@dataclass(frozen=True, slots=True)
class Decision:
    """`outcome` is pass, fail or review; `reason` says in one line why."""

    outcome: Outcome
    reason: str


def needs_segmenter(when: SegmentWhen, score: float, thresholds: ScoreThresholds) -> bool:
    """Whether the plan asks the segmenter about a frame of this score."""
    return when == "always" or score >= thresholds.review


def decide(score: float, thresholds: ScoreThresholds, defects: int | None) -> Decision:
    """`defects` is the number that the segmenter found, None where it did not run."""
    found = "" if defects is None else f", {defects} defect{'' if defects == 1 else 's'} found"
    if score >= thresholds.fail:
        return Decision(Outcome.FAIL, f"score {score:.3f} >= {thresholds.fail:.3f} (fail){found}")
    if score >= thresholds.review:
        outcome = Outcome.FAIL if defects else Outcome.REVIEW
        return Decision(outcome, f"score {score:.3f} >= {thresholds.review:.3f} (review){found}")
    if defects:
        return Decision(Outcome.REVIEW, f"score {score:.3f} < {thresholds.review:.3f} (review){found}: models disagree")
    return Decision(Outcome.PASS, f"score {score:.3f} < {thresholds.review:.3f} (review){found}")
