"""A frame's way out: into the ring, then onto the bus."""

import logging

from linewatch_common.clock import utc_text
from linewatch_common.messages import FrameCaptured, FrameFailed
from linewatch_common.ring import RingWriter, frame_id
from linewatch_common.topics import Topics

from linewatch_camera.announcing import Announcer
from linewatch_camera.ring_keeper import RingKeeper
from linewatch_camera.sources.port import Picture, SourceFailure

log = logging.getLogger(__name__)


class FrameOutput:
    """Stores and announces what a source gave. For the capture thread; the counters may be read from any."""

    def __init__(self, ring: RingKeeper, announcer: Announcer, topics: Topics) -> None:
        self._ring = ring
        self._announcer = announcer
        self._topics = topics
        self.captured = 0
        self.failed = 0

    @property
    def writer(self) -> RingWriter | None:
        """The open ring, if any."""
        return self._ring.writer

    def open(self) -> list[tuple[str, str]]:
        """Open the ring; command_id and frame_id of the triggers whose frames still lie in it. Raises StorageError."""
        self._ring.open()
        return [
            (frame.command_id, self._name(frame.epoch, frame.sequence))
            for frame in self._ring.frames()
            if frame.command_id is not None
        ]

    def put(self, taken: Picture | SourceFailure, *, part_id: str | None, command_id: str | None, trigger: str) -> str:
        """Write and announce; returns the frame_id. Raises StorageError (nothing happened), InputError when it does not fit."""
        number = self._ring.write(taken, part_id, command_id)
        writer = self._ring.open()
        name = self._name(writer.epoch, number)
        if isinstance(taken, SourceFailure):
            self.failed += 1
            log.warning("%s: %s", name, taken.reason)
            message: FrameCaptured | FrameFailed = FrameFailed(
                frame_id=name,
                station=self._topics.station,
                epoch=writer.epoch,
                sequence=number,
                reason=taken.reason[:300],
                captured_at=utc_text(taken.stamp.wall_ns),
                captured_monotonic_ns=taken.stamp.monotonic_ns,
                part_id=part_id,
                command_id=command_id,
            )
        else:
            self.captured += 1
            message = FrameCaptured(
                frame_id=name,
                station=self._topics.station,
                epoch=writer.epoch,
                sequence=number,
                ring=str(writer.path),
                slot=number % writer.slots,
                width=taken.pixels.shape[1],
                height=taken.pixels.shape[0],
                stride=taken.pixels.strides[0],
                pixel_format=taken.pixel_format,
                captured_at=utc_text(taken.stamp.wall_ns),
                captured_monotonic_ns=taken.stamp.monotonic_ns,
                part_id=part_id,
                trigger=trigger,
                command_id=command_id,
            )
        self._announcer.announce(self._topics.frames, message)
        return name

    def close(self) -> None:
        """Let go of the ring."""
        self._ring.close()

    def _name(self, epoch: int, sequence: int) -> str:
        return frame_id(self._topics.station, epoch, sequence)
