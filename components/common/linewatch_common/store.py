"""The store's file format: picture, mask and verdict of one inspection in one file.

`<store>/<YYYYMMDD>/<frame_id>.zip`, the day (UTC) of the capture; a zip without compression (its contents are compressed already) with
`verdict.json` (the Verdict message), `picture.jpg` and, where a segmenter ran, `mask.png` (8-bit grey, the frame's aspect, 255 is a
certain defect). Any zip program opens it.
"""

import contextlib
import os
import zipfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from linewatch_common.errors import InputError, MessageError, StorageError, UnavailableError
from linewatch_common.messages import MAX_MESSAGE_BYTES, Verdict, decode, encode

VERDICT_NAME = "verdict.json"
PICTURE_NAME = "picture.jpg"
MASK_NAME = "mask.png"
SUFFIX = ".zip"
# A JPEG of the largest frame that the ring takes stays below it; a reader must not be filled up by a foreign file.
MAX_PICTURE_BYTES = 64 * 1024 * 1024
MAX_FILE_BYTES = 2 * MAX_PICTURE_BYTES + 64 * 1024
# A zip's times have no zone and would make equal contents unequal.
_NO_TIME = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class StoredInspection:
    """One inspection. `picture` is a JPEG; `mask` is a PNG, empty where no segmenter ran."""

    verdict: Verdict
    picture: bytes
    mask: bytes = b""


def inspection_path(store: Path, verdict: Verdict) -> Path:
    """Where the inspection of `verdict` lies in the folder `store`."""
    day = verdict.captured_at[:10].replace("-", "")
    return store / day / f"{verdict.frame_id}{SUFFIX}"


def write_inspection(path: Path, inspection: StoredInspection) -> int:
    """Write the file, complete or not at all, and return its size in bytes.

    Without fsync: after a power cut the newest pictures may be missing or broken (`read_inspection` says so), which a ledger row
    survives; syncing each would wear flash out and keep the disk busy. Raises StorageError, MessageError.
    """
    data = _packed(inspection)
    beside = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise StorageError(f"{path}: cannot store {len(data)} bytes: {error.strerror}") from error
    return len(data)


def read_inspection(path: Path) -> StoredInspection:
    """The inspection in the file at `path`.

    Raises InputError, with path and reason, for a file that is not whole or not one of ours; UnavailableError when it is gone or the
    disk does not answer.
    """
    data = _read_bounded(path)
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            verdict = decode(_member(path, archive, VERDICT_NAME, MAX_MESSAGE_BYTES), Verdict)
            picture = _member(path, archive, PICTURE_NAME, MAX_PICTURE_BYTES)
            has_mask = MASK_NAME in archive.namelist()
            mask = _member(path, archive, MASK_NAME, MAX_PICTURE_BYTES) if has_mask else b""
    except MessageError as error:
        raise InputError(f"{path}: {VERDICT_NAME}: {error}") from error
    except (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError, EOFError) as error:
        raise InputError(f"{path}: not a whole inspection: {error}") from error
    return StoredInspection(verdict, picture, mask)


def _packed(inspection: StoredInspection) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(VERDICT_NAME, _NO_TIME), encode(inspection.verdict))
        archive.writestr(zipfile.ZipInfo(PICTURE_NAME, _NO_TIME), inspection.picture)
        if inspection.mask:
            archive.writestr(zipfile.ZipInfo(MASK_NAME, _NO_TIME), inspection.mask)
    return buffer.getvalue()


def _read_bounded(path: Path) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UnavailableError(f"{path}: cannot read the inspection: {error.strerror}") from error
    if len(data) > MAX_FILE_BYTES:
        raise InputError(f"{path}: over {MAX_FILE_BYTES} bytes, not an inspection of ours")
    return data


def _member(path: Path, archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    try:
        info = archive.getinfo(name)
    except KeyError as error:
        raise InputError(f"{path}: {name} is missing") from error
    if info.file_size > limit or info.compress_type != zipfile.ZIP_STORED:
        raise InputError(f"{path}: {name} of {info.file_size} bytes is compressed or over {limit}")
    return archive.read(info)
