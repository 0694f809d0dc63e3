"""A frame on its way through Inspector: a handle, no pixels."""

from dataclasses import dataclass

from linewatch_common.errors import InputError
from linewatch_common.logs import capped
from linewatch_common.messages import FrameCaptured, FrameFailed
from linewatch_common.ring import frame_id

# What a frame_id has room for.
EPOCHS = 10**12
SEQUENCES = 10**18
# What a clock's nanoseconds have room for.
STAMPS = 2**63


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What is known of a frame before its slot is read.

    A frame that was found in the ring, without a message, has no stamps until then. `failure` is why there is no picture.
    `lost` is why nobody can judge it any more.
    """

    station: str
    epoch: int
    sequence: int
    captured_at: str | None = None
    monotonic_ns: int | None = None
    part_id: str | None = None
    failure: str | None = None
    lost: str | None = None

    @property
    def frame_id(self) -> str:
        return frame_id(self.station, self.epoch, self.sequence)


def from_message(message: FrameCaptured | FrameFailed) -> Frame:
    """The frame that a message announces. Raises InputError when its name is not made of its numbers, or its stamp is none of a clock."""
    frame = Frame(
        station=message.station,
        epoch=message.epoch,
        sequence=message.sequence,
        captured_at=message.captured_at,
        monotonic_ns=message.captured_monotonic_ns,
        part_id=message.part_id,
        failure=message.reason if isinstance(message, FrameFailed) else None,
    )
    if message.epoch >= EPOCHS or message.sequence >= SEQUENCES or message.frame_id != frame.frame_id:
        raise InputError(f"frame_id {capped(message.frame_id)} is not made of its station, epoch and sequence")
    if message.captured_monotonic_ns >= STAMPS:
        raise InputError(f"{message.frame_id}: captured_monotonic_ns {message.captured_monotonic_ns} is no clock's")
    return frame
