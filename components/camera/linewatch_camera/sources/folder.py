"""Pictures of a folder, in natural order, once or again and again. Never changes the folder."""

import os
import re
from pathlib import Path

from linewatch_common.errors import InputError, UnavailableError
from linewatch_common.ring import Stamp
from linewatch_common.ring.layout import MAX_TEXT_BYTES

from linewatch_camera.cursors import pack_cursor, unpack_cursor
from linewatch_camera.decoding import decode_picture, most_file_bytes
from linewatch_camera.sources.port import Picture, SourceEnded, SourceFailure
from linewatch_camera.sources.waiting import WaitingSource

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})
# Without waiting for a writer when somebody has put a pipe among the pictures.
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


class FolderSource(WaitingSource):
    """A `Source` of the picture files directly in `folder`; the part id is the file's name without its suffix.

    The list is made at the first picture and again before each round of a loop; files that come meanwhile wait for that.
    """

    def __init__(self, folder: str, *, loop: bool, slot_bytes: int) -> None:
        self._folder = folder
        self._loop = loop
        self._slot_bytes = slot_bytes
        self._names: list[str] = []
        self._passes = 0
        self._place = 0

    @property
    def name(self) -> str:
        """See Source."""
        return f"folder {self._folder}"

    def start(self, cursor: int) -> None:
        """See Source."""
        self._passes, self._place = unpack_cursor(cursor)
        self._names = []

    def read(self, not_before_ns: int = 0) -> Picture | SourceFailure:  # noqa: ARG002 - files wait
        """See Source; a folder that is missing or has no pictures may get some."""
        if not self._names:
            self._names = self._list()
        if self._place >= len(self._names):
            if not self._loop:
                raise SourceEnded
            self._names = self._list()
            self._passes, self._place = self._passes + 1, 0
        name = self._names[self._place]
        stamp = Stamp.now()
        self._place += 1
        cursor = pack_cursor(self._passes, self._place)
        part_id = part_id_of(name)
        try:
            pixels, pixel_format = decode_picture(self._bytes(name), self._slot_bytes)
        except InputError as error:
            return SourceFailure(reason=f"{printable(name)}: {error}", stamp=stamp, part_id=part_id, cursor=cursor)
        return Picture(pixels=pixels, pixel_format=pixel_format, stamp=stamp, part_id=part_id, cursor=cursor)

    def close(self) -> None:
        """See Source."""
        self._names = []

    def _list(self) -> list[str]:
        if not self._folder:
            raise UnavailableError("Source.Path is empty: name a folder with pictures")
        try:
            with os.scandir(self._folder) as entries:
                names = [entry.name for entry in entries if _is_picture(entry)]
        except OSError as error:
            raise UnavailableError(f"{self._folder}: cannot read the folder: {error.strerror}") from error
        if not names:
            raise UnavailableError(f"{self._folder}: no PNG, JPEG, BMP or TIFF pictures in the folder")
        return sorted(names, key=natural_order)

    def _bytes(self, name: str) -> bytes:
        limit = most_file_bytes(self._slot_bytes)
        try:
            with os.fdopen(os.open(Path(self._folder) / name, _FLAGS), "rb") as file:
                data = file.read(limit + 1) or b""  # None: a pipe that somebody holds open and writes nothing to
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}") from error
        if len(data) > limit:
            raise InputError(f"over {limit / 1e6:.0f} MB: raise MaxFrameMegabytes")
        return data


def natural_order(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """A key that sorts `2.png` before `10.png`."""
    parts = re.split(r"([0-9]+)", name.casefold())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part], name


def part_id_of(name: str) -> str | None:
    """The file's name without its suffix, cut to what a part id may have."""
    stem = printable(Path(name).stem).encode()[:MAX_TEXT_BYTES].decode("utf-8", "ignore")
    return stem or None


def printable(name: str) -> str:
    """A file name as text that can be sent: bytes that are no UTF-8 become replacement characters."""
    return os.fsencode(name).decode("utf-8", "replace")


def _is_picture(entry: "os.DirEntry[str]") -> bool:
    return Path(entry.name).suffix.lower() in SUFFIXES and not entry.name.startswith(".") and not entry.is_dir()
