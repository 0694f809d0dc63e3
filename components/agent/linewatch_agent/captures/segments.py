"""Segments: the captures of one coming push, as records that a power cut can only shorten.

A segment is a header record and one record a capture; a record is a fixed head (magic, lengths, CRC-32), the capture's id and a
msgpack payload. What is behind the first damaged record does not count. The header holds all that the push's name and place derive from,
so that a push made again from the same segment is the same, byte for byte.
"""

import contextlib
import fcntl
import hashlib
import logging
import os
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec
from linewatch_common.errors import CorruptStateError, StorageError
from linewatch_common.files import make_private_folder, sync_folder

from linewatch_agent.captures.lines import AcceptedCapture, Origin

log = logging.getLogger(__name__)

_HEAD = struct.Struct("<4sHQI")  # magic, bytes of the id, bytes of the payload, CRC-32 of both
_MAGIC = b"LWC1"
_ENDING = ".spool"
_NAME = re.compile(rf"[0-9]{{12}}{re.escape(_ENDING)}")


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """Where a push goes and how its lines are made; `sampled` captures are dropped first when room is wanted."""

    model_name: str
    sampled: bool
    created_ns: int  # wall clock
    origin: Origin
    prefix: str
    embed_limit: int


@dataclass(frozen=True, slots=True)
class Content:
    """A segment read back. `name`: 32 hex digits that derive from the content, so that two segments never share one."""

    header: SegmentHeader
    captures: list[AcceptedCapture]
    name: str


class Segment(Protocol):
    """One segment; written by one thread at a time. `ids` are the captures' in order."""

    header: SegmentHeader
    ids: list[str]
    size_bytes: int

    def append(self, capture: AcceptedCapture) -> None:
        """Survives the end of this process on return. Raises StorageError; the segment is then as before."""

    def sync(self) -> None:
        """Survives a power cut on return. Raises StorageError."""

    def close(self) -> None:
        """Nothing will be appended any more."""

    def content(self) -> Content:
        """Read it back, as far as it is whole. Raises StorageError, and CorruptStateError when nothing is."""

    def remove(self) -> None:
        """It was delivered or dropped. Raises StorageError."""


class Shelf(Protocol):
    """Where segments are."""

    durable: bool

    def open(self) -> list[Segment]:
        """What earlier runs left, oldest first. Raises StorageError."""

    def create(self, header: SegmentHeader) -> Segment:
        """A new segment. Raises StorageError."""


class MemoryShelf:
    """With the spool off: segments end with the process."""

    durable = False

    def open(self) -> list[Segment]:
        """See Shelf."""
        return []

    def create(self, header: SegmentHeader) -> Segment:
        """See Shelf."""
        return _MemorySegment(header)


@dataclass(slots=True)
class _MemorySegment:
    header: SegmentHeader
    ids: list[str] = field(default_factory=list)
    size_bytes: int = 0
    _data: bytearray = field(default_factory=bytearray)

    def append(self, capture: AcceptedCapture) -> None:
        if not self._data:
            self._data += b"".join(_record("", msgspec.msgpack.encode(self.header)))
        self._data += b"".join(_record(capture.request.capture_id, msgspec.msgpack.encode(capture)))
        self.ids.append(capture.request.capture_id)
        self.size_bytes = len(self._data)

    def sync(self) -> None:
        pass

    def close(self) -> None:
        pass

    def content(self) -> Content:
        return _content(bytes(self._data), "a segment in memory")

    def remove(self) -> None:
        self._data.clear()


class FileShelf:
    """A folder of segment files. One process at a time: a second one is refused until the first has ended."""

    durable = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = -1
        self._next = 0

    def open(self) -> list[Segment]:
        """See Shelf. What is found is synced, so that it reads the same after a power cut."""
        make_private_folder(self._folder)
        self._take_lock()
        try:
            paths = sorted(path for path in self._folder.iterdir() if _NAME.fullmatch(path.name))
            segments = [found for path in paths if (found := self._found(path)) is not None]
            sync_folder(self._folder)
        except OSError as error:
            raise StorageError(f"{self._folder}: cannot read the spool: {error}") from error
        return segments

    def _found(self, path: Path) -> Segment | None:
        """None for what holds no capture, and for one file that cannot be read: it must not hold up all others."""
        self._next = max(self._next, int(path.stem) + 1)
        try:
            found = _FileSegment.found(path)
            if found is None:
                path.unlink()
        except OSError as error:
            log.error("captures: %s is left alone: %s", path, error.strerror)  # noqa: TRY400 - the line says it all
            return None
        return found

    def create(self, header: SegmentHeader) -> Segment:
        """See Shelf."""
        path = self._folder / f"{self._next:012d}{_ENDING}"
        self._next += 1
        return _FileSegment.made(path, header)

    def _take_lock(self) -> None:
        if self._lock >= 0:
            return
        try:
            fd = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StorageError(f"{self._folder}: cannot lock the spool: {error.strerror}") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            raise StorageError(f"{self._folder}: another agent uses this spool") from error
        self._lock = fd  # held until the process ends


class _FileSegment:
    def __init__(self, path: Path, header: SegmentHeader, ids: list[str], size_bytes: int, fd: int = -1) -> None:
        self.header = header
        self.ids = ids
        self.size_bytes = size_bytes
        self._path = path
        self._fd = fd

    @classmethod
    def made(cls, path: Path, header: SegmentHeader) -> "_FileSegment":
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise StorageError(f"{path}: cannot make it: {error.strerror}") from error
        segment = cls(path, header, [], 0, fd)
        try:
            segment._write("", msgspec.msgpack.encode(header))
        except StorageError:
            segment.close()
            segment.remove()
            raise
        return segment

    @classmethod
    def found(cls, path: Path) -> "_FileSegment | None":
        """None when it holds no capture. Raises OSError."""
        with path.open("rb") as file:
            os.fsync(file.fileno())
            size = os.fstat(file.fileno()).st_size
            header: SegmentHeader | None = None
            ids: list[str] = []
            end = 0
            while len(head := file.read(_HEAD.size)) == _HEAD.size:
                magic, id_length, length, _ = _HEAD.unpack(head)
                end += _HEAD.size + id_length + length
                if magic != _MAGIC or end > size:
                    break
                capture_id = file.read(id_length).decode(errors="replace")
                if header is None:
                    header = _decoded_header(file.read(length))
                    if header is None:
                        break
                else:
                    ids.append(capture_id)
                file.seek(end)
        return cls(path, header, ids, size) if header is not None and ids else None

    def append(self, capture: AcceptedCapture) -> None:
        self._write(capture.request.capture_id, msgspec.msgpack.encode(capture))
        self.ids.append(capture.request.capture_id)

    def sync(self) -> None:
        """One folder sync with each: the file's name may be new."""
        try:
            os.fsync(self._fd)
            sync_folder(self._path.parent)
        except OSError as error:
            raise StorageError(f"{self._path}: cannot be synced: {error.strerror}") from error

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def content(self) -> Content:
        try:
            data = self._path.read_bytes()
        except FileNotFoundError as error:
            raise CorruptStateError(f"{self._path}: somebody removed it") from error
        except OSError as error:
            raise StorageError(f"{self._path}: cannot be read: {error.strerror}") from error
        return _content(data, str(self._path))

    def remove(self) -> None:
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"{self._path}: cannot be removed: {error.strerror}") from error

    def _write(self, capture_id: str, payload: bytes) -> None:
        parts = _record(capture_id, payload)
        wanted = sum(len(part) for part in parts)
        try:
            written = os.pwritev(self._fd, parts, self.size_bytes)
            if written != wanted:
                # A full disk takes a part first; a signal cannot, files are not interrupted.
                written += os.pwrite(self._fd, b"".join(parts)[written:], self.size_bytes + written)
            if written != wanted:
                raise OSError(0, "it took only a part")  # noqa: TRY301 - the same clean-up as for the system's own
        except OSError as error:
            with contextlib.suppress(OSError):  # what stays is damaged and last, or the next record is written over it
                os.ftruncate(self._fd, self.size_bytes)
            raise StorageError(f"{self._path}: cannot write {wanted} bytes: {error.strerror}") from error
        self.size_bytes += wanted


def _record(capture_id: str, payload: bytes) -> tuple[bytes, bytes, bytes]:
    key = capture_id.encode()
    return _HEAD.pack(_MAGIC, len(key), len(payload), zlib.crc32(payload, zlib.crc32(key))), key, payload


def _records(data: bytes) -> Iterator[tuple[memoryview, int]]:
    """Payloads of whole records and where each ends."""
    view, at = memoryview(data), 0
    while at + _HEAD.size <= len(data):
        magic, id_length, length, crc = _HEAD.unpack_from(data, at)
        start, end = at + _HEAD.size + id_length, at + _HEAD.size + id_length + length
        if magic != _MAGIC or end > len(data) or zlib.crc32(view[at + _HEAD.size : end]) != crc:
            return
        yield view[start:end], end
        at = end


def _content(data: bytes, where: str) -> Content:
    header: SegmentHeader | None = None
    captures: list[AcceptedCapture] = []
    whole = 0
    try:
        for payload, end in _records(data):
            if header is None:
                header = msgspec.msgpack.decode(payload, type=SegmentHeader)
            else:
                captures.append(msgspec.msgpack.decode(payload, type=AcceptedCapture))
            whole = end
    except msgspec.MsgspecError as error:
        raise CorruptStateError(f"{where}: a record of another version: {error}") from error
    if header is None:
        raise CorruptStateError(f"{where}: damaged from its beginning")
    return Content(header, captures, hashlib.sha256(data[:whole]).hexdigest()[:32])


def _decoded_header(payload: bytes) -> SegmentHeader | None:
    try:
        return msgspec.msgpack.decode(payload, type=SegmentHeader)
    except msgspec.MsgspecError:
        return None
