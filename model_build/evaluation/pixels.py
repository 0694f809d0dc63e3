"""Pixel figures over all pictures at their own resolution, in memory that does not grow with their number of pixels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma

from model_build.data.records import Mask
from model_build.evaluation.intervals import Interval, by_part

BINS = 65536
Counts = NDArray[np.int64]
# Bins kept a picture, for the interval only: where each begins among the fine ones. Even in log-odds: a net that is sure of itself keeps
# nearly all of its pixels within a thousandth of 0 or of 1.
_COARSE = np.unique((BINS / (1 + np.exp(-np.linspace(-12, 12, 1024)))).astype(np.int64))


@dataclass(frozen=True, slots=True)
class PixelPrecision:
    """Average precision over pooled pixels. The true value lies in low..high whatever the order inside a bin is."""

    value: float
    low: float
    high: float


class PixelCounts:
    """Histograms of probabilities, of defective and of good pixels: 65536 bins, so two values in one differ by under 2e-5."""

    def __init__(self) -> None:
        self._pooled: Counts = np.zeros((2, BINS), np.int64)
        self._each: list[Counts] = []
        self._parts: list[str] = []

    def add(self, part: str, truth: Mask, counts: Mask, likely: NDArray[np.float32]) -> None:
        """One picture, each (H, W): truth, which pixels count, probability of a defect."""
        bins = np.minimum((likely[counts] * BINS).astype(np.int64), BINS - 1)
        defective = truth[counts]
        found = np.stack([np.bincount(bins[kind], minlength=BINS) for kind in (~defective, defective)])
        self._pooled += found
        self._each.append(np.add.reduceat(found, _COARSE, axis=1))
        self._parts.append(part)

    def precision(self) -> PixelPrecision | None:
        """None without a defective pixel."""
        good, defective = self._pooled[0, ::-1], self._pooled[1, ::-1]
        total = int(defective.sum())
        if total == 0:
            return None
        return PixelPrecision(binned_precision(self._pooled), *_bounds(good, defective, total))

    def interval(self) -> Interval | None:
        """95 %, parts redrawn, from some 700 bins, finest at both ends."""
        each = np.stack(self._each)

        def figure(weights: NDArray[np.int64]) -> float | None:
            counts = np.tensordot(weights, each, axes=1)
            return binned_precision(counts) if counts[1].any() else None

        return by_part(self._parts, figure, draws=200)

    def iou(self, cut: float) -> float | None:
        """Intersection over union of all pixels at or above `cut`. None without a defective pixel."""
        first = int(np.ceil(cut * BINS))
        hits, false = int(self._pooled[1, first:].sum()), int(self._pooled[0, first:].sum())
        total = int(self._pooled[1].sum())
        return hits / (total + false) if total else None

    def best_cut(self) -> float | None:
        """The probability at which the IoU is best: for validation data only. None without a defective pixel.

        Between two probabilities that no pixel has it makes no difference: half-way, as far from the one as from the other.
        """
        total = int(self._pooled[1].sum())
        if total == 0:
            return None
        hits, false = (np.cumsum(self._pooled[kind, ::-1])[::-1] for kind in (1, 0))
        overlap = hits / (total + false)
        first = int(np.argmax(overlap))
        others = np.flatnonzero(overlap[first:] != overlap[first])
        last = first + (int(others[0]) if len(others) else BINS - first) - 1
        return max(1, (first + last) // 2) / BINS


def binned_precision(counts: Counts) -> float:
    """Average precision of (2, bins) counts, good then defective; what shares a bin counts together."""
    hits, false = np.cumsum(counts[1, ::-1]), np.cumsum(counts[0, ::-1])
    precision = hits / np.maximum(1, hits + false)
    return float(np.sum(counts[1, ::-1] * precision) / hits[-1])


def _bounds(good: Counts, defective: Counts, total: int) -> tuple[float, float]:
    """The worst and the best order inside each bin. The sum over i of (h+i)/(b+i) is p - (b-h)(psi(b+p+1) - psi(b+1))."""
    before_hits, before = np.cumsum(defective) - defective, np.cumsum(good + defective) - good - defective

    def area(start: Counts) -> float:
        sums = defective - (start - before_hits) * (digamma(start + defective + 1.0) - digamma(start + 1.0))
        return float(np.sum(np.where(defective > 0, sums, 0.0)) / total)

    return area(before + good), area(before)
