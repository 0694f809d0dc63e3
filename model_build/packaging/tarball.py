"""Packages and Neo's results as .tar.gz: written the same byte for byte, unpacked without trusting a single entry."""

import gzip
import io
import tarfile
import zlib
from pathlib import Path, PurePosixPath

from linewatch_common.errors import PackageError, StorageError
from linewatch_common.files import write_atomically
from linewatch_common.manifest import MAX_FILES

MAX_UNPACKED_BYTES = 2_000_000_000  # a model is some MB; bounds what a hostile archive can write


def pack(place: Path, path: Path) -> None:
    """Write everything below `place` into the .tar.gz at `path`: sorted, without times and owners. Raises StorageError."""
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", filename="", mtime=0) as squeezed,
        tarfile.open(fileobj=squeezed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for file in sorted(entry for entry in place.rglob("*") if entry.is_file()):
            data = file.read_bytes()
            member = tarfile.TarInfo(file.relative_to(place).as_posix())
            member.size, member.mode = len(data), 0o644
            archive.addfile(member, io.BytesIO(data))
    write_atomically(path, buffer.getvalue(), 0o644)


def unpack(path: Path, folder: Path) -> None:
    """Unpack the .tar.gz at `path` into `folder`: plain files and folders only, none outside, not too many, not too large.

    Raises PackageError with one line that names the first entry that is refused, StorageError.
    """
    left = MAX_UNPACKED_BYTES
    try:
        with tarfile.open(path, "r:gz") as archive:
            for count, member in enumerate(archive):
                if count >= 2 * MAX_FILES:
                    raise PackageError(f"{path}: holds more than {2 * MAX_FILES} entries")
                _refuse(path, member)
                left -= member.size
                if left < 0:
                    raise PackageError(f"{path}: is over {MAX_UNPACKED_BYTES} bytes when unpacked")
                if member.isfile():
                    _write(archive, member, folder / member.name)
            _read_to_the_end(path, archive)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error, OverflowError) as error:
        raise PackageError(f"{path}: is no whole .tar.gz: {error}") from error
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}") from error


def _read_to_the_end(path: Path, archive: tarfile.TarFile) -> None:
    """gzip's check sum stands behind the last entry, and what was spoilt on the way may unpack all the same."""
    left = MAX_UNPACKED_BYTES
    while archive.fileobj is not None and (block := archive.fileobj.read(1 << 20)):
        left -= len(block)
        if left < 0:
            raise PackageError(f"{path}: is over {MAX_UNPACKED_BYTES} bytes when unpacked")


def _refuse(path: Path, member: tarfile.TarInfo) -> None:
    name = PurePosixPath(member.name)
    if member.issym() or member.islnk():
        raise PackageError(f"{path}: entry {member.name[:200]!r} is a link")
    if not (member.isfile() or member.isdir()):
        raise PackageError(f"{path}: entry {member.name[:200]!r} is neither file nor folder")
    if "\0" in member.name:
        raise PackageError(f"{path}: entry {member.name[:200]!r} has no name that a file can have")
    if name.is_absolute() or ".." in name.parts:
        raise PackageError(f"{path}: entry {member.name[:200]!r} leaves the archive")


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    source = archive.extractfile(member)
    if source is None:
        raise PackageError(f"entry {member.name[:200]!r} cannot be read")
    if target.exists():
        raise PackageError(f"entry {member.name[:200]!r} stands twice in the archive")
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        while block := source.read(1 << 20):
            file.write(block)
