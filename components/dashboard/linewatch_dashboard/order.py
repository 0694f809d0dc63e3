"""Which of two frames came later. The wall clock does not tell: it is set back, or wrong until the network is there."""

from linewatch_common.errors import InputError
from linewatch_common.ring import parse_frame_id


def place_of(frame_id: str) -> tuple[int, int]:
    """Ring epoch and sequence of a frame, which only grow; (0, 0) for a name that is none."""
    try:
        _, epoch, sequence = parse_frame_id(frame_id)
    except InputError:
        return 0, 0
    return epoch, sequence
