"""Pictures as Lookout's clients pass them: RGB bytes, or a place in POSIX shared memory."""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from linewatch_agent.errors import BadRequestError

Picture = NDArray[np.uint8]

MIN_SIDE, MAX_SIDE = 64, 4096
CHANNELS = 3
# shm_open's names: a slash and up to 255 characters; a dot at the start would be a hidden file.
_NAME = re.compile(r"/?[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}")
# Shared memory of linewatch's own, e.g. the frame ring: a client must not write a mask into it.
_OURS = "linewatch-"


@dataclass(frozen=True, slots=True)
class SharedPlace:
    """Bytes in the POSIX object `name`, as in shm_open; `folder` is where the kernel shows these. A `size` of 0 sets no bound."""

    name: str
    size: int = 0
    offset: int = 0
    folder: Path = Path("/dev/shm")  # noqa: S108 - where Linux keeps POSIX shared memory

    def read(self, expected: int) -> bytes:
        """A copy, never a mapping: one that its owner cuts short would be a SIGBUS. Raises BadRequestError."""
        with self._opened(os.O_RDONLY, expected) as fd:
            data = os.pread(fd, expected, self.offset)
        if len(data) != expected:
            raise BadRequestError(f"{self}: became shorter while it was read")
        return data

    def write(self, data: bytes) -> None:
        """Raises BadRequestError, also for an object that is too short: it is never made longer."""
        if self.name.lstrip("/").startswith(_OURS):
            raise BadRequestError(f"{self}: belongs to linewatch; give the mask an object of your own")
        with self._opened(os.O_WRONLY, len(data)) as fd:
            if os.pwrite(fd, data, self.offset) != len(data):
                raise BadRequestError(f"{self}: took a part of the mask only; is {self.folder} full?")

    @contextmanager
    def _opened(self, flags: int, expected: int) -> Iterator[int]:
        if not _NAME.fullmatch(self.name):
            raise BadRequestError(
                f"{self}: want a name as shm_open takes it: letters, digits, dots, dashes, underscores"
            )
        if self.size and self.size < expected:
            raise BadRequestError(f"{self}: size {self.size} was sent, {expected} bytes are expected")
        try:
            fd = os.open(self.folder / self.name.lstrip("/"), flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise BadRequestError(f"{self}: there is none; was it removed before the answer came?") from error
        except OSError as error:
            raise BadRequestError(f"{self}: cannot be opened by the agent's user: {error.strerror}") from error
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode) or self.offset + expected > status.st_size:
                raise BadRequestError(
                    f"{self}: it holds {status.st_size} bytes, {expected} are expected at offset {self.offset}"
                )
            yield fd
        except OSError as error:
            raise BadRequestError(f"{self}: cannot be used: {error.strerror}") from error
        finally:
            os.close(fd)

    def __str__(self) -> str:
        return f"shared memory object {self.name[:100]!r}"


def picture_of(width: int, height: int, data: bytes | SharedPlace) -> Picture:
    """uint8 (height, width, 3), RGB, read-only. Raises BadRequestError for another size or byte count."""
    for name, side in (("width", width), ("height", height)):
        if not MIN_SIDE <= side <= MAX_SIDE:
            raise BadRequestError(f"bitmap: {name} {side} was sent, want {MIN_SIDE} to {MAX_SIDE} pixels")
    expected = width * height * CHANNELS
    content = data.read(expected) if isinstance(data, SharedPlace) else data
    if len(content) != expected:
        raise BadRequestError(
            f"bitmap: {len(content)} bytes were sent, {width}x{height} RGB pixels take {expected}; is it encoded?"
        )
    return np.frombuffer(content, np.uint8).reshape(height, width, CHANNELS)
