"""Writing frames: one owner, who survives a kill, a tmp cleaner and a full file system."""

import logging
import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path

from linewatch_common.errors import StorageError
from linewatch_common.ring.errors import PictureTooLarge
from linewatch_common.ring.layout import (
    MAX_REASON_CHARACTERS,
    SEQUENCE,
    SLOT_HEAD_BYTES,
    WRITE_SEQUENCE_OFFSET,
    BadLayoutError,
    Geometry,
    Header,
    Kind,
    SlotHead,
    fits_text,
    new_header,
)
from linewatch_common.ring.ring_file import check_unused, free_memory_of, make_file, open_existing

log = logging.getLogger(__name__)

_BEING_WRITTEN = SEQUENCE.pack(0)


@dataclass(frozen=True, slots=True)
class Stamp:
    """When a picture was taken: CLOCK_MONOTONIC and wall clock, in nanoseconds."""

    monotonic_ns: int
    wall_ns: int

    @classmethod
    def now(cls) -> "Stamp":
        return cls(time.monotonic_ns(), time.time_ns())


class RingWriter:
    """The only writer of one ring file; a lock on the file keeps a second process out. Not thread-safe."""

    def __init__(self, path: Path, geometry: Geometry, tag: int = 0, after_epoch: int = 0) -> None:
        self._path = path
        self._geometry = geometry
        self._tag = tag
        self._epoch = after_epoch
        self._fd = -1
        self._identity = (0, 0)
        self._sequence = 0
        self._cursor = 0

    @classmethod
    def open(cls, path: Path, slots: int, slot_bytes: int, *, tag: int = 0, after_epoch: int = 0) -> "RingWriter":
        """Take over the ring at `path` when it is sound and of this geometry and tag, and go on counting; else make a new one.

        `tag` (below 2^64) stands for the source of the frames: the numbers and cursors of another one mean nothing here.
        `after_epoch` is the last epoch the caller remembers: a new ring gets a later one even when the clock was set back.
        Raises StorageError (file system full, another writer, another owner), ValueError for an impossible geometry.
        """
        writer = cls(path, Geometry(slots, slot_bytes), tag, after_epoch)
        if not writer._take_over():
            writer._make_new_in_place_of_old()
        return writer

    @property
    def path(self) -> Path:
        return self._path

    @property
    def epoch(self) -> int:
        """When the ring was made, in unix seconds."""
        return self._epoch

    @property
    def sequence(self) -> int:
        """The newest frame; 0 when there is none yet."""
        return self._sequence

    @property
    def cursor(self) -> int:
        """The source cursor of the newest frame, also of one that an earlier process wrote."""
        return self._cursor

    @property
    def slots(self) -> int:
        return self._geometry.slots

    @property
    def slot_bytes(self) -> int:
        """The largest payload."""
        return self._geometry.slot_bytes

    def write_picture(
        self,
        pixels: bytes | bytearray | memoryview,
        *,
        width: int,
        height: int,
        stride: int,
        pixel_format: str,
        stamp: Stamp,
        part_id: str | None = None,
        command_id: str | None = None,
        source_cursor: int = 0,
    ) -> int:
        """Write a picture and return its sequence.

        `pixels` is contiguous uint8, `height` rows of `stride` bytes; `pixel_format` is Mono8, BGR8 or RGB8.
        Raises PictureTooLarge, ValueError when the sizes contradict each other or an id is over 128 bytes, StorageError (nothing was
        written and no number used; try again).
        """
        view = memoryview(pixels).cast("B")
        if len(view) > self._geometry.slot_bytes:
            raise PictureTooLarge(
                f"a picture of {len(view)} bytes does not fit into a slot of {self._geometry.slot_bytes}"
            )
        return self._write(
            SlotHead(
                sequence=0,
                kind=Kind.PICTURE,
                size=len(view),
                width=width,
                height=height,
                stride=stride,
                pixel_format=pixel_format,
                monotonic_ns=stamp.monotonic_ns,
                wall_ns=stamp.wall_ns,
                source_cursor=source_cursor,
                part_id=part_id,
                command_id=command_id,
            ),
            view,
        )

    def write_failure(
        self,
        reason: str,
        *,
        stamp: Stamp,
        part_id: str | None = None,
        command_id: str | None = None,
        source_cursor: int = 0,
    ) -> int:
        """Write that a picture could not be taken and return the sequence. Raises StorageError, ValueError as write_picture."""
        payload = reason[:MAX_REASON_CHARACTERS].encode("utf-8", "replace")[: self._geometry.slot_bytes]
        return self._write(
            SlotHead(
                sequence=0,
                kind=Kind.FAILURE,
                size=len(payload),
                monotonic_ns=stamp.monotonic_ns,
                wall_ns=stamp.wall_ns,
                source_cursor=source_cursor,
                part_id=part_id,
                command_id=command_id,
            ),
            memoryview(payload),
        )

    def close(self) -> None:
        """Let go of the ring, which stays for its readers and the next writer."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def _write(self, head: SlotHead, payload: memoryview) -> int:
        head.check(self._geometry)
        if not (fits_text(head.part_id) and fits_text(head.command_id)):
            raise ValueError("part_id and command_id take at most 128 bytes of UTF-8")
        self._ensure_named()
        number = self._sequence + 1
        offset = self._geometry.slot_offset(number)
        try:
            self._put([_BEING_WRITTEN], offset)
            self._put([head.pack(), payload], offset + SEQUENCE.size)
            self._put([SEQUENCE.pack(number)], offset)
            self._put([SEQUENCE.pack(number)], WRITE_SEQUENCE_OFFSET)
        except OSError as error:
            raise StorageError(f"{self._path}: cannot write frame {number}: {error.strerror}") from error
        self._sequence = number
        self._cursor = head.source_cursor
        return number

    def _put(self, parts: list[bytes | memoryview], offset: int) -> None:
        expected = sum(len(part) for part in parts)
        if os.pwritev(self._fd, parts, offset) != expected:
            raise OSError(0, "the file system took only a part of it")

    def _ensure_named(self) -> None:
        """Make the ring again when its name, its file or a part of it is gone (a tmp cleaner, a person)."""
        if self._fd < 0:
            raise StorageError(f"{self._path}: the ring is closed")
        try:
            found = os.stat(self._path)  # noqa: PTH116 - this runs for every frame
        except OSError:
            found = None
        if (
            found is not None
            and (found.st_dev, found.st_ino) == self._identity
            and found.st_size == self._geometry.file_bytes
        ):
            return
        log.warning("%s: the ring was removed or changed by somebody else; making it again", self._path)
        if found is not None and (found.st_dev, found.st_ino) != self._identity:
            check_unused(self._path)
        self._make_new()

    def _take_over(self) -> bool:
        """True when the file at the path is a ring to go on with. Raises StorageError when it is another's or in use."""
        fd = open_existing(self._path)
        if fd is None:
            return False
        taken = False
        try:
            taken = self._go_on(fd)
        except OSError as error:
            raise StorageError(f"{self._path}: cannot take over the ring: {error.strerror}") from error
        finally:
            if not taken:
                os.close(fd)
        return taken

    def _go_on(self, fd: int) -> bool:
        found = os.fstat(fd)
        try:
            header = Header.unpack(os.pread(fd, 256, 0) if stat.S_ISREG(found.st_mode) else b"")
        except BadLayoutError as error:
            log.warning("%s: not a ring to go on with (%s); making a new one", self._path, error)
            return False
        self._epoch = max(self._epoch, header.epoch)
        if header != new_header(header.epoch, self._geometry, self._tag) or found.st_size != self._geometry.file_bytes:
            log.info("%s: a ring of another size, source or boot; making a new one", self._path)
            return False
        newest = self._newest(fd)
        if newest is None:
            log.warning("%s: the ring's numbers contradict each other; making a new one", self._path)
            return False
        # A file cut off and grown again has holes: have their memory now rather than at some write.
        os.posix_fallocate(fd, 0, self._geometry.file_bytes)
        os.fchmod(fd, 0o600)
        self._sequence, self._cursor = newest
        self._epoch = header.epoch
        self._fd, self._identity = fd, (found.st_dev, found.st_ino)
        os.pwrite(fd, SEQUENCE.pack(self._sequence), WRITE_SEQUENCE_OFFSET)
        return True

    def _newest(self, fd: int) -> tuple[int, int] | None:
        """Number and cursor of the newest complete frame, also one that a killed writer had not counted yet."""
        counted = int(SEQUENCE.unpack(os.pread(fd, SEQUENCE.size, WRITE_SEQUENCE_OFFSET))[0])
        for number in (counted + 1, counted):
            raw = os.pread(fd, SLOT_HEAD_BYTES, self._geometry.slot_offset(number))
            if SEQUENCE.unpack_from(raw)[0] != number:
                continue
            if number == 0:
                return 0, 0
            try:
                return number, SlotHead.unpack(raw, self._geometry).source_cursor
            except BadLayoutError:
                return None
        return None

    def _make_new_in_place_of_old(self) -> None:
        """A fresh ring; when there is no room for it beside an old one that cannot be used, that one's memory is freed first."""
        try:
            self._make_new()
        except StorageError:
            if not free_memory_of(self._path):
                raise
            log.warning("%s: the old ring's memory is freed for the new one", self._path)
            self._make_new()

    def _make_new(self) -> None:
        """A fresh ring under the name, complete before it is seen. Raises StorageError; the old state then still stands."""
        epoch = max(int(time.time()), self._epoch + 1)
        header = new_header(epoch, self._geometry, self._tag)
        fd = make_file(self._path, header.pack(), self._geometry.file_bytes)
        self.close()
        found = os.fstat(fd)
        self._fd, self._identity = fd, (found.st_dev, found.st_ino)
        self._epoch, self._sequence = epoch, 0
