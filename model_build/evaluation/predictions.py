"""What a model said, as plain files that any framework can write.

A folder with `predictions.json` (schema linewatch.Predictions/1) and, where the model gives masks, `masks/ID.npy`: (h, w) or
(classes, h, w), uint8 0..255 for the probability 0..1 or a float, of any size, over the whole picture or the region of interest
(`covers`); the padding of a letterboxed input is cut off before.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import cv2
import msgspec
import numpy as np
from linewatch_common.errors import InputError
from linewatch_common.manifest import Sha256
from msgspec import Meta, Struct
from numpy.typing import NDArray

from model_build.data.pixels import read_bounded
from model_build.data.prepared import Entry, Id, Index

PREDICTIONS_FILE = "predictions.json"
Score = Annotated[float, Meta(ge=0.0, le=1.0)]
_MAX_BYTES = 256 * 1024 * 1024


class Document(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`model`: digest of the weights that predicted. `data`: digest of the prepared set. `scores`: probability of a defect."""

    schema: Literal["linewatch.Predictions/1"] = "linewatch.Predictions/1"
    model: Sha256
    data: Sha256
    covers: Literal["picture", "region"] = "picture"
    masks: bool = False
    scores: dict[Id, Score]


@dataclass(frozen=True, slots=True)
class Predictions:
    """An opened folder. `digest` is of predictions.json."""

    folder: Path
    document: Document
    digest: str

    def mask(self, entry: Entry, index: Index) -> NDArray[np.float32]:
        """Probability of a defect at each pixel of the picture, (H, W), upsampled bilinearly. Raises InputError."""
        path = self.folder / "masks" / f"{entry.id}.npy"
        try:
            with path.open("rb") as file:
                raw = np.load(file, allow_pickle=False)
        except (OSError, ValueError, EOFError, MemoryError) as error:  # the last: what the header claims
            raise InputError(f"{path}: {error}") from error
        if raw.ndim not in (2, 3) or 0 in raw.shape or (raw.dtype != np.uint8 and raw.dtype.kind != "f"):
            raise InputError(
                f"{path}: {raw.dtype} {raw.shape} is not a mask (h, w) or (classes, h, w) of uint8 or float"
            )
        likely = (raw.max(axis=0) if raw.ndim == 3 else raw).astype(np.float32)
        likely = likely / 255 if raw.dtype == np.uint8 else likely
        if not (np.isfinite(likely).all() and likely.min() >= 0 and likely.max() <= 1):
            raise InputError(f"{path}: holds values that are no probabilities")
        full, region = np.zeros((entry.height, entry.width), np.float32), index.region
        if self.document.covers == "region" and region is not None:
            place = full[region.y : region.y + region.height, region.x : region.x + region.width]
        else:
            place = full
        place[:] = cv2.resize(likely, (place.shape[1], place.shape[0]), interpolation=cv2.INTER_LINEAR)
        return full


def open_predictions(folder: Path, data: str, expected: tuple[str, ...], what: str) -> Predictions:
    """Read and check: the right data, a score for exactly the `expected` pictures. Raises InputError with one line."""
    path = folder / PREDICTIONS_FILE
    raw = read_bounded(path, _MAX_BYTES)
    try:
        document = msgspec.json.decode(raw, type=Document)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from error
    if document.data != data:
        raise InputError(f"{path}: was predicted on other data (index {document.data[:12]}, here {data[:12]})")
    missing, foreign = set(expected) - set(document.scores), set(document.scores) - set(expected)
    if missing or foreign:
        first = sorted(missing or foreign)[0]
        raise InputError(f"{path}: {len(missing)} picture(s) of {what} missing, {len(foreign)} foreign, e.g. {first!r}")
    return Predictions(folder, document, hashlib.sha256(raw).hexdigest())
