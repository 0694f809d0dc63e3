"""Which defects were found: every connected defect of the truth, by its size."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from model_build.data.records import Mask
from model_build.evaluation.intervals import Interval, proportion


@dataclass(frozen=True, slots=True)
class Defect:
    """One connected area of the truth, `area` in pixels. Found: any of its pixels is at or above the pixel threshold."""

    picture: str
    area: int
    found: bool


@dataclass(frozen=True, slots=True)
class SizeClass:
    """Recall of the defects with low <= area < high."""

    low: int
    high: int
    defects: int
    found: int
    interval: Interval


def defects_of(picture: str, truth: Mask, likely: NDArray[np.float32], cut: float) -> list[Defect]:
    """Every defect of one picture; truth and probability (H, W)."""
    count, groups, stats, _ = cv2.connectedComponentsWithStats(truth.astype(np.uint8), connectivity=8)
    hit = set(np.unique(groups[likely >= cut]).tolist())
    return [Defect(picture, int(stats[number, cv2.CC_STAT_AREA]), number in hit) for number in range(1, count)]


def recall_by_size(defects: list[Defect]) -> list[SizeClass]:
    """Size classes by powers of four of the area, empty ones left out."""
    classes = []
    for exponent in range(17):
        low, high = 4**exponent, 4 ** (exponent + 1)
        inside = [defect for defect in defects if low <= defect.area < high]
        if inside:
            found = sum(defect.found for defect in inside)
            classes.append(SizeClass(low, high, len(inside), found, proportion(found, len(inside))))
    return classes
