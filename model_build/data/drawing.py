"""A set without a single defect, given drawn ones, so that thresholds and figures can be had before the first real defect is.

For a share of the good pictures a twin with a drawn defect and its mask, of the same part, so that no split parts the two. What is found
out on drawn defects says little of real ones: every twin names its origin in its source, and data report and evaluation say so.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
from linewatch_common.errors import InputError
from linewatch_common.manifest import Preparation
from linewatch_vision.preparation import Box, Transform

from model_build.data.pixels import decode_picture, encode_png
from model_build.data.prepared import Entry
from model_build.data.records import DEFECT, Mask, Picture, Record, safe_id
from model_build.training.pictures import Look
from model_build.training.synthetic import Painter

_MARK = "drawn on "  # before a twin's source
_TRIES = 8  # each of which the painter itself makes several of
Counting = Callable[[int, int], Mask]  # height and width of a picture: which of its pixels count


def with_drawn(records: Sequence[Record], share: float, seed: int, counting: Counting) -> list[Record]:
    """All records, and the twins. Raises InputError when the set has defects of its own, or is too small for two twins."""
    own = [record for record in records if record.defective is not False]
    if own:
        raise InputError(
            f"--draw-defects is for sets of good pictures alone: {own[0].source} is defective, or its mask says what it is"
        )
    order = np.random.default_rng(seed).permutation(len(records))
    chosen = sorted(int(place) for place in order[: round(share * len(records))])
    return [*records, *(_twin(records[place], seed, counting) for place in chosen)]


def is_drawn(entry: Entry) -> bool:
    """Whether the picture's defect was drawn."""
    return entry.source.startswith(_MARK)


def _twin(record: Record, seed: int, counting: Counting) -> Record:
    made = cache(lambda: _drawn(record, seed, counting))
    return replace(
        record,
        id=safe_id(f"{record.id}-drawn"),
        source=f"{_MARK}{record.source}",
        defective=True,
        picture=lambda: encode_png(made()[0]),
        masks=lambda *_: {DEFECT: made()[1]},
    )


def _drawn(record: Record, seed: int, counting: Counting) -> tuple[Picture, Mask]:
    """The picture with a defect, and the mask of it. Raises InputError."""
    picture = decode_picture(record.picture(), record.source)
    height, width = picture.shape[:2]
    rng = np.random.default_rng((seed, zlib.crc32(record.id.encode())))
    counts = counting(height, width).astype(np.uint8) * 255
    whole = Box(0, 0, width, height)
    channels = np.repeat(picture[:, :, None], 3, axis=2) if picture.ndim == 2 else picture
    look = Look(
        channels,
        np.zeros((1, height, width), np.uint8),
        counts,
        False,
        Transform(width, height, width, height, whole, whole),
    )
    painter = Painter(Preparation(width=width, height=height, resize="squash"), share=1.0)
    for _ in range(_TRIES):
        made = painter.painted(look, rng)
        if made.defective:
            found = made.picture[:, :, 0] if picture.ndim == 2 else made.picture
            return np.ascontiguousarray(found), np.asarray(made.mask[0] > 0)
    raise InputError(f"{record.source}: no defect could be drawn on what counts of it")
