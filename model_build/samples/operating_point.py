"""Operating points, chosen on validation data, and figures of quality, measured on test data."""

from dataclasses import dataclass

import numpy as np
from linewatch_common.manifest import MaskThresholds, ScoreThresholds
from linewatch_vision.masks import read_mask
from linewatch_vision.preparation import Box, Transform
from numpy.typing import NDArray

from model_build.evaluation.scores import auroc, average_precision, histogram_average_precision

# Wanted shares on validation data. An escape costs more than a look by a person, a false reject costs a good part.
FALSE_REJECTS = 0.005  # of the good parts, at or above the fail threshold
ESCAPES = 0.005  # of the defective parts, below the review threshold
REVIEWS = (0.02, 0.05)  # of the good parts, at or above the review threshold: at least, and at most

Scores = NDArray[np.floating]


@dataclass(frozen=True)
class Counts:
    """Pixel counts by mask value 0..255, of truly defective and of good pixels."""

    defective: NDArray[np.int64]
    good: NDArray[np.int64]


def score_thresholds(labels: NDArray[np.bool_], scores: Scores) -> ScoreThresholds:
    """`fail` where false rejects reach their share; `review` where escapes do, if the reviews stay within theirs."""
    good = scores[~labels]
    fail = float(np.quantile(good, 1 - FALSE_REJECTS, method="higher"))
    most, least = (float(np.quantile(good, 1 - share, method="higher")) for share in REVIEWS)
    wanted = float(np.quantile(scores[labels], ESCAPES, method="lower"))
    review = min(max(wanted, least), most, fail)
    return ScoreThresholds(fail=round(min(1.0, fail + 5e-4), 3), review=round(review, 3))


def score_metrics(labels: NDArray[np.bool_], scores: Scores, thresholds: ScoreThresholds) -> dict[str, float]:
    """Ranking, and what happens at the operating point. Shares of the defective and of the good parts."""
    fail, passed = scores >= thresholds.fail, scores < thresholds.review
    return _rounded(
        {
            "image_ap": average_precision(labels, scores),
            "image_auroc": auroc(labels, scores),
            "escapes": float(passed[labels].mean()),
            "false_rejects": float(fail[~labels].mean()),
            "reviews": float((~fail & ~passed).mean()),
        }
    )


def mask_thresholds(truth: NDArray[np.uint8], masks: NDArray[np.uint8]) -> MaskThresholds:
    """The pixel threshold with the best IoU, then the smallest area with the fewest wrong pictures."""
    counts = pixel_counts(truth, masks)
    pixel = max(range(40, 221, 5), key=lambda value: _iou(counts, value))
    candidates = [MaskThresholds(pixel=round(pixel / 255, 3), minimum_area=area) for area in (4, 6, 8, 12, 16, 24)]
    return min(candidates, key=lambda candidate: _wrong(truth, masks, candidate))


def mask_metrics(
    truth: NDArray[np.uint8], masks: NDArray[np.uint8], thresholds: MaskThresholds, labels: tuple[str, ...]
) -> dict[str, float]:
    """Pixels over all kinds and for each kind; pictures judged by whether any defect is found."""
    counts = pixel_counts(truth, masks)
    found, defective = found_defects(masks, thresholds), (truth > 0).any(axis=(1, 2))
    cut = int(np.ceil(thresholds.pixel * 255))
    kinds = {
        f"pixel_iou_{label}": _kind_iou(truth == kind + 1, masks[:, kind] >= cut) for kind, label in enumerate(labels)
    }
    return _rounded(
        {
            "pixel_ap": histogram_average_precision(counts.defective, counts.good),
            "pixel_iou": _iou(counts, cut),
            **kinds,
            "escapes": float((~found)[defective].mean()),
            "false_rejects": float(found[~defective].mean()),
        }
    )


def pixel_counts(truth: NDArray[np.uint8], masks: NDArray[np.uint8]) -> Counts:
    """Counts by value; a pixel's value is its largest over the kinds."""
    defective, good = np.zeros(256, np.int64), np.zeros(256, np.int64)
    for wanted, mask in zip(truth > 0, masks, strict=True):
        value = mask.max(axis=0)
        defective += np.bincount(value[wanted], minlength=256)
        good += np.bincount(value[~wanted], minlength=256)
    return Counts(defective, good)


def found_defects(masks: NDArray[np.uint8], thresholds: MaskThresholds) -> NDArray[np.bool_]:
    """Whether each mask (N, kinds, H, W) holds a defect, read as the line reads it."""
    whole = Box(0, 0, masks.shape[3], masks.shape[2])
    transform = Transform(whole.width, whole.height, whole.width, whole.height, whole, whole)
    labels = tuple(str(kind) for kind in range(masks.shape[1]))
    return np.array(
        [
            read_mask(mask[None], labels=labels, thresholds=thresholds, transform=transform, limit=1).total > 0
            for mask in masks
        ]
    )


def _wrong(truth: NDArray[np.uint8], masks: NDArray[np.uint8], thresholds: MaskThresholds) -> int:
    return int((found_defects(masks, thresholds) != (truth > 0).any(axis=(1, 2))).sum())


def _iou(counts: Counts, cut: int) -> float:
    hits, false = int(counts.defective[cut:].sum()), int(counts.good[cut:].sum())
    return hits / max(1, int(counts.defective.sum()) + false)


def _kind_iou(wanted: NDArray[np.bool_], found: NDArray[np.bool_]) -> float:
    return float((wanted & found).sum() / max(1, (wanted | found).sum()))


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in figures.items()}
