"""The frame ring: pixels from Camera to its readers through one file in shared memory."""

from linewatch_common.ring.errors import FrameNotThere, FrameOverwritten, PictureTooLarge, RingUnavailable
from linewatch_common.ring.frame_ids import frame_id, parse_frame_id
from linewatch_common.ring.layout import CHANNELS, ring_path
from linewatch_common.ring.reader import RingFrame, RingReader
from linewatch_common.ring.writer import RingWriter, Stamp

__all__ = [
    "CHANNELS",
    "FrameNotThere",
    "FrameOverwritten",
    "PictureTooLarge",
    "RingFrame",
    "RingReader",
    "RingUnavailable",
    "RingWriter",
    "Stamp",
    "frame_id",
    "parse_frame_id",
    "ring_path",
]
