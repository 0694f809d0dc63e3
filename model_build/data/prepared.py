"""The prepared form of a data set on disk, whatever it came from.

A folder with `index.json` (schema linewatch.Prepared/1), `pictures/ID.png` (lossless, 8 bits), `masks/ID.png` (16 bits, bit k
is the k-th class) and, where pixels must not count, `ignore.png`. Every file's SHA-256 stands in the index, and the index's own
digest names the data set in splits, predictions and provenance.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np
from linewatch_common.errors import InputError
from linewatch_common.manifest import Region, Sha256
from msgspec import Meta, Struct
from numpy.typing import NDArray

from model_build.data.pixels import MAX_CLASSES, decode_mask, decode_masks, decode_picture, read_bounded
from model_build.data.records import Mask, Picture

INDEX_FILE = "index.json"
IGNORE_FILE = "ignore.png"
MAX_INDEX_BYTES = 1024 * 1024 * 1024
Id = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=120)]
Side = Annotated[int, Meta(ge=1, le=65536)]


class _Part(Struct, frozen=True, forbid_unknown_fields=True):
    """Base: immutable, and an unknown field is an error."""


class Entry(_Part, frozen=True, kw_only=True):
    """One picture. `areas`: defective pixels a class, of those that count. `weak`: defective, and nobody drew where.

    `pixels` is the digest of the decoded picture, `look` its perceptual hash, `mask` None for a picture without defects.
    """

    id: Id
    source: str
    part: str
    split: str | None
    defective: bool
    weak: bool
    width: Side
    height: Side
    areas: dict[str, int]
    picture: Sha256
    mask: Sha256 | None
    pixels: Sha256
    look: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]


class LeftOut(_Part, frozen=True, kw_only=True):
    """A picture of the source that was not taken, and why."""

    id: str
    source: str
    reason: str


class Index(_Part, frozen=True, kw_only=True):
    """The whole set. `region`: what the model will see of each picture; pixels outside it, and ignored ones, never count."""

    schema: Literal["linewatch.Prepared/1"] = "linewatch.Prepared/1"
    layout: str
    classes: Annotated[tuple[str, ...], Meta(max_length=MAX_CLASSES)]
    region: Region | None
    ignore: Sha256 | None
    entries: tuple[Entry, ...]
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True, slots=True)
class Example:
    """One picture with its truth. `picture` uint8 (H, W) or (H, W, 3) BGR; `mask` bool (classes, H, W); `counts` bool (H, W)."""

    entry: Entry
    picture: Picture
    mask: Mask
    counts: Mask


class PreparedSet:
    """Reads a prepared folder; every file is checked against its digest before it is decoded."""

    def __init__(self, folder: Path, index: Index, digest: str) -> None:
        self.folder, self.index, self.digest = folder, index, digest
        self.entries = {entry.id: entry for entry in index.entries}

    @classmethod
    def open(cls, folder: Path) -> "PreparedSet":
        """Read the index. Raises InputError with one line."""
        path = folder / INDEX_FILE
        raw = read_bounded(path, MAX_INDEX_BYTES)
        try:
            index = msgspec.json.decode(raw, type=Index)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: {error}") from error
        if len({entry.id for entry in index.entries}) != len(index.entries):
            raise InputError(f"{path}: an id stands in it twice")
        return cls(folder, index, hashlib.sha256(raw).hexdigest())

    def example(self, identifier: str) -> Example:
        """Read one picture. Raises InputError when a file is missing, changed or unknown."""
        entry = self.entry(identifier)
        picture = decode_picture(self._bytes(picture_name(entry.id), entry.picture), entry.id)
        return Example(entry, picture, self.mask(identifier), self.counts(identifier))

    def entry(self, identifier: str) -> Entry:
        """The index's row. Raises InputError for an unknown id."""
        if identifier not in self.entries:
            raise InputError(f"{self.folder}: holds no picture {identifier!r}")
        return self.entries[identifier]

    def mask(self, identifier: str) -> Mask:
        """bool (classes, H, W), all False for a good or a weakly labelled picture. Raises InputError."""
        entry = self.entry(identifier)
        if entry.mask is None:
            return np.zeros((len(self.index.classes), entry.height, entry.width), np.bool_)
        return decode_masks(self._bytes(mask_name(entry.id), entry.mask), len(self.index.classes), entry.id)

    def counts(self, identifier: str) -> Mask:
        """bool (H, W): the pixels that count, those inside the region of interest that are not ignored. Raises InputError."""
        entry = self.entry(identifier)
        ignore = self._bytes(IGNORE_FILE, self.index.ignore) if self.index.ignore else None
        return counting(
            entry.height, entry.width, self.index.region, decode_mask(ignore, IGNORE_FILE) if ignore else None
        )

    def verify(self) -> Iterator[str]:
        """Every id, after its files were found whole. Raises InputError at the first that is not."""
        for entry in self.index.entries:
            self._bytes(picture_name(entry.id), entry.picture)
            if entry.mask is not None:
                self._bytes(mask_name(entry.id), entry.mask)
            yield entry.id

    def _bytes(self, name: str, expected: str) -> bytes:
        data = read_bounded(self.folder / name)
        if hashlib.sha256(data).hexdigest() != expected:
            raise InputError(f"{self.folder / name}: was changed since it was prepared")
        return data


def picture_name(identifier: str) -> str:
    """The picture's file, relative to the folder."""
    return f"pictures/{identifier}.png"


def mask_name(identifier: str) -> str:
    """The mask's file, relative to the folder."""
    return f"masks/{identifier}.png"


def counting(height: int, width: int, region: Region | None, ignore: NDArray[np.bool_] | None) -> Mask:
    """bool (H, W), see PreparedSet.counts. Raises InputError when region or ignore mask do not fit the picture."""
    counts = np.ones((height, width), np.bool_)
    if region is not None:
        if region.x >= width or region.y >= height:
            raise InputError(
                f"the region of interest at x {region.x}, y {region.y} lies outside a {width}x{height} picture"
            )
        counts[:] = False
        counts[region.y : region.y + region.height, region.x : region.x + region.width] = True
    if ignore is not None:
        if ignore.shape != counts.shape:
            raise InputError(f"the ignore mask is {ignore.shape[1]}x{ignore.shape[0]}, the picture {width}x{height}")
        counts &= ~ignore
    return counts
