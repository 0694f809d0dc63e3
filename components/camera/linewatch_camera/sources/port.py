"""What the camera needs of a source of pictures."""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
from linewatch_common.ring import Stamp

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One picture. `pixels` is C-contiguous uint8, HxW for Mono8, HxWx3 for BGR8 and RGB8.

    `stamp` is when it was taken, before any decoding. `cursor` is how far the source is after it, for `Source.start` in another process.
    """

    pixels: Pixels = field(repr=False)
    pixel_format: str
    stamp: Stamp
    part_id: str | None = None
    cursor: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFailure:
    """A picture that could not be had or read, with the reason; the source goes on with the next."""

    reason: str
    stamp: Stamp
    part_id: str | None = None
    cursor: int = 0


class SourceEnded(Exception):  # noqa: N818 - named for what happened; it is not an error
    """The source has no further pictures."""


class Source(Protocol):
    """A source of pictures. All but `discarded` and `reconnects` are for one thread only.

    A source mends itself: when `read` raises UnavailableError, call it again some time later.
    """

    @property
    def name(self) -> str:
        """What people call it, without secrets, e.g. `folder /data/pictures`."""

    @property
    def live(self) -> bool:
        """True when a picture not taken now is gone (a camera); False when it waits (a file)."""

    @property
    def discarded(self) -> int:
        """Pictures that a live source delivered and nobody took; 0 for files."""

    @property
    def reconnects(self) -> int:
        """How often a live source was lost and had again; 0 for files."""

    def start(self, cursor: int) -> None:
        """Begin after `cursor` (0: at the beginning). Does not wait and does not fail."""

    def read(self, not_before_ns: int = 0) -> Picture | SourceFailure:
        """The next picture; of a live source the newest that was not read yet and not taken before CLOCK_MONOTONIC `not_before_ns`.

        Raises SourceEnded; UnavailableError with one line when there is none at the moment.
        """

    def close(self) -> None:
        """Let go of everything; safe to call at any time."""
