"""Which training pictures calibrate, and which the compiled model is compared on; both as the device would see them."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from linewatch_common.errors import InputError
from linewatch_common.manifest import Preparation
from linewatch_vision.preparation import Prepared
from linewatch_vision.tiling import prepare_all
from numpy.typing import NDArray

from model_build.data.prepared import Example, PreparedSet
from model_build.training.pictures import pixel_format

DEFECTIVE_SHARE = 0.4  # of the calibration pictures: what a defect excites must be in the ranges


@dataclass(frozen=True, slots=True)
class Chosen:
    """Ids. No picture is in both."""

    calibration: tuple[str, ...]
    comparison: tuple[str, ...]


def choose_pictures(data: PreparedSet, training: Sequence[str], seed: int, calibrate: int, compare: int) -> Chosen:
    """Draw both from the training pictures, seeded; of defective and of good pictures at most half calibrate.

    As many defective pictures as there are compare, up to half of all where there are good ones for the rest: without these neither
    image AP nor a false reject shows. Raises InputError for fewer than four pictures.
    """
    if len(training) < 4:
        raise InputError(f"{len(training)} training picture(s): at least 4 are needed to calibrate and to compare")
    rng = np.random.default_rng(seed)
    bad, good = (
        _shuffled([name for name in training if data.entry(name).defective is kind], rng) for kind in (True, False)
    )
    from_bad = min(len(bad) // 2, round(calibrate * DEFECTIVE_SHARE))
    from_good = min(len(good) // 2, calibrate - from_bad)
    left_bad, left_good = bad[from_bad:], good[from_good:]
    left_bad = left_bad[: max((compare + 1) // 2, compare - len(left_good))]
    comparison = [*left_bad, *left_good[: compare - len(left_bad)]]
    return Chosen(tuple(sorted(bad[:from_bad] + good[:from_good])), tuple(sorted(comparison)))


def as_on_device(example: Example, preparation: Preparation) -> tuple[Prepared, ...]:
    """The tensors uint8 (1, H, W, 3) that a device would make of the picture, a tile each, and the ways back. Raises InputError."""
    return prepare_all(example.picture, pixel_format(example.picture), preparation)


def telling(example: Example, preparation: Preparation) -> Prepared:
    """One tensor of the picture. Of tiles the one with most of its defects; of a good picture any, the same each time."""
    tiles = as_on_device(example, preparation)
    return tiles[telling_place(example, tiles)]


def telling_place(example: Example, tiles: Sequence[Prepared]) -> int:
    """Which of the picture's tiles that is."""
    regions = [tile.transform.region for tile in tiles]
    held = [int(example.mask[:, box.y : box.y + box.height, box.x : box.x + box.width].sum()) for box in regions]
    return held.index(max(held)) if any(held) else zlib.crc32(example.entry.id.encode()) % len(tiles)


@dataclass(frozen=True, slots=True)
class Calibration:
    """The pictures that a quantiser measures activations with."""

    data: PreparedSet
    preparation: Preparation
    ids: tuple[str, ...]

    def tensors(self) -> Iterator[NDArray[np.uint8]]:
        """uint8 (1, H, W, 3) each, one a picture, in the order of the ids. Raises InputError."""
        return (telling(self.data.example(name), self.preparation).tensor for name in self.ids)


def _shuffled(names: list[str], rng: np.random.Generator) -> list[str]:
    return [sorted(names)[place] for place in rng.permutation(len(names))]
