"""Width and height of a picture file, read from its header alone: a decompression bomb is refused before it is decoded."""

import struct

from linewatch_common.errors import InputError

_PNG = b"\x89PNG\r\n\x1a\n"
_TIFF_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_SHORT, _TIFF_LONG = 256, 257, 3, 4
_PNG_GREY_ALPHA = 4
# Start of frame: C0 to CF without the tables and the extension (C4, C8, CC).
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})


def picture_size(data: bytes) -> tuple[int, int]:
    """Width and height in pixels that the header of a PNG, JPEG, BMP or TIFF claims. Raises InputError."""
    try:
        if data.startswith(_PNG):
            width, height = _png(data)
        elif data.startswith(b"\xff\xd8"):
            width, height = _jpeg(data)
        elif data.startswith(b"BM"):
            width, height = _bmp(data)
        elif data[:4] in _TIFF_ORDERS:
            width, height = _tiff(data)
        else:
            raise InputError("not a PNG, JPEG, BMP or TIFF picture" if data else "the file is empty")
    except struct.error as error:
        raise InputError("cut off within its header") from error
    if width < 1 or height < 1:
        raise InputError(f"its header claims {width}x{height} pixels")
    return width, height


def is_grey_with_alpha(data: bytes) -> bool:
    """True for a PNG of grey and alpha, which decoders widen to colour."""
    return data.startswith(_PNG) and data[25:26] == bytes([_PNG_GREY_ALPHA])


def _png(data: bytes) -> tuple[int, int]:
    if data[12:16] != b"IHDR":
        raise InputError("a PNG without its header")
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _jpeg(data: bytes) -> tuple[int, int]:
    position = 2
    while True:
        (marker,) = struct.unpack_from(">H", data, position)
        if marker >> 8 != 0xFF:
            raise InputError("a JPEG with a damaged header")
        code = marker & 0xFF
        if code == 0xFF:  # a fill byte before the marker
            position += 1
        elif code in _JPEG_ALONE:
            position += 2
        elif code in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, position + 5)
            return width, height
        else:
            position += 2 + max(2, struct.unpack_from(">H", data, position + 2)[0])


def _bmp(data: bytes) -> tuple[int, int]:
    (header_bytes,) = struct.unpack_from("<I", data, 14)
    if header_bytes == 12:
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<ii", data, 18)
    return width, abs(height)


def _tiff(data: bytes) -> tuple[int, int]:
    order = _TIFF_ORDERS[data[:4]]
    (directory,) = struct.unpack_from(f"{order}I", data, 4)
    (entries,) = struct.unpack_from(f"{order}H", data, directory)
    sizes = {_TIFF_WIDTH: 0, _TIFF_HEIGHT: 0}
    for index in range(entries):
        position = directory + 2 + 12 * index
        tag, kind, _count = struct.unpack_from(f"{order}HHI", data, position)
        if tag in sizes and kind in (_TIFF_SHORT, _TIFF_LONG):
            (sizes[tag],) = struct.unpack_from(f"{order}{'H' if kind == _TIFF_SHORT else 'I'}", data, position + 8)
    return sizes[_TIFF_WIDTH], sizes[_TIFF_HEIGHT]
