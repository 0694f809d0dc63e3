"""What a model file says of a picture: prepared, cut into tiles and put together by the code that the device runs."""

from typing import Any

import numpy as np
from linewatch_common.errors import InputError
from linewatch_common.manifest import Preparation
from numpy.typing import NDArray

from model_build.compiling.pictures import as_on_device
from model_build.compiling.running import Model
from model_build.data.prepared import Example
from model_build.nets.interface import MASK, SCORE
from model_build.training.joining import Joined, joined


def asked(model: Model, example: Example, preparation: Preparation) -> Joined:
    """Raises InputError when it is no model of ours, says what is no number, or the preparation does not fit the picture."""
    tiles = as_on_device(example, preparation)
    answers = [model.run(tile.tensor) for tile in tiles]
    scores = [float(_probable(answer[SCORE]).flat[0]) for answer in answers if SCORE in answer]
    masks = [_probable(answer[MASK]) for answer in answers if MASK in answer]
    if not scores and not masks:
        raise InputError(f"the model has neither the output {SCORE!r} nor {MASK!r}, but {sorted(answers[0])}")
    if not all(np.isfinite(said).all() for said in (np.array(scores), *masks)):  # they would pass for a good part
        raise InputError(f"{example.entry.id}: the model gives values that are no numbers")
    return joined(scores, masks, [tile.transform for tile in tiles])


def _probable(array: NDArray[Any]) -> NDArray[np.float32]:
    """Probabilities: uint8 0..255 stands for 0..1."""
    values = array.astype(np.float32)
    return values / np.float32(255) if array.dtype == np.uint8 else values
