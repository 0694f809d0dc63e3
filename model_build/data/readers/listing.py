"""Pictures in a folder, found in an order that depends on names alone."""

import os
from collections.abc import Callable
from pathlib import Path

from linewatch_common.errors import InputError

from model_build.data.pixels import SUFFIXES, read_bounded
from model_build.data.records import MAX_PICTURES

_READ = SUFFIXES | {".webp", ".jp2", ".pgm", ".ppm"}
_NOT_READ = frozenset({".gif", ".heic", ".heif", ".avif", ".dng", ".dcm"})


def pictures_in(folder: Path) -> list[Path]:
    """The pictures that lie directly in `folder`, by name. Raises InputError when it, or one of them, cannot be read."""
    try:
        with os.scandir(folder) as entries:
            found = [folder / entry.name for entry in entries if entry.is_file()]
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}") from error
    return _pictures(folder, found)


def pictures_below(folder: Path) -> list[Path]:
    """The pictures that lie in `folder` and in the folders below it, by path. Raises InputError as `pictures_in`."""
    found = pictures_in(folder)
    for below in folders_in(folder):
        found += pictures_below(below)
    return sorted(found)


def _pictures(folder: Path, files: list[Path]) -> list[Path]:
    shown = [file for file in files if not file.name.startswith(".")]
    strange = sorted(file for file in shown if file.suffix.lower() in _NOT_READ)
    if strange:
        raise InputError(
            f"{strange[0]}: {strange[0].suffix} cannot be read; convert it to PNG or JPEG, or take it away"
        )
    found = sorted(file for file in shown if file.suffix.lower() in _READ)
    if len(found) > MAX_PICTURES:
        raise InputError(f"{folder}: over {MAX_PICTURES} pictures")
    return found


def folders_in(folder: Path) -> list[Path]:
    """The folders directly in `folder`, by name."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def reads(path: Path) -> Callable[[], bytes]:
    """A reader of the file's bytes, for Record.picture."""
    return lambda: read_bounded(path)


def inside(folder: Path, name: str) -> Path:
    """`folder / name`, refused with InputError when it leaves the folder."""
    path = Path(name)
    if path.is_absolute() or ".." in path.parts:
        raise InputError(f"{folder}: the path {name!r} leaves the folder")
    return folder / path
