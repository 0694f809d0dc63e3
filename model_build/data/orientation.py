"""What a photograph's EXIF says of how it wants to be shown. Pictures are taken as they are stored, as a device takes them."""

import struct

UPRIGHT, ON_ITS_SIDE = 1, frozenset({5, 6, 7, 8})
_EXIF, _TAG = b"Exif\0\0", 0x0112
_SEGMENT_WITH_EXIF, _FIRST_WITH_PIXELS = 0xE1, 0xDA


def orientation(data: bytes) -> int:
    """1 (upright) to 8, of a JPEG; 1 where nothing is said, or nothing that can be read."""
    try:
        return _of_tiff(_exif(data))
    except (struct.error, IndexError):
        return UPRIGHT


def _exif(data: bytes) -> bytes:
    """The TIFF inside the segment APP1; empty where there is none."""
    place = 2 if data.startswith(b"\xff\xd8") else len(data)
    while place + 4 <= len(data) and data[place] == 0xFF and data[place + 1] != _FIRST_WITH_PIXELS:
        (size,) = struct.unpack_from(">H", data, place + 2)
        body = data[place + 4 : place + 2 + size]
        if data[place + 1] == _SEGMENT_WITH_EXIF and body.startswith(_EXIF):
            return body[len(_EXIF) :]
        place += 2 + size
    return b""


def _of_tiff(tiff: bytes) -> int:
    order = ">" if tiff.startswith(b"MM") else "<"
    (first,) = struct.unpack_from(order + "I", tiff, 4)
    (count,) = struct.unpack_from(order + "H", tiff, first)
    for number in range(count):
        tag, kind, _, value = struct.unpack_from(order + "HHIH", tiff, first + 2 + 12 * number)
        if tag == _TAG and kind == 3 and 1 <= value <= 8:
            return int(value)
    return UPRIGHT
