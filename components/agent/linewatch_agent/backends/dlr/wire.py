"""What the agent and the process that runs DLR say to each other: a head in JSON, then the bytes of its tensors.

Both ends check every size before they take memory for it: the other may be broken.
"""

import math
import socket
import struct
import time
from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

# Eight bytes before each message: the head's length, and that of all that follows.
_PREFIX = struct.Struct("<II")
MAX_HEAD_BYTES = 64 * 1024
# As much as the agent takes in one request.
MAX_BODY_BYTES = 256 * 1024 * 1024
ITEM_BYTES = {"uint8": 1, "int16": 2, "int32": 4, "int64": 8, "float16": 2, "float32": 4, "float64": 8}
Buffer = bytes | bytearray | memoryview

Text = Annotated[str, Meta(max_length=4096)]
Side = Annotated[int, Meta(ge=1, le=2**31 - 1)]


class Described(Struct, frozen=True):
    """A tensor of the model. `dtype`: as DLR names it, one that the wire carries or not."""

    name: Annotated[str, Meta(max_length=1024)]
    dtype: Annotated[str, Meta(max_length=64)]
    shape: Annotated[tuple[Side, ...], Meta(max_length=16)]

    @property
    def nbytes(self) -> int:
        """Its size; of an element type that the wire does not carry, as if it had one byte."""
        return math.prod(self.shape) * ITEM_BYTES.get(self.dtype, 1)


class Load(Struct, tag=True, frozen=True):
    """To the process, first of all: load these files, whose paths begin with "./", in `folder` with the library `runtime`."""

    runtime: Text
    folder: Text
    files: Annotated[tuple[Text, ...], Meta(max_length=8)]


class Loaded(Struct, tag=True, frozen=True):
    """From the process: what the model takes and gives."""

    inputs: Annotated[tuple[Described, ...], Meta(max_length=64)]
    outputs: Annotated[tuple[Described, ...], Meta(max_length=64)]


class Run(Struct, tag=True, frozen=True):
    """To the process: predict from the inputs that follow, in the model's order."""


class Ran(Struct, tag=True, frozen=True):
    """From the process: the outputs follow, in the model's order."""


class Refused(Struct, tag=True, frozen=True):
    """From the process: DLR says no. Why is in `reason`, or in what it printed."""

    reason: Text


Message = Load | Run | Loaded | Ran | Refused


class TimeIsUpError(Exception):
    """The other end did not answer in time."""


class BrokenError(Exception):
    """The other end is gone, or what it says is none of the above."""


def send(link: socket.socket, message: Message, body: Sequence[Buffer] = (), seconds: float | None = None) -> None:
    """Send one message. Raises TimeIsUpError, BrokenError."""
    head = msgspec.json.encode(message)
    parts = [memoryview(part).cast("B") for part in body]
    size = sum(len(part) for part in parts)
    if len(head) > MAX_HEAD_BYTES or size > MAX_BODY_BYTES:
        raise BrokenError(f"a message of {len(head)} and {size} bytes is too big")
    try:
        link.settimeout(seconds)
        link.sendall(_PREFIX.pack(len(head), size) + head)
        for part in parts:
            link.sendall(part)
    except TimeoutError as error:
        raise TimeIsUpError from error
    except OSError as error:
        raise BrokenError(error.strerror or "cannot send") from error


def receive(link: socket.socket, most_bytes: int, seconds: float | None = None) -> tuple[Message, bytearray]:
    """The next message and its body of at most `most_bytes`. Raises TimeIsUpError, BrokenError."""
    end = None if seconds is None else time.monotonic() + seconds
    head_bytes, size = _PREFIX.unpack(_exactly(link, _PREFIX.size, end))
    if head_bytes > MAX_HEAD_BYTES or size > most_bytes:
        raise BrokenError(f"a message of {head_bytes} and {size} bytes was announced, at most {most_bytes} is right")
    try:
        message = msgspec.json.decode(_exactly(link, head_bytes, end), type=Message)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BrokenError(f"no message: {error}") from error
    return message, _exactly(link, size, end)


def _exactly(link: socket.socket, size: int, end: float | None) -> bytearray:
    taken = bytearray(size)
    view, place = memoryview(taken), 0
    while place < size:
        try:
            link.settimeout(None if end is None else max(end - time.monotonic(), 0.001))
            count = link.recv_into(view[place:])
        except TimeoutError as error:
            raise TimeIsUpError from error
        except OSError as error:
            raise BrokenError(error.strerror or "cannot receive") from error
        if not count:
            raise BrokenError("it is gone")
        place += count
    return taken
