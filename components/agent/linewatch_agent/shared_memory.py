"""System V shared memory as the original's clients pass tensors in it: by the id of shmget, read-only, always detached again."""

import ctypes
import errno
import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from linewatch_agent.errors import BadRequestError

_SHM_RDONLY = 0o10000
_IPC_STAT = 2
# Maps all pages by one call in place of a fault for each: half the time of reading 602 KB. Kernels before 5.14 refuse it, and fault.
_MADV_POPULATE_READ = 22
_FAILED = ctypes.c_void_p(-1).value
# struct shmid_ds of 64-bit Linux: the segment's size stands behind 48 bytes of struct ipc_perm; the whole is smaller than this.
_SHMID_DS_BYTES = 256
_SEGMENT_SIZE_AT = 48
_MAX_ID = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Segment:
    """Bytes in a segment; a `size` of 0 means: as many as the reader expects."""

    segment_id: int
    offset: int = 0
    size: int = 0

    @contextmanager
    def attached(self, expected: int) -> Iterator[memoryview]:
        """The `expected` bytes where they lie, for as long as the block lasts; nothing may look there afterwards.

        The client may change them meanwhile. It may remove the segment, too: that is gone only when nobody is attached any more, and it
        cannot shrink. Raises BadRequestError when the segment is gone, not readable for us, too short, or was sent with another size.
        """
        if self.size not in (0, expected):
            raise BadRequestError(f"{self}: size {self.size} was sent, {expected} bytes are expected")
        address = self._attach()
        try:
            held = self._held_bytes()
            if self.offset + expected > held:
                raise BadRequestError(
                    f"{self}: it holds {held} bytes, {expected} are expected at offset {self.offset}; is the tensor's shape right?"
                )
            _libc().madvise(ctypes.c_void_p(address), ctypes.c_size_t(self.offset + expected), _MADV_POPULATE_READ)
            yield memoryview((ctypes.c_ubyte * expected).from_address(address + self.offset))
        finally:
            _libc().shmdt(ctypes.c_void_p(address))

    def read(self, expected: int) -> bytes:
        """A copy of the `expected` bytes, for what outlives the call. Raises as `attached`."""
        with self.attached(expected) as content:
            return bytes(content)

    def __str__(self) -> str:
        return f"shared memory segment {self.segment_id}"

    def _attach(self) -> int:
        if self.segment_id > _MAX_ID:
            raise BadRequestError(f"{self}: not an id that shmget gives (0 to {_MAX_ID})")
        address = _libc().shmat(self.segment_id, None, _SHM_RDONLY)
        if address is None or address == _FAILED:
            raise self._refusal(ctypes.get_errno())
        return int(address)

    def _held_bytes(self) -> int:
        """The segment's size; it lives at least as long as it is attached, and cannot shrink."""
        status = ctypes.create_string_buffer(_SHMID_DS_BYTES)
        if _libc().shmctl(self.segment_id, _IPC_STAT, status) != 0:
            raise self._refusal(ctypes.get_errno())
        return ctypes.c_size_t.from_buffer(status, _SEGMENT_SIZE_AT).value

    def _refusal(self, number: int) -> BadRequestError:
        if number in (errno.EINVAL, errno.EIDRM):
            return BadRequestError(f"{self}: there is none; was it removed before the answer came?")
        if number == errno.EACCES:
            return BadRequestError(f"{self}: not readable for the agent's user; give it mode 0444 before sending")
        return BadRequestError(f"{self}: cannot be attached: {os.strerror(number)}")


@functools.cache
def _libc() -> ctypes.CDLL:
    library = ctypes.CDLL(None, use_errno=True)
    library.shmat.restype = ctypes.c_void_p
    library.shmat.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
    library.shmdt.argtypes = (ctypes.c_void_p,)
    library.shmctl.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_void_p)
    return library
