"""From a segmenter's mask to a coloured picture of it, and how much each label covers."""

import colorsys
from dataclasses import dataclass
from typing import Any

import numpy as np
from linewatch_common.errors import LinewatchError
from linewatch_vision.preparation import Transform
from numpy.typing import NDArray

from linewatch_agent.lookout.pictures import Picture

BACKGROUND = "background"
# Lookout's colours: background, then the labels in the model's order.
_COLOURS = ("#FFFFFF", "#23A436", "#14A3B3", "#F76902", "#9380FF", "#BD10E0")
_GOLDEN_RATIO = 0.6180339887  # steps through the colour circle that keep neighbours apart


@dataclass(frozen=True, slots=True)
class Area:
    """`share` of the picture's pixels, 0 to 1; `colour` in the mask, "#RRGGBB"."""

    name: str
    share: float
    colour: str


@dataclass(frozen=True, slots=True)
class Anomalies:
    """`mask`: uint8 (H, W, 3), RGB, of the picture's size. `areas`: the background first, then every label that occurs."""

    mask: Picture
    areas: tuple[Area, ...]


def nothing(transform: Transform) -> Anomalies:
    """A picture that is all background."""
    size = (transform.frame_height, transform.frame_width, 3)
    return Anomalies(np.full(size, 255, np.uint8), (Area(BACKGROUND, 1.0, colour(0)),))


def read_anomalies(mask: NDArray[Any], labels: tuple[str, ...], pixel: float, transform: Transform) -> Anomalies:
    """Read a mask (1, C, h, w), one channel a label, uint8 0..255 or float 0..1; a cell at or above `pixel` is its strongest label's.

    Each pixel of the picture takes the cell it lies in; what the model did not see is background. Raises LinewatchError for
    values that are no numbers.
    """
    planes = mask[0]
    if planes.dtype.kind == "f" and not np.isfinite(planes).all():
        raise LinewatchError("the mask holds values that are no numbers")
    cut = pixel * 255 - 1e-9 if planes.dtype == np.uint8 else pixel
    cells = np.where(planes.max(axis=0) >= cut, planes.argmax(axis=0) + 1, 0).astype(np.uint8)
    classes = _spread(cells, transform)
    counts = np.bincount(classes.ravel(), minlength=len(labels) + 1)
    palette = np.array([_rgb(colour(number)) for number in range(len(labels) + 1)], np.uint8)
    areas = tuple(
        Area(name, float(count) / classes.size, colour(number))
        for number, (name, count) in enumerate(zip((BACKGROUND, *labels), counts, strict=True))
        if number == 0 or count
    )
    return Anomalies(palette[classes], areas)


def colour(number: int) -> str:
    """The colour of the background (0) and of each label (1…)."""
    if number < len(_COLOURS):
        return _COLOURS[number]
    parts = colorsys.hsv_to_rgb(number * _GOLDEN_RATIO % 1, 0.85, 0.8)
    return "#" + "".join(f"{round(part * 255):02X}" for part in parts)


def _rgb(text: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(text[1:]))


def _spread(cells: NDArray[np.uint8], transform: Transform) -> NDArray[np.uint8]:
    """The cell of every pixel of the frame."""
    classes = np.zeros((transform.frame_height, transform.frame_width), np.uint8)
    region, content, (scale_x, scale_y) = transform.region, transform.content, transform.scale
    columns = _cells_of(region.width, content.x, scale_x, cells.shape[1] / transform.input_width, cells.shape[1])
    rows = _cells_of(region.height, content.y, scale_y, cells.shape[0] / transform.input_height, cells.shape[0])
    window = np.s_[region.y : region.y + region.height, region.x : region.x + region.width]
    classes[window] = cells[rows][:, columns]
    return classes


def _cells_of(pixels: int, start: int, scale: float, per_input: float, cells: int) -> NDArray[np.intp]:
    place = (start + (np.arange(pixels) + 0.5) / scale) * per_input
    return np.minimum(place.astype(np.intp), cells - 1)
