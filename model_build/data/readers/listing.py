"""Pictures in a folder, found in an order that depends on names alone."""

import os
from collections.abc import Callable
from pathlib import Path

from linewatch_common.errors import InputError

from model_build.data.pixels import SUFFIXES, decode_mask, read_bounded
from model_build.data.records import DEFECT, MAX_PICTURES, Masks


def pictures_in(folder: Path) -> list[Path]:
    """The pictures that lie directly in `folder`, by name. Raises InputError when it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.is_file())
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}") from error
    found = [folder / name for name in names if Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")]
    if len(found) > MAX_PICTURES:
        raise InputError(f"{folder}: over {MAX_PICTURES} pictures")
    return found


def folders_in(folder: Path) -> list[Path]:
    """The folders directly in `folder`, by name."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def reads(path: Path) -> Callable[[], bytes]:
    """A reader of the file's bytes, for Record.picture."""
    return lambda: read_bounded(path)


def mask_from(path: Path, name: str = DEFECT) -> Callable[[int, int], Masks]:
    """A reader of one mask file for one class, for Record.masks."""
    return lambda _height, _width: {name: decode_mask(read_bounded(path), str(path))}


def inside(folder: Path, name: str) -> Path:
    """`folder / name`, refused with InputError when it leaves the folder."""
    path = Path(name)
    if path.is_absolute() or ".." in path.parts:
        raise InputError(f"{folder}: the path {name!r} leaves the folder")
    return folder / path
