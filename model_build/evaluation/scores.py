"""Figures of quality, in plain numpy."""

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating]
Labels = NDArray[np.bool_]


def average_precision(labels: Labels, values: Values) -> float:
    """Area under the precision-recall curve by steps; equal values count together. 0 without a positive."""
    positives = int(labels.sum())
    if positives == 0:
        return 0.0
    hits, taken = _cumulated(labels, values)
    precision, recall = hits / taken, hits / positives
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def histogram_average_precision(positives: NDArray[np.int64], negatives: NDArray[np.int64]) -> float:
    """The same from counts by value, lowest value first: for millions of pixels with 256 values."""
    hits, false = np.cumsum(positives[::-1]), np.cumsum(negatives[::-1])
    if hits[-1] == 0:
        return 0.0
    precision = hits / np.maximum(1, hits + false)
    return float(np.sum(np.diff(hits / hits[-1], prepend=0.0) * precision))


def auroc(labels: Labels, values: Values) -> float:
    """Probability that a positive scores above a negative, ties half. 0 when one of the two is missing."""
    positives, negatives = int(labels.sum()), int((~labels).sum())
    if positives == 0 or negatives == 0:
        return 0.0
    hits, taken = _cumulated(labels, values)
    true, false = np.concatenate([[0], hits]) / positives, np.concatenate([[0], taken - hits]) / negatives
    return float(np.sum(np.diff(false) * (true[1:] + true[:-1]) / 2))


def _cumulated(labels: Labels, values: Values) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """At each distinct value, from the highest: positives at or above it, and all at or above it."""
    order = np.argsort(-values, kind="stable")
    last_of_value = np.append(np.diff(values[order]) != 0, True)
    hits = np.cumsum(labels[order].astype(np.int64))
    return hits[last_of_value], (np.arange(len(order)) + 1)[last_of_value]
