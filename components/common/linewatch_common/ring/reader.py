"""Reading frames: copy, then look again."""

import os
from dataclasses import dataclass
from pathlib import Path

from linewatch_common.clock import boot_id
from linewatch_common.ring.errors import FrameNotThere, FrameOverwritten, RingUnavailable
from linewatch_common.ring.layout import (
    SEQUENCE,
    SLOT_HEAD_BYTES,
    WRITE_SEQUENCE_OFFSET,
    BadLayoutError,
    Header,
    Kind,
    SlotHead,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RingFrame:
    """A whole frame, copied out of the ring.

    For a picture `pixels` is uint8, `height` rows of `stride` bytes, each row `width` pixels of `pixel_format` (Mono8, BGR8, RGB8) from
    its beginning; it is empty in a description, and for a failure, where `reason` tells why there is no picture.
    """

    epoch: int
    sequence: int
    slot: int
    failed: bool
    reason: str
    width: int
    height: int
    stride: int
    pixel_format: str
    monotonic_ns: int
    wall_ns: int
    source_cursor: int
    part_id: str | None
    command_id: str | None
    pixels: memoryview


class RingReader:
    """Reads one station's ring, and follows it when the file is replaced. Not thread-safe: one reader a thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        self._identity = (0, 0)
        self._header: Header | None = None

    @property
    def epoch(self) -> int:
        """When this ring was made, in unix seconds; another epoch is another ring. Raises RingUnavailable."""
        return self._open().epoch

    @property
    def slots(self) -> int:
        """Raises RingUnavailable."""
        return self._open().geometry.slots

    @property
    def slot_bytes(self) -> int:
        """The largest payload of a frame. Raises RingUnavailable."""
        return self._open().geometry.slot_bytes

    @property
    def write_sequence(self) -> int:
        """The newest complete frame; 0 when there is none yet. Raises RingUnavailable."""
        self._open()
        return self._number_at(WRITE_SEQUENCE_OFFSET)

    @property
    def oldest_safe(self) -> int:
        """The oldest frame that `read` accepts at the moment. Raises RingUnavailable."""
        return self._open().geometry.oldest_safe(self._number_at(WRITE_SEQUENCE_OFFSET))

    def read(self, sequence: int, *, epoch: int | None = None, into: bytearray | memoryview | None = None) -> RingFrame:
        """Frame `sequence`, its pixels in `into` (which must be large enough; the frame holds a view of it) or in a fresh buffer.

        Raises FrameOverwritten, also when `epoch` is given and the ring is another one by now; FrameNotThere; RingUnavailable.
        """
        header = self._find(sequence, epoch)
        return self._copy(header, sequence, into, with_pixels=True)

    def describe(self, sequence: int, *, epoch: int | None = None) -> RingFrame:
        """As `read`, but without the pixels of a picture: what, when, which part."""
        header = self._find(sequence, epoch)
        return self._copy(header, sequence, None, with_pixels=False)

    def _find(self, sequence: int, epoch: int | None) -> Header:
        header = self._open()
        if epoch is not None and epoch != header.epoch:
            raise FrameOverwritten(
                f"{self._path}: the ring was made anew at {header.epoch}, frame {sequence} is of {epoch}"
            )
        written = self._number_at(WRITE_SEQUENCE_OFFSET)
        if sequence < 1 or sequence > written:
            raise FrameNotThere(f"{self._path}: frame {sequence} is not there, the newest is {written}")
        if sequence < header.geometry.oldest_safe(written):
            raise self._overwritten(sequence, written)
        return header

    def close(self) -> None:
        """Let go of the file."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1
        self._header = None

    def _copy(
        self, header: Header, sequence: int, into: bytearray | memoryview | None, *, with_pixels: bool
    ) -> RingFrame:
        offset = header.geometry.slot_offset(sequence)
        raw_head = self._bytes_at(offset, SLOT_HEAD_BYTES)
        try:
            head = SlotHead.unpack(raw_head, header.geometry)
        except BadLayoutError as error:
            self._check_unchanged(offset, sequence)
            raise RingUnavailable(f"{self._path}: slot of frame {sequence}: {error}") from error
        size = head.size if with_pixels or head.kind is Kind.FAILURE else 0
        view = memoryview(bytearray(size) if into is None else into).cast("B")
        if len(view) < size:
            raise ValueError(f"a buffer of {len(view)} bytes for a frame of {size}")
        if head.sequence != sequence:
            raise self._overwritten(sequence, head.sequence)
        pixels = view[:size]
        self._fill(pixels, offset + SLOT_HEAD_BYTES)
        self._check_unchanged(offset, sequence)
        self._check_size(header)
        return _frame(header, head, pixels)

    def _check_size(self, header: Header) -> None:
        """A cut-off file that the writer was just filling has holes of zeros where pixels were."""
        size = os.fstat(self._fd).st_size
        if size != header.geometry.file_bytes:
            self.close()
            raise RingUnavailable(f"{self._path}: {size} bytes, a ring of its header has {header.geometry.file_bytes}")

    def _check_unchanged(self, offset: int, sequence: int) -> None:
        now = self._number_at(offset)
        if now != sequence:
            raise self._overwritten(sequence, now)

    def _overwritten(self, sequence: int, newer: int) -> FrameOverwritten:
        by = f"the ring is at frame {newer}" if newer else "it is being written over"
        return FrameOverwritten(f"{self._path}: frame {sequence} is lost: {by}")

    def _open(self) -> Header:
        """The header of the ring that bears the name now; the last one while nothing bears it."""
        try:
            found = os.stat(self._path)  # noqa: PTH116 - this runs for every frame
        except OSError as error:
            if self._header is not None:
                return self._header
            raise RingUnavailable(f"{self._path}: no ring: {error.strerror}") from error
        if self._header is None or self._identity != (found.st_dev, found.st_ino):
            self._reopen()
        if self._header is None:
            raise RingUnavailable(f"{self._path}: no ring")
        return self._header

    def _reopen(self) -> None:
        self.close()
        try:
            self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            opened = os.fstat(self._fd)
            header = Header.unpack(os.pread(self._fd, 256, 0))
        except OSError as error:
            raise RingUnavailable(f"{self._path}: cannot open the ring: {error.strerror}") from error
        except BadLayoutError as error:
            raise RingUnavailable(f"{self._path}: not a ring: {error}") from error
        self._check_size(header)
        if header.boot != boot_id():
            raise RingUnavailable(f"{self._path}: the ring is of an earlier boot")
        self._header = header
        self._identity = (opened.st_dev, opened.st_ino)

    def _number_at(self, offset: int) -> int:
        return int(SEQUENCE.unpack(self._bytes_at(offset, SEQUENCE.size))[0])

    def _bytes_at(self, offset: int, count: int) -> bytes:
        raw = bytearray(count)
        self._fill(memoryview(raw), offset)
        return bytes(raw)

    def _fill(self, buffer: memoryview, offset: int) -> None:
        """Fill `buffer` from the file; a file that was cut off is not a ring any more and is looked at anew next time."""
        try:
            count = os.preadv(self._fd, [buffer], offset)
        except OSError as error:
            self.close()
            raise RingUnavailable(f"{self._path}: {error.strerror}") from error
        if count != len(buffer):
            self.close()
            raise RingUnavailable(f"{self._path}: the ring is cut off at byte {offset + count}")


def _frame(header: Header, head: SlotHead, payload: memoryview) -> RingFrame:
    failed = head.kind is Kind.FAILURE
    return RingFrame(
        epoch=header.epoch,
        sequence=head.sequence,
        slot=head.sequence % header.geometry.slots,
        failed=failed,
        reason=bytes(payload).decode("utf-8", "replace") if failed else "",
        width=head.width,
        height=head.height,
        stride=head.stride,
        pixel_format=head.pixel_format,
        monotonic_ns=head.monotonic_ns,
        wall_ns=head.wall_ns,
        source_cursor=head.source_cursor,
        part_id=head.part_id,
        command_id=head.command_id,
        pixels=payload[:0] if failed else payload,
    )
