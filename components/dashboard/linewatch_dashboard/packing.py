"""The one binary message that carries a verdict with its own picture and mask.

    4 bytes   length of the JSON, big-endian
    JSON      `InspectionHeader`
    JPEG      `picture_bytes` long, may be absent (0)
    PNG       `mask_bytes` long, may be absent (0)

Because verdict, picture and mask travel in one message and are made from one file of the store, they cannot disagree.
"""

import struct
from dataclasses import dataclass

import msgspec
from linewatch_common.errors import MessageError
from linewatch_common.messages import Verdict

_LENGTH = struct.Struct(">I")
_encoder = msgspec.json.Encoder()


class InspectionHeader(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="inspection"):
    """`sequence` counts what the page has shown; `age_ms` is the time since the verdict reached the page's server.

    `server_ms` is the server's monotonic clock at sending: a viewer learns from it how long a message was under way.
    `no_picture` says in words why there is none. `live` is false for an inspection that was asked for by its id.
    """

    sequence: int
    age_ms: float
    server_ms: float
    live: bool
    verdict: Verdict
    picture_bytes: int
    mask_bytes: int
    no_picture: str = ""
    skipped: int = 0  # inspections this viewer did not get, because newer ones came before it was ready


@dataclass(frozen=True, slots=True)
class Pictures:
    """JPEG and PNG bytes of one inspection; empty where there is none, and then `missing` says why."""

    picture: bytes = b""
    mask: bytes = b""
    missing: str = ""


def pack(header: InspectionHeader, pictures: Pictures) -> bytes:
    """The message; `header` must state the pictures' lengths."""
    text = _encoder.encode(header)
    return b"".join((_LENGTH.pack(len(text)), text, pictures.picture, pictures.mask))


def unpack(message: bytes) -> tuple[InspectionHeader, Pictures]:
    """What `pack` packed. Raises MessageError when the lengths do not add up or the header is not one."""
    if len(message) < _LENGTH.size:
        raise MessageError(f"inspection of {len(message)} bytes is cut short")
    (length,) = _LENGTH.unpack_from(message)
    start = _LENGTH.size + length
    try:
        header = msgspec.json.decode(message[_LENGTH.size : start], type=InspectionHeader)
    except msgspec.MsgspecError as error:
        raise MessageError(f"inspection with an unreadable header: {error}") from error
    middle = start + header.picture_bytes
    if min(header.picture_bytes, header.mask_bytes) < 0 or middle + header.mask_bytes != len(message):
        raise MessageError(f"inspection of {len(message)} bytes, its header tells another length")
    return header, Pictures(message[start:middle], message[middle:], header.no_picture)
