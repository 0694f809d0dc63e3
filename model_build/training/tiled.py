"""Parts that are larger than the net's input, learnt and judged tile by tile. Tiles are the device's own (`linewatch_vision.tiling`).

A course learns from single tiles, half of each batch from those that show a defect, so that a small defect on a large part is seen as
often as any other. Whatever is judged is the part, put together from all its tiles as on the device, at the picture's own resolution.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np
from linewatch_common.errors import InputError
from linewatch_common.manifest import Preparation, Tiles
from linewatch_vision.preparation import Box, Transform, prepare_region, region_of
from linewatch_vision.tiling import tile_boxes
from numpy.typing import NDArray

from model_build.data.prepared import Entry, PreparedSet
from model_build.nets.interface import Said
from model_build.nets.sizes import Size
from model_build.training.joining import joined
from model_build.training.pictures import CACHE_BYTES, Look, Pictures, pixel_format, seen

_MARK = "#"  # between a picture's id, which cannot hold it, and the tile's number
_OPEN = 2  # pictures that stay decoded: their tiles are asked for one after the other
_SHOWS = 0.5  # of a defect's pixels in the tile that shows most of it: less is an edge, from which nobody could tell


def pictures_for(data: PreparedSet, preparation: Preparation) -> Pictures:
    """Whole pictures, or tiles where the preparation says so."""
    return Pictures(data, preparation) if preparation.tiles is None else TiledPictures(data, preparation)


def seen_sizes(sizes: Sequence[Size], tiles: Tiles | None) -> Sequence[Size]:
    """What the net sees of pictures of these (width, height). Raises InputError when there is nothing to cut, or too much."""
    if tiles is None:
        return sizes
    if all(width <= tiles.width and height <= tiles.height for width, height in sizes):
        raise InputError(f"no picture is larger than a tile of {tiles.width}x{tiles.height}: nothing to cut")
    boxes = [box for width, height in sizes for box in tile_boxes(Box(0, 0, width, height), tiles)]
    return [(box.width, box.height) for box in boxes]


def teaches(entry: Entry, tiles: Tiles | None) -> bool:
    """Whether a course can learn from the picture: of a weak label nobody knows which tile is defective."""
    return tiles is None or not entry.weak


class TiledPictures(Pictures):
    """Units are tiles, named by picture and number."""

    def __init__(self, data: PreparedSet, preparation: Preparation, limit: int = CACHE_BYTES) -> None:
        super().__init__(data, preparation, limit)
        self._example = lru_cache(_OPEN)(data.example)
        self._shown: dict[str, list[bool | None]] = {}

    def kinds(self, names: Sequence[str]) -> tuple[list[str], list[str]]:
        """See Pictures. Tiles with the mere edge of a defect, and those of weakly labelled pictures, are of neither kind."""
        kinds: dict[bool | None, list[str]] = {False: [], True: [], None: []}
        for name in names:
            if teaches(self.data.entry(name), self.preparation.tiles):
                for unit, shows in zip(self.units(name), self._shows(name), strict=True):
                    kinds[shows].append(unit)
        return kinds[False], kinds[True]

    def units(self, name: str) -> tuple[str, ...]:
        """See Pictures."""
        return tuple(f"{name}{_MARK}{number}" for number in range(len(self._boxes(name))))

    def joined(self, name: str, answers: Sequence[tuple[Look, Said]]) -> tuple[Look, Said]:
        """See Pictures. The look is the part's region at its own resolution."""
        scores = [float(said.scores[0]) for _, said in answers if said.scores is not None]
        masks = [said.masks for _, said in answers if said.masks is not None]
        whole = joined(scores, masks, [look.transform for look, _ in answers])
        mask = None if whole.mask is None else whole.mask[np.newaxis]
        return self._whole(name), Said(np.array([whole.score], np.float32), mask)

    def _looked(self, unit: str) -> Look:
        name, _, number = unit.rpartition(_MARK)
        example, box = self._example(name), self._boxes(name)[int(number)]
        prepared = prepare_region(example.picture, pixel_format(example.picture), self.preparation, box)
        return replace(seen(example, prepared), defective=bool(self._shows(name)[int(number)]))

    def _whole(self, name: str) -> Look:
        example, box = self._example(name), self._region(self.data.entry(name))
        place = np.s_[box.y : box.y + box.height, box.x : box.x + box.width]
        grey = example.picture[place] if example.picture.ndim == 2 else example.picture[place][:, :, ::-1]
        counts = np.zeros_like(example.counts) if example.entry.weak else example.counts
        transform = Transform(
            example.entry.width, example.entry.height, box.width, box.height, box, Box(0, 0, box.width, box.height)
        )
        return Look(
            picture=np.repeat(grey[:, :, None], 3, axis=2) if grey.ndim == 2 else grey,
            mask=example.mask[(slice(None), *place)].astype(np.uint8) * 255,
            counts=counts[place].astype(np.uint8) * 255,
            defective=example.entry.defective,
            transform=transform,
        )

    def _region(self, entry: Entry) -> Box:
        return region_of(self.preparation, entry.width, entry.height)

    def _boxes(self, name: str) -> tuple[Box, ...]:
        region, tiles = self._region(self.data.entry(name)), self.preparation.tiles
        return (region,) if tiles is None else tile_boxes(region, tiles)

    def _shows(self, name: str) -> list[bool | None]:
        if name not in self._shown:
            defects: NDArray[np.bool_] = np.asarray(self.data.mask(name).any(axis=0))
            self._shown[name] = shows_defect(defects, self._boxes(name))
        return self._shown[name]


def shows_defect(defective: NDArray[np.bool_], boxes: Sequence[Box]) -> list[bool | None]:
    """Whether each tile of a picture shows a defect, where `defective` (H, W) are its pixels; None: only the edge of one.

    A tile shows a defect when it holds at least half of what the tile that holds most of it does.
    """
    _, groups = cv2.connectedComponents(defective.astype(np.uint8), connectivity=8)
    count = int(groups.max()) + 1  # the ground counts as one
    parts = [groups[box.y : box.y + box.height, box.x : box.x + box.width] for box in boxes]
    held = np.array([np.bincount(part.ravel(), minlength=count)[1:] for part in parts])
    if count == 1:
        return [False] * len(boxes)
    clear: NDArray[np.bool_] = (held >= np.maximum(1, _SHOWS * held.max(axis=0))).any(axis=1)
    return [bool(shows) or (None if row.any() else False) for shows, row in zip(clear, held, strict=True)]
