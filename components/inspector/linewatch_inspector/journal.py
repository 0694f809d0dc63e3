"""The journal: what was decided and is not yet safe in the ledger. It survives the process, not a power cut.

A file in shared memory. After a header come records: length and CRC-32 of a body, then the body. A body begins with its kind: `V` with the
capture's monotonic nanoseconds (0 where unknown) and the encoded Verdict, written before the verdict is published; `P` with the
frame_id, written after. A kill leaves at most one torn record at the end, which the next start cuts off.
"""

import contextlib
import logging
import os
import struct
import threading
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from linewatch_common.clock import boot_id
from linewatch_common.errors import MessageError, StorageError
from linewatch_common.messages import MAX_MESSAGE_BYTES, Verdict, decode

log = logging.getLogger(__name__)

_MAGIC = b"LWJRNL1\n"
_BOOT_BYTES = 36
_HEADER_BYTES = len(_MAGIC) + _BOOT_BYTES
_RECORD = struct.Struct("<II")
_VERDICT = struct.Struct("<cQ")
_MAX_BODY_BYTES = _VERDICT.size + MAX_MESSAGE_BYTES
# Some thousand verdicts, a few minutes of a fast line; rewriting less takes under a millisecond.
REWRITE_BYTES = 512 * 1024
# While the ledger fails the rows stay here; a day of a slow line, and no more of the memory that rings and programs share.
MAX_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """A verdict found at the start. `monotonic_ns` is None when it is of another boot or unknown."""

    verdict: Verdict
    monotonic_ns: int | None
    published: bool


def journal_path(folder: Path, station: str) -> Path:
    """The station's journal in the shared memory folder."""
    return folder / f"linewatch-{station}.journal"


class Journal:
    """Safe to use from several threads. `open` comes first."""

    def __init__(self, path: Path, *, rewrite_bytes: int = REWRITE_BYTES) -> None:
        self._path = path
        self._rewrite_bytes = rewrite_bytes
        self._fd = -1
        self._size = 0
        self._lock = threading.Lock()
        self._live: dict[str, bytes] = {}

    def open(self) -> list[Entry]:
        """Take over what an earlier process left, in the order of its verdicts. Raises StorageError."""
        with self._lock:
            try:
                return self._open()
            except OSError as error:
                raise StorageError(f"{self._path}: cannot open the journal: {error.strerror}") from error

    def add(self, frame_id: str, raw: bytes, monotonic_ns: int | None) -> None:
        """Note a verdict before it is published. Raises StorageError; the journal is then as before."""
        record = _record(_VERDICT.pack(b"V", monotonic_ns or 0) + raw)
        with self._lock:
            self._append(record)
            self._live[frame_id] = record

    def published(self, frame_id: str) -> None:
        """Note that a verdict is out. Raises StorageError; after a kill it would be published once more."""
        record = _record(b"P" + frame_id.encode())
        with self._lock:
            if frame_id in self._live:
                self._append(record)
                self._live[frame_id] += record

    def recorded(self, frame_ids: Iterable[str]) -> None:
        """These are safe in the ledger. Rewrites the file when it has grown; raises StorageError when that fails."""
        with self._lock:
            for frame_id in frame_ids:
                self._live.pop(frame_id, None)
            if self._size > self._rewrite_bytes and sum(map(len, self._live.values())) < self._size // 2:
                self._rewrite()

    def close(self) -> None:
        """Let go of the file, which stays for the next start."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
            self._fd = -1

    def _open(self) -> list[Entry]:
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_APPEND, 0o600)
        os.fchmod(self._fd, 0o600)
        data = os.pread(self._fd, 2 * MAX_BYTES, 0)
        if not data.startswith(_MAGIC) or len(data) < _HEADER_BYTES:
            if data:
                log.warning("%s: not a journal, %d bytes thrown away", self._path, len(data))
            self._begin_file()
            return []
        same_boot = data[len(_MAGIC) : _HEADER_BYTES] == _boot()
        bodies, good = _bodies(data)
        if good < len(data):
            log.warning("%s: a torn record of %d bytes at the end is cut off", self._path, len(data) - good)
            os.ftruncate(self._fd, good)
        self._size = good
        entries = self._entries(bodies, same_boot)
        if not same_boot:
            self._take_over()
        return entries

    def _take_over(self) -> None:
        """Under this boot's name. What was read counts also where there is no room for that; it then stays another boot's."""
        try:
            self._rewrite()
        except StorageError as error:
            log.warning("%s", error)

    def _begin_file(self) -> None:
        os.ftruncate(self._fd, 0)
        self._size = 0
        self._append(b"")

    def _entries(self, bodies: list[bytes], same_boot: bool) -> list[Entry]:
        found: dict[str, Entry] = {}
        for body in bodies:
            if body[:1] == b"P":
                frame_id = body[1:].decode("utf-8", "replace")
                if frame_id in found:
                    found[frame_id] = Entry(found[frame_id].verdict, found[frame_id].monotonic_ns, published=True)
                    self._live[frame_id] += _record(body)
                continue
            try:
                _, monotonic_ns = _VERDICT.unpack_from(body)
                verdict = decode(body[_VERDICT.size :], Verdict)
            except (struct.error, MessageError) as error:
                log.warning("%s: a record that cannot be read is left out: %s", self._path, error)
                continue
            found[verdict.frame_id] = Entry(
                verdict, monotonic_ns if same_boot and monotonic_ns else None, published=False
            )
            self._live[verdict.frame_id] = _record(body if same_boot else _unstamped(body))
        return list(found.values())

    def _append(self, record: bytes) -> None:
        if self._fd < 0:
            raise StorageError(f"{self._path}: the journal is not open")
        if self._size == 0:  # also when the header did not fit at the start
            record = _MAGIC + _boot() + record
        if self._size + len(record) > MAX_BYTES:
            raise StorageError(f"{self._path}: the journal is full with {self._size / 1e6:.0f} MB")
        try:
            written = os.write(self._fd, record)
            if written != len(record):
                raise OSError(0, f"only {written} of {len(record)} bytes were taken")  # noqa: TRY301 - handled as a failure
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self._size)
            raise StorageError(f"{self._path}: cannot write: {error.strerror}") from error
        self._size += len(record)

    def _rewrite(self) -> None:
        """Only what is not in the ledger yet; complete before it bears the name."""
        data = _MAGIC + _boot() + b"".join(self._live.values())
        beside = self._path.with_name(f".{self._path.name}.new")
        fd = -1
        try:
            with contextlib.suppress(FileNotFoundError):
                beside.unlink()
            fd = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_APPEND, 0o600)
            if os.write(fd, data) != len(data):
                raise OSError(0, "the file system took only a part of it")  # noqa: TRY301 - handled as a failure
            beside.replace(self._path)
        except OSError as error:
            if fd >= 0:
                os.close(fd)
            with contextlib.suppress(OSError):
                beside.unlink()
            raise StorageError(f"{self._path}: cannot rewrite the journal: {error.strerror}") from error
        os.close(self._fd)
        self._fd, self._size = fd, len(data)


def _boot() -> bytes:
    return boot_id().encode("ascii")[:_BOOT_BYTES].ljust(_BOOT_BYTES)


def _unstamped(body: bytes) -> bytes:
    """A verdict's body without its time, which no other boot's clock tells."""
    return _VERDICT.pack(b"V", 0) + body[_VERDICT.size :]


def _record(body: bytes) -> bytes:
    return _RECORD.pack(len(body), zlib.crc32(body)) + body


def _bodies(data: bytes) -> tuple[list[bytes], int]:
    """The whole records' bodies, and where the last whole record ends."""
    found: list[bytes] = []
    at = _HEADER_BYTES
    while at + _RECORD.size <= len(data):
        length, crc = _RECORD.unpack_from(data, at)
        body = data[at + _RECORD.size : at + _RECORD.size + length]
        if not 0 < length <= _MAX_BODY_BYTES or len(body) != length or zlib.crc32(body) != crc:
            break
        found.append(body)
        at += _RECORD.size + length
    return found, at
