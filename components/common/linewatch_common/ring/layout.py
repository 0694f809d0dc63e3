"""What lies where in the ring file. All numbers are unsigned 64-bit in the machine's byte order.

The file is `<shared memory folder>/linewatch-<station>.ring`: a header page, then `slots` slots of equal size, each a slot head of
SLOT_HEAD_BYTES and the payload (pixels, or the reason of a failure in UTF-8), then a page that nobody writes: a file that was cut off can
so never grow back to its full size, which is how writer and readers notice. Frame n lies in slot n % slots; frames count from 1.

A slot's sequence is 0 while it is being written and n when frame n is complete (a seqlock): a reader copies the slot and then looks at
the sequence again. Writer and readers go through pread and pwrite instead of a mapping. Both work on the same memory pages and take
kernel locks that order them between processors, but a file that somebody truncates gives a short read here, where a mapping would end
the process by SIGBUS; for a 640x480 colour picture that costs a tenth of a millisecond. A sequence is never mistaken even if its eight
bytes were seen half-written: between two numbers of a slot there is always 0, and the highest byte that grew is the new number's alone.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from linewatch_common.clock import boot_id

MAGIC = b"LWRING\r\n"
VERSION = 1
HEADER_BYTES = 4096
SLOT_HEAD_BYTES = 512
PAGE_BYTES = 4096

MIN_SLOTS, MAX_SLOTS = 4, 4096
MAX_SLOT_BYTES = 1 << 30
MAX_TEXT_BYTES = 128
MAX_REASON_CHARACTERS = 300
# The slot that the writer fills next and the one after it: a slow copy from these would be torn most of the time.
SLOTS_NEXT_TO_WRITER = 2

CHANNELS = {"Mono8": 1, "BGR8": 3, "RGB8": 3}
"""Bytes of a pixel for each GenICam PFNC format that the ring carries."""

_HEADER = struct.Struct("=8sQQQQQ36s4x")
WRITE_SEQUENCE_OFFSET = _HEADER.size
_SLOT_HEAD = struct.Struct("=QQQQQQQQQ16sQ128sQ128s")
SEQUENCE = struct.Struct("=Q")


class Kind(IntEnum):
    """What a slot holds."""

    PICTURE = 1
    FAILURE = 2


class BadLayoutError(ValueError):
    """Bytes that no writer of ours has written; the reader and the writer translate it."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """How many slots of what payload size."""

    slots: int
    slot_bytes: int

    def __post_init__(self) -> None:
        if not (MIN_SLOTS <= self.slots <= MAX_SLOTS and 0 < self.slot_bytes <= MAX_SLOT_BYTES):
            raise BadLayoutError(f"{self.slots} slots of {self.slot_bytes} bytes are out of bounds")

    @property
    def slot_stride(self) -> int:
        """Bytes from one slot to the next: whole pages."""
        return -(-(SLOT_HEAD_BYTES + self.slot_bytes) // PAGE_BYTES) * PAGE_BYTES

    @property
    def file_bytes(self) -> int:
        return HEADER_BYTES + self.slots * self.slot_stride + PAGE_BYTES

    def slot_offset(self, sequence: int) -> int:
        """Where the slot of frame `sequence` begins."""
        return HEADER_BYTES + (sequence % self.slots) * self.slot_stride

    def oldest_safe(self, write_sequence: int) -> int:
        """The oldest frame that the writer will not touch before it has written SLOTS_NEXT_TO_WRITER more."""
        return max(1, write_sequence - self.slots + SLOTS_NEXT_TO_WRITER + 1)


@dataclass(frozen=True, slots=True)
class Header:
    """The part of the header page that never changes while the file lives.

    `epoch` is in unix seconds; `tag` stands for what the frames are taken from (the writer's choice).
    """

    epoch: int
    geometry: Geometry
    tag: int
    boot: str

    def pack(self) -> bytes:
        return _HEADER.pack(
            MAGIC,
            VERSION,
            self.epoch,
            self.geometry.slots,
            self.geometry.slot_bytes,
            self.tag,
            self.boot.encode("ascii"),
        )

    @classmethod
    def unpack(cls, raw: bytes) -> "Header":
        """Raises BadLayoutError when `raw` is not the header of a ring of this version."""
        if len(raw) < _HEADER.size:
            raise BadLayoutError("the file is shorter than a header")
        magic, version, epoch, slots, slot_bytes, tag, boot = _HEADER.unpack_from(raw)
        if magic != MAGIC:
            raise BadLayoutError("it does not begin as a ring does")
        if version != VERSION:
            raise BadLayoutError(f"its version is {version}, this is {VERSION}")
        return cls(
            epoch=epoch,
            geometry=Geometry(slots, slot_bytes),
            tag=tag,
            boot=boot.rstrip(b"\0").decode("ascii", "replace"),
        )


def new_header(epoch: int, geometry: Geometry, tag: int) -> Header:
    """A header for a ring of this boot."""
    return Header(epoch=epoch, geometry=geometry, tag=tag, boot=boot_id())


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotHead:
    """What a slot says of its payload.

    `size` is the payload's bytes, `stride` the bytes of a row; width, height and stride are 0 for a failure. `monotonic_ns` is
    CLOCK_MONOTONIC and `wall_ns` nanoseconds since 1970, both at the grab. `source_cursor` tells how far the source is after this frame.
    """

    sequence: int
    kind: Kind
    size: int
    width: int = 0
    height: int = 0
    stride: int = 0
    pixel_format: str = ""
    monotonic_ns: int
    wall_ns: int
    source_cursor: int = 0
    part_id: str | None = None
    command_id: str | None = None

    def pack(self) -> bytes:
        """The head, without its sequence at the front, which is written last."""
        part, command = (self.part_id or "").encode(), (self.command_id or "").encode()
        return _SLOT_HEAD.pack(
            self.sequence,
            self.kind,
            self.size,
            self.width,
            self.height,
            self.stride,
            self.monotonic_ns,
            self.wall_ns,
            self.source_cursor,
            self.pixel_format.encode("ascii"),
            len(part),
            part,
            len(command),
            command,
        )[SEQUENCE.size :].ljust(SLOT_HEAD_BYTES - SEQUENCE.size, b"\0")

    @classmethod
    def unpack(cls, raw: bytes, geometry: Geometry) -> "SlotHead":
        """Raises BadLayoutError when a value is impossible, as in a slot that is being written."""
        if len(raw) < _SLOT_HEAD.size:
            raise BadLayoutError("the slot is cut off")
        fields = _SLOT_HEAD.unpack_from(raw)
        sequence, kind, size, width, height, stride, monotonic_ns, wall_ns, source_cursor = fields[:9]
        pixel_format, part_length, part, command_length, command = fields[9:]
        head = cls(
            sequence=sequence,
            kind=_kind(kind),
            size=size,
            width=width,
            height=height,
            stride=stride,
            pixel_format=_text(pixel_format.rstrip(b"\0")) or "",
            monotonic_ns=monotonic_ns,
            wall_ns=wall_ns,
            source_cursor=source_cursor,
            part_id=_text(part[: _length(part_length)]),
            command_id=_text(command[: _length(command_length)]),
        )
        head.check(geometry)
        return head

    def check(self, geometry: Geometry) -> None:
        """Raises BadLayoutError when the numbers do not fit together or not into a slot."""
        if self.size > geometry.slot_bytes:
            raise BadLayoutError(f"{self.size} bytes do not fit into a slot of {geometry.slot_bytes}")
        if self.kind is not Kind.PICTURE:
            return
        channels = CHANNELS.get(self.pixel_format)
        if channels is None:
            raise BadLayoutError(f"pixel format {self.pixel_format!r} is none of {', '.join(CHANNELS)}")
        if self.width < 1 or self.height < 1 or self.stride < self.width * channels:
            raise BadLayoutError(f"{self.width}x{self.height} {self.pixel_format} with rows of {self.stride} bytes")
        if self.size != self.stride * self.height:
            raise BadLayoutError(f"{self.height} rows of {self.stride} bytes are not {self.size} bytes")


def fits_text(text: str | None) -> bool:
    """True when a part id or command id fits into its field of the slot head."""
    return text is None or len(text.encode()) <= MAX_TEXT_BYTES


def ring_path(folder: Path, station: str) -> Path:
    """The station's ring file in the shared memory folder."""
    return folder / f"linewatch-{station}.ring"


def _kind(value: int) -> Kind:
    try:
        return Kind(value)
    except ValueError as error:
        raise BadLayoutError(f"{value} is no kind of slot") from error


def _length(value: int) -> int:
    if value > MAX_TEXT_BYTES:
        raise BadLayoutError(f"a text of {value} bytes")
    return value


def _text(raw: bytes) -> str | None:
    try:
        return raw.decode() or None
    except UnicodeDecodeError as error:
        raise BadLayoutError("a text that is not UTF-8") from error
