"""What a model says of all tiles of a part, as one answer, as the device puts them together; a part that was not cut is one tile."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from linewatch_vision.preparation import Transform
from linewatch_vision.tiling import stitched
from numpy.typing import NDArray

from model_build.training.judging import cut_to_picture

Masks = Sequence[NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Joined:
    """`score`: the highest of the tiles. `mask`: probabilities float32 (C, h, w) of the region that the model saw; None without masks."""

    score: float
    mask: NDArray[np.float32] | None


def joined(scores: Sequence[float], masks: Masks, transforms: Sequence[Transform]) -> Joined:
    """One part from its tiles' scores (none: a model without one, whose score is its most defective cell) and masks (1, C, h, w).

    Raises InputError when the masks differ in kind.
    """
    if not masks:
        return Joined(max(scores), None)
    score = max(scores) if scores else max(float(mask.max()) for mask in masks)
    whole, transform = stitched(masks, transforms)
    return Joined(score, cut_to_picture(np.asarray(whole[0], np.float32), transform))
