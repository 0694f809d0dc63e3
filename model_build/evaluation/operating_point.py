"""The operating point: two thresholds, chosen on validation data alone for a stated target."""

from dataclasses import dataclass
from math import floor

import numpy as np
from linewatch_common.errors import InputError
from numpy.typing import NDArray

from model_build.evaluation.intervals import Interval, proportion, upper_bound

Labels = NDArray[np.bool_]
Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Target:
    """Shares that are allowed: of the defective parts to escape, of the good parts to be rejected."""

    escapes: float = 0.02
    false_rejects: float = 0.02


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A score at or above `fail` is a reject; at or above `review` and below `fail` a person decides.

    `escapes_upper`: with 95 % confidence no more than this share escapes, judged from the `defects` of the validation data.
    `statement` is the sentence for the report.
    """

    review: float
    fail: float
    defects: int
    escapes: int
    escapes_upper: float
    demonstrable: bool
    statement: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """Counts at an operating point, with 95 % intervals of the shares."""

    defective: int
    good: int
    escapes: int
    false_rejects: int
    reviews: int
    escapes_interval: Interval
    false_rejects_interval: Interval


def choose(labels: Labels, scores: Scores, target: Target) -> OperatingPoint:
    """From out-of-fold scores: the highest `review` and the lowest `fail` that keep the target.

    Raises InputError when there is no defective or no good picture to choose by.
    """
    bad, good = np.sort(scores[labels]), np.sort(scores[~labels])
    if len(bad) == 0 or len(good) == 0:
        raise InputError(
            f"no threshold can be chosen from {len(bad)} defective and {len(good)} good training pictures: both are needed, "
            "`prepare --split random` spreads them, `--draw-defects` gives a set of good ones some"
        )
    review = _below(scores, float(bad[min(len(bad) - 1, floor(target.escapes * len(bad)))]))
    fail = _above(scores, float(good[max(0, len(good) - 1 - floor(target.false_rejects * len(good)))]))
    # Where one threshold keeps both, the lower one: it costs no more than is allowed and lets fewer defects escape.
    review = min(review, fail)
    escapes = int((bad < review).sum())
    bound, least = upper_bound(escapes, len(bad)), upper_bound(0, len(bad))
    return OperatingPoint(
        review, fail, len(bad), escapes, bound, bound <= target.escapes, _said(target, bad, escapes, bound, least)
    )


def outcome(labels: Labels, scores: Scores, point: OperatingPoint) -> Outcome:
    """What the operating point does to these pictures."""
    escapes = int((labels & (scores < point.review)).sum())
    rejects = int((~labels & (scores >= point.fail)).sum())
    reviews = int(((scores >= point.review) & (scores < point.fail)).sum())
    bad, good = int(labels.sum()), int((~labels).sum())
    return Outcome(bad, good, escapes, rejects, reviews, proportion(escapes, bad), proportion(rejects, good))


def oracle_escapes(labels: Labels, scores: Scores, false_rejects: int = 1) -> int:
    """Fewest escapes of any single threshold with at most so many false rejects. It sees the labels: for comparison only."""
    good = np.sort(scores[~labels])[::-1]
    if len(good) <= false_rejects:
        return 0
    return int((scores[labels] <= good[false_rejects]).sum())


def _said(target: Target, bad: Scores, escapes: int, bound: float, least: float) -> str:
    found = f"{escapes} of {len(bad)} defects escape in validation; with 95 % confidence at most {bound:.1%}"
    if bound <= target.escapes:
        return f"{found}: the target of {target.escapes:.1%} is demonstrated"
    if least > target.escapes:
        return f"{found}: target not demonstrable with {len(bad)} defects (without any escape the bound is {least:.1%})"
    return f"{found}: the target of {target.escapes:.1%} is not demonstrated"


def _below(scores: Scores, value: float) -> float:
    """Between `value` and the next lower score."""
    lower = scores[scores < value]
    return value if len(lower) == 0 else _middle(float(lower.max()), value)


def _above(scores: Scores, value: float) -> float:
    """Above `value`: between it and the next higher score, or 1."""
    higher = scores[scores > value]
    return _middle(value, float(higher.min()) if len(higher) else 1.0)


def _middle(low: float, high: float) -> float:
    """Half-way, and never equal to `low`: a score at the threshold is a reject."""
    middle = (low + high) / 2
    return middle if middle > low else high
