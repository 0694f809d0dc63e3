"""What preparing a picture needs of OpenCV: by OpenCV where it is installed, else by numpy with the same bytes.

The agent prepares pictures only for `AWS.LookoutVision`; OpenCV would double its artefact.
"""

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

try:
    import cv2
except ImportError:
    cv2 = None  # type: ignore[assignment]  # numpy does it then

# OpenCV's weights are multiples of 1/256: 8 bits after the point along each axis, 16 in the product.
_ONE = np.uint32(256)
_HALF_OF_PRODUCT = np.uint32(1 << 15)

Picture = NDArray[np.uint8]


def resize_exact(picture: NDArray[Any], width: int, height: int) -> Picture:
    """uint8 (H, W) or (H, W, C) as (height, width) or (height, width, C), by cv2.INTER_LINEAR_EXACT."""
    if cv2 is None:
        return resize_by_numpy(picture, width, height)
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR_EXACT)  # type: ignore[no-any-return]  # untyped


def grey_to_rgb(picture: NDArray[Any]) -> Picture:
    """uint8 (H, W) as (H, W, 3)."""
    if cv2 is None:
        return np.repeat(picture[:, :, np.newaxis], 3, axis=2)
    return cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB)  # type: ignore[no-any-return]  # untyped


def resize_by_numpy(picture: NDArray[Any], width: int, height: int) -> Picture:
    """The same without OpenCV."""
    left, right, x_weight = _taps(picture.shape[1], width)
    upper, lower, y_weight = _taps(picture.shape[0], height)
    channels = (1,) * (picture.ndim - 2)
    x_weight, y_weight = x_weight.reshape(1, -1, *channels), y_weight.reshape(-1, 1, *channels)
    above, below = (
        rows[:, left] * (_ONE - x_weight) + rows[:, right] * x_weight for rows in (picture[upper], picture[lower])
    )
    mixed: NDArray[np.uint32] = above * (_ONE - y_weight) + below * y_weight + _HALF_OF_PRODUCT
    return (mixed >> 16).astype(np.uint8)


@functools.lru_cache(maxsize=32)
def _taps(source: int, target: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.uint32]]:
    """For each target pixel along an axis the two source pixels, and the second one's weight in 1/256."""
    scale = 1.0 / (target / source)  # in this order, as OpenCV: the last bit matters
    place = scale * (np.arange(target) + 0.5) - 0.5
    first = np.floor(place).astype(np.intp)
    inside = (first >= 0) & (first < source - 1)
    weight = np.where(inside, np.rint((place - first) * _ONE), 0).astype(np.uint32)
    first = np.clip(first, 0, source - 1)
    return first, np.minimum(first + 1, source - 1), weight
