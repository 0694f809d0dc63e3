"""All figures of one model, from its predictions out of fold and on the test split."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from linewatch_common.errors import InputError
from numpy.typing import NDArray

from model_build.data.prepared import PreparedSet
from model_build.data.splits import TEST, TRAIN, Splits
from model_build.evaluation.defects import Defect, SizeClass, defects_of, recall_by_size
from model_build.evaluation.intervals import Interval, by_part
from model_build.evaluation.operating_point import OperatingPoint, Outcome, Target, choose, oracle_escapes, outcome
from model_build.evaluation.pixels import PixelCounts, PixelPrecision
from model_build.evaluation.predictions import Predictions
from model_build.evaluation.scores import auroc, average_precision

Steps = Callable[[Iterable[str]], Iterable[str]]


@dataclass(frozen=True, slots=True)
class PixelFigures:
    """`cut`: the pixel threshold, of the best IoU on validation data."""

    ap: PixelPrecision
    ap_interval: Interval | None
    cut: float
    iou: float
    recall: list[SizeClass]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Figures on the test split. `worst`: pictures on the wrong side, the furthest from the threshold first."""

    model: str
    data: str
    splits: str
    image_ap: float
    image_ap_interval: Interval | None
    auroc: float
    auroc_interval: Interval | None
    target: Target
    point: OperatingPoint
    outcome: Outcome
    oracle_escapes_at_1_false_reject: int
    pixel: PixelFigures | None
    worst: list[str]


def evaluate(
    data: PreparedSet, splits: Splits, validation: Predictions, test: Predictions, *, target: Target, steps: Steps
) -> Evaluation:
    """Thresholds from `validation` (out of fold, over the training pictures), figures from `test`. Raises InputError."""
    names = splits.splits[TEST]
    labels, scores = _table(data, test, names)
    if not labels.any() or labels.all():
        raise InputError(
            "the test split needs good and defective pictures (a set of good ones alone: prepare --draw-defects)"
        )
    point = choose(*_table(data, validation, splits.splits[TRAIN]), target)
    parts = [data.entry(name).part for name in names]
    return Evaluation(
        model=test.document.model,
        data=data.digest,
        splits=splits.checksum,
        image_ap=average_precision(labels, scores),
        image_ap_interval=by_part(parts, _redrawn(average_precision, labels, scores)),
        auroc=auroc(labels, scores),
        auroc_interval=by_part(parts, _redrawn(auroc, labels, scores)),
        target=target,
        point=point,
        outcome=outcome(labels, scores, point),
        oracle_escapes_at_1_false_reject=oracle_escapes(labels, scores),
        pixel=_pixel_figures(data, splits, validation, test, steps),
        worst=_worst(names, labels, scores, point),
    )


def _table(
    data: PreparedSet, said: Predictions, names: tuple[str, ...]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    labels = np.array([data.entry(name).defective for name in names], np.bool_)
    return labels, np.array([said.document.scores[name] for name in names], np.float64)


def _redrawn(
    figure: Callable[[NDArray[np.bool_], NDArray[np.float64]], float],
    labels: NDArray[np.bool_],
    scores: NDArray[np.float64],
) -> Callable[[NDArray[np.int64]], float | None]:
    def drawn(weights: NDArray[np.int64]) -> float | None:
        chosen = np.repeat(labels, weights)
        return figure(chosen, np.repeat(scores, weights)) if chosen.any() and not chosen.all() else None

    return drawn


def _pixel_figures(
    data: PreparedSet, splits: Splits, validation: Predictions, test: Predictions, steps: Steps
) -> PixelFigures | None:
    if not (validation.document.masks and test.document.masks):
        return None
    cut = _counted(data, validation, steps(splits.splits[TRAIN])).best_cut()
    if cut is None:
        return None
    defects: list[Defect] = []
    counts = _counted(data, test, steps(splits.splits[TEST]), (cut, defects))
    precision, iou = counts.precision(), counts.iou(cut)
    if precision is None or iou is None:
        return None
    return PixelFigures(precision, counts.interval(), cut, iou, recall_by_size(defects))


def _counted(
    data: PreparedSet, said: Predictions, names: Iterable[str], found: tuple[float, list[Defect]] | None = None
) -> PixelCounts:
    """Pool pixels; weak labels do not count, nobody knows which of their pixels are good."""
    counts = PixelCounts()
    for name in names:
        entry = data.entry(name)
        if entry.weak:
            continue
        truth: NDArray[np.bool_] = np.asarray(data.mask(name).any(axis=0))
        likely = said.mask(entry, data.index)
        counts.add(entry.part, truth, data.counts(name), likely)
        if found is not None:
            found[1].extend(defects_of(name, truth, likely, found[0]))
    return counts


def _worst(
    names: tuple[str, ...], labels: NDArray[np.bool_], scores: NDArray[np.float64], point: OperatingPoint
) -> list[str]:
    off = np.where(labels, point.review - scores, scores - point.fail)
    wrong = np.where(labels, scores < point.review, scores >= point.fail)
    return [names[index] for index in np.argsort(-off, kind="stable") if wrong[index]]
