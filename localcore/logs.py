"""A component's log file: one line each with its UTC time, rotated by size."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

MAX_LOG_BYTES = 10 * 1024 * 1024  # of a file; one older file is kept beside it
_OLDER = ".1"


def utc_now() -> str:
    """This moment, as logs and commands print it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class ComponentLog:
    """Appends lines; a full disk loses lines, never the component, and counts them."""

    def __init__(self, path: Path, max_bytes: int = MAX_LOG_BYTES) -> None:
        self.path = path
        self.lost = 0
        self._max_bytes = max_bytes
        self._file: TextIO | None = None

    def write(self, source: str, text: str) -> None:
        """Append a line; `source` is stdout, stderr or core."""
        try:
            file = self._open()
            file.write(f"{utc_now()} {source:6} {text.rstrip()}\n")
            file.flush()
            if file.tell() > self._max_bytes:
                self._rotate()
        except OSError:
            self.lost += 1
            self.close()

    def close(self) -> None:
        """Close the file; the next line opens it again."""
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                file.close()

    def _open(self) -> TextIO:
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a", encoding="utf-8")
        return self._file

    def _rotate(self) -> None:
        self.close()
        self.path.replace(self.path.with_name(self.path.name + _OLDER))


def read_tail(path: Path, lines: int) -> list[str]:
    """The last `lines` lines, from the older file too. Raises OSError."""
    found: list[str] = []
    for part in (path.with_name(path.name + _OLDER), path):
        if part.exists():
            found.extend(_lines(part))
    return found[-lines:]


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            yield line.rstrip("\n")
