"""The camera's ring: opened when the file system lets it, and its last epoch remembered across reboots."""

import contextlib
import logging
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from linewatch_common.errors import StorageError
from linewatch_common.files import write_atomically
from linewatch_common.ring import FrameOverwritten, RingFrame, RingReader, RingUnavailable, RingWriter

from linewatch_camera.sources.port import Picture, SourceFailure

log = logging.getLogger(__name__)

EPOCH_FILE = "ring-epoch"


@dataclass(frozen=True, slots=True, kw_only=True)
class RingSettings:
    """What ring to keep; `source` is what its frames are taken from, another one gets a new ring."""

    path: Path
    slots: int
    slot_bytes: int
    source: str
    work: Path


class RingKeeper:
    """A `RingWriter` that may not be there yet. For the capture thread; the properties may be read from any."""

    def __init__(self, settings: RingSettings) -> None:
        self._settings = settings
        self._writer: RingWriter | None = None
        self._saved_epoch = 0

    @property
    def writer(self) -> RingWriter | None:
        """The open ring, if any."""
        return self._writer

    def open(self) -> RingWriter:
        """The ring, taken over or made when it is not open. Raises StorageError: try again later."""
        if self._writer is None:
            settings = self._settings
            self._saved_epoch = self._read_epoch()
            self._writer = RingWriter.open(
                settings.path,
                settings.slots,
                settings.slot_bytes,
                tag=zlib.crc32(settings.source.encode("utf-8", "replace")),
                after_epoch=self._saved_epoch,
            )
            self._save_epoch()
            log.info("ring %s: epoch %d, frame %d", settings.path, self._writer.epoch, self._writer.sequence)
        return self._writer

    def write(self, taken: Picture | SourceFailure, part_id: str | None, command_id: str | None) -> int:
        """Write what the source gave and return its number. Raises StorageError, InputError when it does not fit."""
        writer = self.open()
        if isinstance(taken, SourceFailure):
            number = writer.write_failure(
                taken.reason,
                stamp=taken.stamp,
                part_id=part_id,
                command_id=command_id,
                source_cursor=taken.cursor,
            )
        else:
            number = writer.write_picture(
                taken.pixels.data.cast("B"),
                width=taken.pixels.shape[1],
                height=taken.pixels.shape[0],
                stride=taken.pixels.strides[0],
                pixel_format=taken.pixel_format,
                stamp=taken.stamp,
                part_id=part_id,
                command_id=command_id,
                source_cursor=taken.cursor,
            )
        if writer.epoch != self._saved_epoch:
            self._save_epoch()
        return number

    def frames(self) -> Iterator[RingFrame]:
        """What still lies in the ring, oldest first, without pixels."""
        reader = RingReader(self._settings.path)
        try:
            with contextlib.suppress(RingUnavailable, FrameOverwritten):
                for number in range(reader.oldest_safe, reader.write_sequence + 1):
                    yield reader.describe(number)
        finally:
            reader.close()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _read_epoch(self) -> int:
        try:
            return int((self._settings.work / EPOCH_FILE).read_text("ascii"))
        except (OSError, ValueError):
            return 0  # never saved; the clock then has to do

    def _save_epoch(self) -> None:
        """A device whose clock starts in the past after a power cut must not name new frames as old ones."""
        if self._writer is None:
            return
        self._saved_epoch = self._writer.epoch
        try:
            write_atomically(self._settings.work / EPOCH_FILE, str(self._saved_epoch).encode())
        except StorageError as error:
            log.warning("the ring's epoch is not remembered: %s", error)
