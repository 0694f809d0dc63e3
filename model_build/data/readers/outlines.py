"""COCO's three ways to draw an area: polygons, run lengths, and run lengths packed into text."""

from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from linewatch_common.errors import InputError

from model_build.data.records import Mask


def area_mask(segmentation: Any, height: int, width: int, source: str) -> Mask:
    """bool (H, W) of one annotation's `segmentation`. Raises InputError when it cannot be drawn."""
    try:
        if isinstance(segmentation, dict):
            return _runs(segmentation, source)
        return _polygons(segmentation, height, width)
    except (TypeError, ValueError, KeyError, IndexError, OverflowError, cv2.error) as error:
        raise InputError(f"{source}: the segmentation cannot be drawn: {error}") from error


def _polygons(polygons: list[Any], height: int, width: int) -> Mask:
    canvas = np.zeros((height, width), np.uint8)
    bare = bool(polygons) and isinstance(polygons[0], int | float)  # one ring, not in a list of rings
    for polygon in [polygons] if bare else polygons:
        points = np.asarray(polygon, np.float64).reshape(-1, 2)
        if not np.isfinite(points).all() or len(points) < 3:
            raise ValueError(f"a polygon of {len(points)} points")
        # A pixel's centre is at +0.5 in COCO's coordinates, at 0 in OpenCV's.
        cv2.fillPoly(canvas, [np.rint(np.clip(points, -1e6, 1e6) - 0.5).astype(np.int32)], 1)
    return canvas.astype(np.bool_)


def _runs(packed: dict[str, Any], source: str) -> Mask:
    height, width = (int(side) for side in packed["size"])
    counts = packed["counts"]
    if isinstance(counts, str):
        counts = unpacked_counts(counts)
    runs = np.asarray(counts, np.int64)
    if height < 1 or width < 1 or (runs < 0).any() or int(runs.sum()) != height * width:
        raise InputError(f"{source}: run lengths of {int(runs.sum())} pixels for a {width}x{height} mask")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(width, height).T  # column by column


def unpacked_counts(text: str) -> list[int]:
    """COCO's compressed run lengths: 5 bits a character from '0' on, bit 6 goes on, each from the third on as a difference.

    After rleFrString in cocoapi's maskApi.c.
    """
    counts: list[int] = []
    value, shift = 0, 0
    for character in text:
        bits = ord(character) - 48
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value, shift = 0, 0
    return counts


def run_lengths(mask: Mask) -> list[int]:
    """The uncompressed run lengths of a mask, column by column, beginning with the good ones."""
    flat = np.concatenate([[False], mask.T.ravel()])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    return [int(stop - start) for start, stop in pairwise([0, *edges.tolist(), mask.size])]
