"""What a reader hands on about one picture, before any pixel was read."""

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from linewatch_common.errors import InputError
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Masks = dict[str, Mask]

DEFECT = "defect"  # the class of a mask that does not say more
MAX_PICTURES = 1_000_000  # bounds listing and hashing; real sets have some thousands
GOOD_NAMES = frozenset({"good", "ok", "normal"})  # folders of good pictures
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")
_LONGEST, _DIGEST = 120, 8  # characters of an id, and of the digest that keeps two names apart
_GOOD_WORDS = GOOD_NAMES | {"pass", "background", "nodefect", "nodefects", "defectfree", "nondefective", "noanomaly"}


@dataclass(frozen=True, slots=True)
class Record:
    """One picture of a data set.

    `id` is unique in the set and safe as a file's name. `part` groups pictures of one unit under test. `defective` None
    means: as its mask says. `split` is the source's suggestion. `picture` reads the encoded picture; `masks` gives, for the
    picture's height and width, a mask (H, W) a defect class (another shape is a problem of the data);
    None: there is none. Both raise InputError.
    """

    id: str
    source: str
    part: str
    defective: bool | None
    picture: Callable[[], bytes]
    masks: Callable[[int, int], Masks] | None = None
    split: str | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """What a person may say about a source. `part`: the first group of this pattern in the picture's path names the part."""

    part: re.Pattern[str] | None = None
    ledger: Path | None = None

    def part_of(self, path: str, default: str) -> str:
        """The part that the picture at `path` shows. Raises InputError when the pattern does not match."""
        if self.part is None:
            return default
        found = self.part.search(path)
        if found is None or not found.groups() or found.group(1) is None:
            raise InputError(f"{path}: the part pattern {self.part.pattern!r} finds no part in this name")
        return found.group(1)


class Reader(Protocol):
    """One layout of raw data."""

    name: str
    layout: str

    def fits(self, folder: Path) -> bool:
        """Whether `folder` looks like this layout."""

    def records(self, folder: Path, options: Options) -> Iterator[Record]:
        """Every picture, in an order that depends on names alone. Raises InputError when the source as a whole is bad."""


def safe_id(name: str) -> str:
    """A relative path without suffix as an id: folders joined by a dash, foreign characters as an underscore.

    What would be lost of letters beyond ASCII and of long names, a digest stands for.
    """
    safe = _UNSAFE.sub("_", name.replace("/", "-")).lstrip(".-") or "_"
    if name.isascii() and len(safe) <= _LONGEST:
        return safe
    digest = hashlib.sha256(printable(name).encode()).hexdigest()[:_DIGEST]
    return f"{safe[: _LONGEST - _DIGEST - 1]}-{digest}"


def is_good(name: str) -> bool:
    """Whether a class, kind or label of this name means that nothing is wrong."""
    return re.sub("[^a-z]", "", name.lower()) in _GOOD_WORDS


def printable(text: str) -> str:
    """The same, with bytes of a file's name that are no UTF-8 spelt out."""
    return text.encode("utf-8", "backslashreplace").decode()


def without_root(text: str, root: Path) -> str:
    """The same, with each path below `root` as it is from there."""
    return re.sub(rf"(^|[\s'\"(]){re.escape(f'{root}/')}", r"\1", text)


def unusable(name: str, source: str, reason: str) -> Record:
    """What a source tells of and cannot be taken: a problem of this one record, told with all others when it is read."""

    def refuse() -> bytes:
        raise InputError(reason)

    return Record(id=safe_id(name), source=source, part=name, defective=None, picture=refuse)


@dataclass(slots=True)
class Problems:
    """Lines about single pictures, gathered so that a person sees them all at once."""

    lines: list[str] = field(default_factory=list)

    def raise_any(self, what: str) -> None:
        """Raise InputError with every line when there is one."""
        if self.lines:
            shown = self.lines[:20]
            more = [f"and {len(self.lines) - 20} more"] if len(self.lines) > 20 else []
            raise InputError("\n".join([f"{what}: {len(self.lines)} problem(s), nothing was written", *shown, *more]))
