"""Which pictures become a package's golden set: rightly judged and away from the thresholds."""

import numpy as np
from linewatch_common.errors import InputError
from numpy.typing import NDArray

from model_build.samples.data import Prepared
from model_build.samples.operating_point import Scores

GOLDEN_MARGIN = 0.1  # a golden score lies at least this far from both thresholds, so tolerance cannot turn a decision


def golden_scores(labels: NDArray[np.bool_], scores: Scores, low: float, high: float) -> NDArray[np.int64]:
    """Rightly judged pictures whose scores lie well away from both thresholds, half of them defective."""
    margin = np.minimum(np.abs(scores - low), np.abs(scores - high))
    right = (labels & (scores >= high)) | (~labels & (scores < low))
    order = np.argsort(-margin, kind="stable")
    usable = order[(right & (margin >= GOLDEN_MARGIN))[order]]
    return np.concatenate([_spread(usable[~labels[usable]]), _spread(usable[labels[usable]])])


def _spread(order: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first, a middle and the last: saturated scores alone would hide a broken runtime."""
    if not order.size:
        raise InputError("no picture is judged clearly enough for a golden set: the model has learnt nothing")
    return order[[0, len(order) // 2, len(order) - 1]]


def golden_masks(data: Prepared, masks: NDArray[np.uint8], pixel: float) -> NDArray[np.int64]:
    """A good picture, and of each kind, rightly named, the one whose mask changes least with the threshold."""
    value, cut = masks.max(axis=1), pixel * 255
    lax, strict = (value >= cut * 0.9).sum(axis=(1, 2)), (value >= cut * 1.1).sum(axis=(1, 2))
    stable = strict / np.maximum(1, lax)
    named = np.array([_kind(mask, cut) for mask in masks])
    picks = [int(np.flatnonzero(~data.labels & (lax == 0))[0])]
    for kind in range(1, masks.shape[1] + 1):
        only = ~((data.masks > 0) & (data.masks != kind)).any(axis=(1, 2)) & data.labels & (named == kind)
        picks.append(int(np.argmax(np.where(only, stable, -1))))
    return np.array(picks)


def _kind(mask: NDArray[np.uint8], cut: float) -> int:
    """The kind, from 1, with the largest sum over the defective cells of a mask (kinds, H, W); 0 without any."""
    defective = mask.max(axis=0) >= cut
    return int(mask[:, defective].sum(axis=1, dtype=np.int64).argmax()) + 1 if defective.any() else 0
