"""A frame's name: station, ring epoch and sequence, e.g. `line1-1763805600-000042`."""

import re

from linewatch_common.errors import InputError

_FRAME_ID = re.compile(r"(?P<station>[a-z0-9][a-z0-9-]{0,31})-(?P<epoch>[0-9]{1,12})-(?P<sequence>[0-9]{6,19})")


def frame_id(station: str, epoch: int, sequence: int) -> str:
    """The name of frame `sequence` of the station's ring made at `epoch` (unix seconds)."""
    return f"{station}-{epoch}-{sequence:06d}"


def parse_frame_id(text: str) -> tuple[str, int, int]:
    """Station, epoch and sequence of a frame's name. Raises InputError when it is not one."""
    found = _FRAME_ID.fullmatch(text)
    if found is None:
        raise InputError(f"{text[:80]!r} is not a frame_id; want station-epoch-sequence, e.g. line1-1763805600-000042")
    return found["station"], int(found["epoch"]), int(found["sequence"])
