"""The event-stream frame, without I/O: bytes in, frames out, and back.

A frame (numbers big-endian): total length u32, headers length u32, CRC-32 of these 8 bytes u32, headers, payload,
CRC-32 of everything before it u32. A header: name length u8, name, type u8, value.
"""

import enum
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from localcore.errors import ProtocolError

HeaderValue = bool | int | str | bytes

_PRELUDE = struct.Struct(">II")
_CRC = struct.Struct(">I")
_PRELUDE_BYTES = _PRELUDE.size + _CRC.size
FRAME_OVERHEAD = _PRELUDE_BYTES + _CRC.size
_MAX_NAME_BYTES = 255
_MAX_VALUE_BYTES = 0x7FFF  # the limit of AWS's own implementation for bytes and strings
_I32_LIMIT = 2**31


class MessageType(enum.IntEnum):
    """The values of the header `:message-type`."""

    APPLICATION_MESSAGE = 0
    APPLICATION_ERROR = 1
    PING = 2
    PING_RESPONSE = 3
    CONNECT = 4
    CONNECT_ACK = 5
    PROTOCOL_ERROR = 6
    INTERNAL_ERROR = 7


class MessageFlag(enum.IntFlag):
    """The bits of the header `:message-flags`."""

    NONE = 0
    CONNECTION_ACCEPTED = 1
    TERMINATE_STREAM = 2


class _Type(enum.IntEnum):
    TRUE = 0
    FALSE = 1
    BYTE = 2
    INT16 = 3
    INT32 = 4
    INT64 = 5
    BYTES = 6
    STRING = 7
    TIMESTAMP = 8
    UUID = 9


_INTEGERS = {
    _Type.BYTE: struct.Struct(">b"),
    _Type.INT16: struct.Struct(">h"),
    _Type.INT32: struct.Struct(">i"),
    _Type.INT64: struct.Struct(">q"),
    _Type.TIMESTAMP: struct.Struct(">q"),
}
_UUID_BYTES = 16


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame: headers by name, and the payload."""

    headers: Mapping[str, HeaderValue] = field(default_factory=dict)
    payload: bytes = b""


def encode(headers: Mapping[str, HeaderValue], payload: bytes = b"") -> bytes:
    """The frame on the wire. Raises ProtocolError when a header does not fit its type."""
    encoded = b"".join(_encode_header(name, value) for name, value in headers.items())
    prelude = _PRELUDE.pack(FRAME_OVERHEAD + len(encoded) + len(payload), len(encoded))
    body = b"".join((prelude, _CRC.pack(zlib.crc32(prelude)), encoded, payload))
    return body + _CRC.pack(zlib.crc32(body))


def _encode_header(name: str, value: HeaderValue) -> bytes:
    key = name.encode()
    if not 0 < len(key) <= _MAX_NAME_BYTES:
        raise ProtocolError(f"header name {name[:40]!r} of {len(key)} bytes")
    start = bytes((len(key),)) + key
    if isinstance(value, bool):
        return start + bytes((_Type.TRUE if value else _Type.FALSE,))
    if isinstance(value, int):
        if not -_I32_LIMIT <= value < _I32_LIMIT:
            raise ProtocolError(f"header {name}: {value} does not fit 32 bits")
        return start + bytes((_Type.INT32,)) + _INTEGERS[_Type.INT32].pack(value)
    kind = _Type.STRING if isinstance(value, str) else _Type.BYTES
    data = value.encode() if isinstance(value, str) else value
    if len(data) > _MAX_VALUE_BYTES:
        raise ProtocolError(f"header {name}: value of {len(data)} bytes")
    return start + bytes((kind,)) + struct.pack(">H", len(data)) + data


class Decoder:
    """Collects bytes and gives whole frames; holds at most one frame of `max_frame_bytes`."""

    def __init__(self, max_frame_bytes: int) -> None:
        self.max_frame_bytes = max_frame_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Frames completed by `data`. Raises ProtocolError on a bad length, checksum or header; the decoder is then of no more use."""
        self._buffer += data
        while len(self._buffer) >= _PRELUDE_BYTES:
            total, headers_length = self._read_prelude()
            if len(self._buffer) < total:
                return
            raw = bytes(self._buffer[:total])
            del self._buffer[:total]
            yield _decode_frame(raw, headers_length)

    def _read_prelude(self) -> tuple[int, int]:
        total, headers_length = _PRELUDE.unpack_from(self._buffer)
        (crc,) = _CRC.unpack_from(self._buffer, _PRELUDE.size)
        if zlib.crc32(self._buffer[: _PRELUDE.size]) != crc:
            raise ProtocolError("prelude checksum does not match")
        if total > self.max_frame_bytes:
            raise ProtocolError(f"packet of {total} bytes is over the limit of {self.max_frame_bytes}")
        if total < FRAME_OVERHEAD + headers_length:
            raise ProtocolError(f"headers of {headers_length} bytes do not fit a packet of {total}")
        return total, headers_length


def _decode_frame(raw: bytes, headers_length: int) -> Frame:
    (crc,) = _CRC.unpack_from(raw, len(raw) - _CRC.size)
    if zlib.crc32(raw[: -_CRC.size]) != crc:
        raise ProtocolError("packet checksum does not match")
    headers_end = _PRELUDE_BYTES + headers_length
    return Frame(_decode_headers(raw[_PRELUDE_BYTES:headers_end]), raw[headers_end : -_CRC.size])


def _decode_headers(data: bytes) -> dict[str, HeaderValue]:
    headers: dict[str, HeaderValue] = {}
    reader = _Reader(data)
    while reader.left():
        name = reader.text(reader.byte())
        if name in headers:
            raise ProtocolError(f"header {name[:40]!r} twice")
        headers[name] = _decode_value(reader)
    return headers


def _decode_value(reader: "_Reader") -> HeaderValue:
    kind = reader.byte()
    if kind in (_Type.TRUE, _Type.FALSE):
        return kind == _Type.TRUE
    if kind in (_Type.BYTES, _Type.STRING):
        (length,) = struct.unpack(">H", reader.take(2))
        return reader.text(length) if kind == _Type.STRING else reader.take(length)
    if kind == _Type.UUID:
        return reader.take(_UUID_BYTES)
    if kind in _INTEGERS:
        layout = _INTEGERS[_Type(kind)]
        value: int = layout.unpack(reader.take(layout.size))[0]
        return value
    raise ProtocolError(f"unknown header type {kind}")


class _Reader:
    """A bounds-checked walk over the headers."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, count: int) -> bytes:
        if count > self.left():
            raise ProtocolError("a header runs past the end of the headers")
        chunk = self._data[self._at : self._at + count]
        self._at += count
        return chunk

    def byte(self) -> int:
        return self.take(1)[0]

    def text(self, count: int) -> str:
        try:
            return self.take(count).decode()
        except UnicodeDecodeError as error:
            raise ProtocolError("a header is not UTF-8") from error
