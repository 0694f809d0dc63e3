"""Parts larger than the model's input: cut into tiles that overlap, each prepared on its own, and their masks put together again.

Training, evaluation and the line use these functions. The score of a part is the highest of its tiles.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from linewatch_common.errors import InputError
from linewatch_common.manifest import Preparation, Tiles
from numpy.typing import NDArray

from linewatch_vision.masks import content_cells, resized
from linewatch_vision.preparation import Box, Prepared, Transform, checked, prepare_region, region_of

MAX_TILES = 256  # more is a mistake in the manifest, and would take seconds a part

Mask = NDArray[np.generic]


def prepare_all(picture: NDArray[Any], pixel_format: str, preparation: Preparation) -> tuple[Prepared, ...]:
    """Every tile of one frame, row by row; without tiles the one that `prepare` gives. Raises InputError as `prepare`."""
    frame = checked(picture, pixel_format)
    region = region_of(preparation, frame.shape[1], frame.shape[0])
    boxes = (region,) if preparation.tiles is None else tile_boxes(region, preparation.tiles)
    return tuple(prepare_region(frame, pixel_format, preparation, box) for box in boxes)


def tile_boxes(region: Box, tiles: Tiles) -> tuple[Box, ...]:
    """Where the tiles of `region` lie in the frame, evenly spread; a side that is shorter than a tile is one tile. Raises InputError."""
    columns = _spans(region.x, region.width, tiles.width, tiles.overlap)
    rows = _spans(region.y, region.height, tiles.height, tiles.overlap)
    if len(columns) * len(rows) > MAX_TILES:
        raise InputError(
            f"{region.width}x{region.height} pixels in tiles of {tiles.width}x{tiles.height} are "
            f"{len(columns) * len(rows)} tiles, at most {MAX_TILES} are allowed"
        )
    return tuple(Box(x, y, width, height) for y, height in rows for x, width in columns)


def stitched(masks: Sequence[Mask], transforms: Sequence[Transform]) -> tuple[Mask, Transform]:
    """One mask (1, C, H, W) of all tiles' masks (1, C, h, w), and its way to the frame. Where tiles overlap the higher value stands.

    Raises InputError when a mask has not four axes.
    """
    if len(masks) == 1:
        return masks[0], transforms[0]
    if any(mask.ndim != 4 or mask.shape[:2] != masks[0].shape[:2] for mask in masks):
        raise InputError(f"the masks of the tiles differ: {[mask.shape for mask in masks][:4]}")
    whole = _around([transform.region for transform in transforms])
    x0, x1, y0, y1 = content_cells(masks[0].shape[2:], transforms[0])
    dense_x, dense_y = (x1 - x0) / transforms[0].region.width, (y1 - y0) / transforms[0].region.height
    width, height = max(1, round(whole.width * dense_x)), max(1, round(whole.height * dense_y))
    canvas = np.zeros((1, masks[0].shape[1], height, width), masks[0].dtype)
    for mask, transform in zip(masks, transforms, strict=True):
        x0, x1, y0, y1 = content_cells(mask.shape[2:], transform)
        left, right = _cells(transform.region.x - whole.x, transform.region.width, dense_x, width)
        top, bottom = _cells(transform.region.y - whole.y, transform.region.height, dense_y, height)
        place = canvas[0, :, top:bottom, left:right]
        for channel, plane in enumerate(mask[0, :, y0:y1, x0:x1]):
            np.maximum(place[channel], resized(plane, right - left, bottom - top), out=place[channel])
    first = transforms[0]
    content = Box(0, 0, width, height)
    return canvas, Transform(first.frame_width, first.frame_height, width, height, whole, content)


def _spans(start: int, side: int, tile: int, overlap: int) -> list[tuple[int, int]]:
    """Start and length of the tiles along one axis: as few as keep the overlap."""
    if side <= tile:
        return [(start, side)]
    count = math.ceil((side - overlap) / (tile - overlap))
    return [(start + number * (side - tile) // (count - 1), tile) for number in range(count)]


def _around(regions: Sequence[Box]) -> Box:
    x, y = min(box.x for box in regions), min(box.y for box in regions)
    right, bottom = max(box.x + box.width for box in regions), max(box.y + box.height for box in regions)
    return Box(x, y, right - x, bottom - y)


def _cells(start: int, side: int, dense: float, limit: int) -> tuple[int, int]:
    """First and last cell, at least one, inside the canvas."""
    first = min(round(start * dense), limit - 1)
    return first, min(limit, max(first + 1, round((start + side) * dense)))
