"""A System V shared memory segment as a client of the original agent makes one."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

_PRIVATE, _CREATE, _REMOVE = 0, 0o1600, 0


@dataclass(frozen=True, slots=True)
class Segment:
    """The id to send, and the bytes as a writable array."""

    id: int
    content: Any


@contextmanager
def segment(size: int) -> Iterator[Segment]:
    """A segment of `size` bytes, removed afterwards. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmat.restype = ctypes.c_void_p
    made = libc.shmget(_PRIVATE, ctypes.c_size_t(size), _CREATE)
    address = libc.shmat(made, None, 0) if made >= 0 else None
    if address is None or address == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), "no shared memory segment")
    try:
        yield Segment(made, np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address)))
    finally:
        libc.shmdt(ctypes.c_void_p(address))
        libc.shmctl(made, _REMOVE, None)
