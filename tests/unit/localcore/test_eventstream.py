"""The codec: what is encoded comes back; what is damaged is refused, never crashed on."""

import random
import struct
import zlib

import pytest

from localcore.errors import ProtocolError
from localcore.eventstream import FRAME_OVERHEAD, Decoder, Frame, HeaderValue, encode

LIMIT = 10_000
HEADERS: dict[str, HeaderValue] = {
    ":message-type": 0,
    ":stream-id": 7,
    "operation": "aws.greengrass#Ping",
    "flag": True,
    "raw": b"\x00\xff",
}


def decode(data: bytes) -> list[Frame]:
    return list(Decoder(LIMIT).feed(data))


def frame_with_headers(headers: bytes, payload: bytes = b"") -> bytes:
    prelude = struct.pack(">II", FRAME_OVERHEAD + len(headers) + len(payload), len(headers))
    body = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return body + struct.pack(">I", zlib.crc32(body))


def test_round_trip() -> None:
    assert decode(encode(HEADERS, b"payload")) == [Frame(HEADERS, b"payload")]


def test_the_layout_is_the_published_one() -> None:
    assert encode({"foo": "bar"}, b"xy") == frame_with_headers(b"\x03foo\x07\x00\x03bar", b"xy")


def test_bytes_may_arrive_one_by_one_and_several_frames_at_once() -> None:
    data = encode(HEADERS, b"a") + encode({}, b"b")
    decoder = Decoder(LIMIT)
    found = [frame for index in range(len(data)) for frame in decoder.feed(data[index : index + 1])]
    assert [frame.payload for frame in found] == [b"a", b"b"]
    assert [frame.payload for frame in decode(data)] == [b"a", b"b"]


def test_every_integer_type_is_read() -> None:
    headers = b"".join(
        bytes((1,)) + name + bytes((kind,)) + struct.pack(layout, -5)
        for name, kind, layout in ((b"b", 2, ">b"), (b"h", 3, ">h"), (b"i", 4, ">i"), (b"q", 5, ">q"), (b"t", 8, ">q"))
    )
    headers += b"\x01u\x09" + bytes(range(16)) + b"\x01f\x01"
    (frame,) = decode(frame_with_headers(headers))
    assert frame.headers == {"b": -5, "h": -5, "i": -5, "q": -5, "t": -5, "u": bytes(range(16)), "f": False}


def test_a_packet_at_the_limit_passes_and_one_byte_more_does_not() -> None:
    fits = encode({}, b"x" * (LIMIT - FRAME_OVERHEAD))
    assert len(fits) == LIMIT
    assert len(decode(fits)) == 1
    with pytest.raises(ProtocolError, match="over the limit"):
        decode(encode({}, b"x" * (LIMIT - FRAME_OVERHEAD + 1)))


def test_an_oversize_length_is_refused_before_its_bytes_arrive() -> None:
    prelude = struct.pack(">II", 2**31, 0)
    with pytest.raises(ProtocolError, match="over the limit"):
        decode(prelude + struct.pack(">I", zlib.crc32(prelude)))


@pytest.mark.parametrize(
    "headers",
    [
        b"\x05ab",  # the name runs past the end
        b"\x01a",  # no type
        b"\x01a\x0a",  # unknown type
        b"\x01a\x04\x00",  # a short integer
        b"\x01a\x07\x00\x09abc",  # a string longer than the headers
        b"\x01a\x07\x00\x01\xff",  # not UTF-8
        b"\x01\xff\x00",  # a name that is not UTF-8
        b"\x01a\x00\x01a\x01",  # the same name twice
    ],
)
def test_malformed_headers_are_refused(headers: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(frame_with_headers(headers))


def test_headers_longer_than_the_packet_are_refused() -> None:
    prelude = struct.pack(">II", FRAME_OVERHEAD, 1)
    with pytest.raises(ProtocolError, match="do not fit"):
        decode(prelude + struct.pack(">I", zlib.crc32(prelude)) + b"\0" * 4)


def test_any_flipped_bit_is_noticed() -> None:
    data = encode(HEADERS, b"payload")
    for position in range(len(data) * 8):
        mutated = bytearray(data)
        mutated[position // 8] ^= 1 << position % 8
        with pytest.raises(ProtocolError):
            decode(bytes(mutated))


def test_garbage_with_correct_checksums_never_raises_anything_else() -> None:
    source = random.Random(5)
    refused = 0
    for _ in range(3000):
        headers = source.randbytes(source.randrange(40))
        try:
            decode(frame_with_headers(headers, source.randbytes(source.randrange(20))))
        except ProtocolError:
            refused += 1
    assert refused > 2500


@pytest.mark.parametrize("headers", [{"": 1}, {"n" * 256: 1}, {"n": 2**31}, {"n": "v" * 40_000}])
def test_headers_that_do_not_fit_are_not_encoded(headers: dict[str, int | str]) -> None:
    with pytest.raises(ProtocolError):
        encode(headers)
