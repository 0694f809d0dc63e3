"""Zips that are the same byte for byte from build to build: sorted names, one time, one mode, one compression."""

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

_TIME = (1980, 1, 1, 0, 0, 0)
_MODE = 0o100644 << 16
_UNIX = 3
_LEVEL = 6

# An entry's name and where its bytes come from.
Entry = tuple[str, Path | bytes]


@dataclass(frozen=True, slots=True)
class Content:
    """What an archive holds: a digest over names and bytes, and how much it is when unpacked."""

    digest: str
    files: int
    size: int


def write_archive(path: Path, entries: Iterable[Entry], on_bytes: Callable[[int], None]) -> Content:
    """Write `entries` sorted by name into a new zip. `on_bytes` hears how many bytes went in. Raises OSError."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
        return _add(archive, entries, hashlib.sha256(), Content("", 0, 0), on_bytes)


def extend_archive(path: Path, base: Path, content: Content, entries: Iterable[Entry]) -> Content:
    """As `write_archive`, on top of a copy of `base` whose content is given: its bytes are not compressed again."""
    shutil.copyfile(base, path)
    digest = hashlib.sha256(content.digest.encode())
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
        return _add(archive, entries, digest, content, lambda _: None)


def append_file(path: Path, name: str, data: bytes) -> None:
    """Add one last file to the zip. Raises OSError."""
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
        archive.writestr(_info(name), data, zipfile.ZIP_DEFLATED, _LEVEL)


def save_content(path: Path, content: Content) -> None:
    """Keep `content` beside its archive."""
    path.write_text(json.dumps(asdict(content)))


def load_content(path: Path) -> Content:
    """What `save_content` kept. Raises OSError, ValueError, TypeError."""
    return Content(**json.loads(path.read_text()))


def _add(
    archive: zipfile.ZipFile,
    entries: Iterable[Entry],
    digest: "hashlib._Hash",
    start: Content,
    on_bytes: Callable[[int], None],
) -> Content:
    files, size = start.files, start.size
    for name, source in sorted(entries, key=lambda entry: entry[0]):
        data = source if isinstance(source, bytes) else source.read_bytes()
        digest.update(f"{name}\0{len(data)}\0".encode())
        digest.update(hashlib.sha256(data).digest())
        archive.writestr(_info(name), data, zipfile.ZIP_DEFLATED, _LEVEL)
        files += 1
        size += len(data)
        on_bytes(len(data))
    return Content(digest.hexdigest(), files, size)


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _TIME)
    info.external_attr = _MODE
    info.create_system = _UNIX
    return info
