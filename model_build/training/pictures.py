"""Training pictures as the net sees them, prepared by the device's own code."""

from collections import OrderedDict
from dataclasses import dataclass

import cv2
import numpy as np
from linewatch_common.manifest import Preparation
from linewatch_vision.preparation import Box, Transform, prepare
from numpy.typing import NDArray

from model_build.data.prepared import Example, PreparedSet

CACHE_BYTES = 4 * 1024**3  # prepared pictures kept in memory; what does not fit is prepared again each time


@dataclass(frozen=True, slots=True)
class Look:
    """One picture. `picture` uint8 (H, W, 3) RGB; `mask` uint8 (classes, H, W), 255 where a pixel is all defective; `counts` uint8
    (H, W), 255 where it counts in full, all 0 for a weak label. `transform`: the way back to the picture's own pixels."""

    picture: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    counts: NDArray[np.uint8]
    defective: bool
    transform: Transform

    @property
    def size(self) -> int:
        """Bytes."""
        return self.picture.nbytes + self.mask.nbytes + self.counts.nbytes


class Pictures:
    """Prepares pictures by id, and keeps as many as memory allows."""

    def __init__(self, data: PreparedSet, preparation: Preparation, limit: int = CACHE_BYTES) -> None:
        self.data, self.preparation, self._room = data, preparation, limit
        self._kept: OrderedDict[str, Look] = OrderedDict()

    def look(self, identifier: str) -> Look:
        """Raises InputError when a file is missing or changed."""
        if identifier in self._kept:
            return self._kept[identifier]
        look = looked(self.data.example(identifier), self.preparation)
        if look.size <= self._room:
            self._room -= look.size
            self._kept[identifier] = look
        return look


def looked(example: Example, preparation: Preparation) -> Look:
    """One example as the net sees it. Raises InputError when the region of interest lies outside the picture."""
    prepared = prepare(example.picture, "Mono8" if example.picture.ndim == 2 else "BGR8", preparation)
    counts = np.zeros_like(example.counts) if example.entry.weak else example.counts
    planes = [_placed(plane, prepared.transform) for plane in (*example.mask, counts)]
    return Look(
        prepared.tensor[0], np.stack(planes[:-1]), planes[-1], bool(example.entry.defective), prepared.transform
    )


def _placed(plane: NDArray[np.bool_], transform: Transform) -> NDArray[np.uint8]:
    """A mask of the picture (H, W) as the share of each input pixel that it covers, 0..255; nothing in the padding."""
    region, content = transform.region, transform.content
    part = plane[_window(region)].astype(np.uint8) * 255
    placed = np.zeros((transform.input_height, transform.input_width), np.uint8)
    shrinks = content.width <= region.width and content.height <= region.height
    kind = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    placed[_window(content)] = cv2.resize(part, (content.width, content.height), interpolation=kind)
    return placed


def _window(box: Box) -> tuple[slice, slice]:
    return slice(box.y, box.y + box.height), slice(box.x, box.x + box.width)
