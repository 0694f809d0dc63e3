"""From a segmenter's mask to defects in the frame, and to a small picture of the mask for the store."""

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from linewatch_common.errors import InputError
from linewatch_common.manifest import MaskThresholds
from numpy.typing import NDArray

from linewatch_vision.ignoring import Ignored, ignored_cells
from linewatch_vision.preparation import Box, Transform

Mask = NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class Defect:
    """One connected group of defective cells. `box` in whole pixels of the frame, inside it; `area` in pixels of it."""

    label: str
    box: Box
    area: int
    score: float


@dataclass(frozen=True, slots=True)
class Reading:
    """`defects`: the largest first, at most the asked number. `total`: how many there were."""

    defects: tuple[Defect, ...]
    total: int


def read_mask(
    mask: Mask,
    *,
    labels: tuple[str, ...],
    thresholds: MaskThresholds,
    transform: Transform,
    limit: int,
    ignored: Ignored | None = None,
) -> Reading:
    """Find the defects in a mask (1, C, H, W), one channel a label, uint8 0..255 or float 0..1, of any H and W.

    Channels are read together, so one flaw that two channels see is one defect: its label is the channel with the
    largest sum over its cells. Cells in the padding of a letterboxed input do not count, nor do those that `ignored`
    (the frame's pixels, True: never counts) covers by half. Raises InputError when the mask's shape or dtype does not
    fit, when it holds NaN or infinity, or when `ignored` is of another size than the frame.
    """
    planes = _planes(mask, len(labels))
    likely = planes[0] if len(planes) == 1 else planes.max(axis=0)
    if likely.dtype.kind == "f" and not np.isfinite(likely).all():
        raise InputError("a mask holds values that are no numbers")  # they would read as "no defect"
    found = (likely >= _cut(thresholds.pixel, likely)).astype(np.uint8)
    _blank_padding(found, transform)
    if ignored is not None:
        found[ignored_cells(ignored, found.shape, content_cells(found.shape, transform), transform)] = 0
    count, groups, stats, _ = cv2.connectedComponentsWithStats(found, connectivity=8)
    areas = stats[1:count, cv2.CC_STAT_AREA]
    big = np.flatnonzero(areas >= thresholds.minimum_area)
    largest = big[np.argsort(-areas[big], kind="stable")][:limit]
    groups_found = (_Group.cut(int(number) + 1, groups, stats, planes) for number in largest)
    per_cell = transform.input_width / found.shape[1], transform.input_height / found.shape[0]
    defects = tuple(_defect(group, labels, thresholds.score, transform, per_cell) for group in groups_found)
    return Reading(defects, len(big))


def mask_png(mask: Mask, transform: Transform, max_side: int) -> bytes:
    """The mask as an 8-bit grey PNG of the frame's aspect, its longer side at most `max_side`: 255 is a certain defect.

    Outside the region that the model saw it is 0.
    """
    planes = _planes(mask, mask.shape[1] if mask.ndim == 4 else 0)
    likely = planes.max(axis=0)
    grey = likely if likely.dtype == np.uint8 else np.rint(np.clip(likely, 0, 1) * 255).astype(np.uint8)
    zoom = min(1.0, max_side / max(transform.frame_width, transform.frame_height))
    width, height = (max(1, round(side * zoom)) for side in (transform.frame_width, transform.frame_height))
    canvas = np.zeros((height, width), np.uint8)
    x0, x1, y0, y1 = content_cells(grey.shape, transform)
    region = transform.region
    left, top = min(width - 1, int(region.x * zoom)), min(height - 1, int(region.y * zoom))
    right = min(width, max(left + 1, round((region.x + region.width) * zoom)))
    bottom = min(height, max(top + 1, round((region.y + region.height) * zoom)))
    canvas[top:bottom, left:right] = cv2.resize(
        grey[y0:y1, x0:x1], (right - left, bottom - top), interpolation=cv2.INTER_LINEAR_EXACT
    )
    done, data = cv2.imencode(".png", canvas)
    if not done:
        raise InputError(f"a {width}x{height} mask cannot be encoded as PNG")
    return bytes(data)


def resized(plane: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    """One channel of a mask, uint8 or float (h, w), as (height, width), bilinear."""
    if plane.shape == (height, width):
        return plane
    if plane.dtype == np.uint8:
        return np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR_EXACT))
    wide = cv2.resize(plane.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(wide).astype(plane.dtype)


def _planes(mask: Mask, channels: int) -> NDArray[Any]:
    if mask.ndim != 4 or mask.shape[0] != 1 or mask.shape[1] != channels or 0 in mask.shape:
        raise InputError(f"a mask of {channels} labels needs the shape (1, {channels}, H, W), got {mask.shape}")
    if mask.dtype != np.uint8 and mask.dtype.kind != "f":
        raise InputError(f"a mask needs dtype uint8 or float, got {mask.dtype}")
    planes: NDArray[Any] = mask[0]
    return planes


def _cut(pixel: float, likely: NDArray[Any]) -> float:
    """The threshold on the mask's own scale; for uint8 the first whole value at or above it."""
    return max(1, math.ceil(pixel * 255 - 1e-9)) if likely.dtype == np.uint8 else pixel


def content_cells(shape: tuple[int, ...], transform: Transform) -> tuple[int, int, int, int]:
    """Columns and rows of the mask that hold the picture: x0, x1, y0, y1. A cell that is half padding still counts."""
    per_x, per_y = shape[1] / transform.input_width, shape[0] / transform.input_height
    content = transform.content
    x0, y0 = int(content.x * per_x), int(content.y * per_y)
    x1 = max(x0 + 1, math.ceil((content.x + content.width) * per_x - 1e-9))
    y1 = max(y0 + 1, math.ceil((content.y + content.height) * per_y - 1e-9))
    return x0, x1, y0, y1


def _blank_padding(found: NDArray[np.uint8], transform: Transform) -> None:
    x0, x1, y0, y1 = content_cells(found.shape, transform)
    found[:y0], found[y1:], found[:, :x0], found[:, x1:] = 0, 0, 0, 0


@dataclass(frozen=True, slots=True)
class _Group:
    """Connected cells: their rectangle in cells, and the probabilities of each channel at each cell, (C, cells)."""

    left: int
    top: int
    width: int
    height: int
    values: NDArray[np.float64]

    @classmethod
    def cut(cls, number: int, groups: NDArray[np.int32], stats: NDArray[np.int32], planes: NDArray[Any]) -> "_Group":
        left, top, width, height = (int(value) for value in stats[number][:4])
        window = np.s_[top : top + height, left : left + width]
        values = planes[(slice(None), *window)][:, groups[window] == number].astype(np.float64)
        return cls(left, top, width, height, values / 255 if planes.dtype == np.uint8 else values)


def _defect(
    group: _Group, labels: tuple[str, ...], score: str, transform: Transform, per_cell: tuple[float, float]
) -> Defect:
    """`per_cell`: pixels of the model's input per cell of the mask, along x and y."""
    (per_x, per_y), (scale_x, scale_y) = per_cell, transform.scale
    right, bottom = group.left + group.width, group.top + group.height
    box = transform.to_frame(group.left * per_x, group.top * per_y, right * per_x, bottom * per_y)
    cells = group.values.shape[1]
    area = max(1, min(round(cells * per_x * per_y * scale_x * scale_y), box.width * box.height))
    likely = group.values.max(axis=0)
    label = labels[int(np.argmax(group.values.sum(axis=1)))]
    return Defect(label, box, area, float(likely.max() if score == "max" else likely.mean()))
