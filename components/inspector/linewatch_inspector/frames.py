"""A frame on its way through Inspector: a handle, no pixels."""

from dataclasses import dataclass

from linewatch_common.messages import FrameCaptured, FrameFailed
from linewatch_common.ring import frame_id


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
    """The frame that a message announces."""
    return Frame(
        station=message.station,
        epoch=message.epoch,
        sequence=message.sequence,
        captured_at=message.captured_at,
        monotonic_ns=message.captured_monotonic_ns,
        part_id=message.part_id,
        failure=message.reason if isinstance(message, FrameFailed) else None,
    )
