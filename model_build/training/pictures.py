"""Training pictures as the net sees them, prepared by the device's own code."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from linewatch_common.manifest import Preparation
from linewatch_vision.preparation import Box, Prepared, Transform, prepare
from numpy.typing import NDArray

from model_build.data.prepared import Example, PreparedSet
from model_build.nets.interface import Said

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
    """Prepares pictures by id, and keeps as many as memory allows.

    A *unit* is what the net sees at once: here the whole picture. `model_build.training.tiled` cuts pictures into several.
    """

    def __init__(self, data: PreparedSet, preparation: Preparation, limit: int = CACHE_BYTES) -> None:
        self.data, self.preparation, self._room = data, preparation, limit
        self._kept: OrderedDict[str, Look] = OrderedDict()

    def kinds(self, names: Sequence[str]) -> tuple[list[str], list[str]]:
        """The units of these pictures that a course learns from: good ones, and defective ones."""
        defective = [name for name in names if self.data.entry(name).defective]
        marked = set(defective)
        return [name for name in names if name not in marked], defective

    def units(self, name: str) -> tuple[str, ...]:
        """All units of one picture."""
        return (name,)

    def joined(self, name: str, answers: Sequence[tuple[Look, Said]]) -> tuple[Look, Said]:  # noqa: ARG002 - who cuts needs it
        """What was said of all units of a picture, as said of the picture."""
        (answer,) = answers
        return answer

    def look(self, unit: str) -> Look:
        """Raises InputError when a file is missing or changed."""
        if unit in self._kept:
            return self._kept[unit]
        look = self._looked(unit)
        if look.size <= self._room:
            self._room -= look.size
            self._kept[unit] = look
        return look

    def _looked(self, unit: str) -> Look:
        return looked(self.data.example(unit), self.preparation)


def looked(example: Example, preparation: Preparation) -> Look:
    """One example as the net sees it. Raises InputError when the region of interest lies outside the picture."""
    return seen(example, prepare(example.picture, pixel_format(example.picture), preparation))


def pixel_format(picture: NDArray[np.uint8]) -> str:
    """Of a picture of the prepared form, (H, W) or (H, W, 3) BGR."""
    return "Mono8" if picture.ndim == 2 else "BGR8"


def seen(example: Example, prepared: Prepared) -> Look:
    """What was prepared of one example, with its truth."""
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
