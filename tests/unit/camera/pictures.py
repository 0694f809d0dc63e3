"""Real picture files for tests, good and bad."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

ImageArray = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


def textured(height: int, width: int, channels: int = 3) -> npt.NDArray[np.uint8]:
    """uint8 HxW or HxWxC with smooth texture."""
    shape = (height, width) if channels == 1 else (height, width, channels)
    noise = np.random.default_rng(7).integers(0, 256, shape, dtype=np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (5, 5), 2), dtype=np.uint8).reshape(shape)


def encoded(suffix: str, picture: ImageArray, *options: int) -> bytes:
    """The picture as a file's bytes."""
    good, data = cv2.imencode(suffix, picture, list(options))
    assert good
    return bytes(data)


def save(path: Path, picture: ImageArray) -> Path:
    path.write_bytes(encoded(path.suffix, picture))
    return path


def png_claiming(width: int, height: int, colour_type: int = 2) -> bytes:
    """A small PNG whose header claims a huge picture: a decompression bomb."""
    row = b"\0" * (1 + width * (3 if colour_type == 2 else 1))
    packer = zlib.compressobj(9)
    body = b"".join(packer.compress(row) for _ in range(min(height, 200))) + packer.flush()
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0))
        + _chunk(b"IDAT", body)
        + _chunk(b"IEND", b"")
    )


def grey_alpha_png(grey: npt.NDArray[np.uint8]) -> bytes:
    """A PNG of grey and alpha, which OpenCV cannot write."""
    height, width = grey.shape
    rows = b"".join(b"\0" + bytes(np.dstack([row, np.full(width, 9, np.uint8)]).reshape(-1)) for row in grey)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 4, 0, 0, 0))
        + _chunk(b"IDAT", zlib.compress(rows))
        + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
