"""Encoded files to pixels and back, and the two digests of a picture: of its exact pixels, and of how it looks."""

import hashlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from linewatch_common.errors import InputError
from numpy.typing import NDArray

from model_build.data.records import Mask, Masks, Picture

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})
MAX_FILE_BYTES = 256 * 1024 * 1024  # an uncompressed 80-megapixel colour picture; bigger is not one of a line's cameras
MAX_CLASSES = 16  # one bit each in a 16-bit PNG
_JPEG, _PNG = b"\xff\xd8", b"\x89PNG"
# How much may follow the end mark: some cameras append a note.
_TAIL_BYTES = 65536

# The perceptual hash: the 16 x 16 lowest DCT coefficients of the picture at 64 x 64, the constant left out, each above or
# below their median (pHash: C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010, there
# with 8 x 8 of 32 x 32). The usual 64 bits cannot tell parts of one series apart: on KolektorSDD different parts come as
# near as 8 bits; with 255 bits the nearest lie 82 apart, and the same picture saved again, resized or brightened stays within 14.
HASH_SIDE = 16
HASH_PICTURE = 64
NEAR_BITS = 24


def read_bounded(path: Path, limit: int = MAX_FILE_BYTES) -> bytes:
    """The file's bytes. Raises InputError when it cannot be read or is over `limit`."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    if len(data) > limit:
        raise InputError(f"{path}: over {limit} bytes")
    return data


def decode_picture(data: bytes, source: str) -> Picture:
    """uint8 (H, W) for a grey picture, (H, W, 3) BGR for a coloured one. Raises InputError for a corrupt or cut file."""
    picture = _decoded(data, source)
    if picture.dtype != np.uint8:
        raise InputError(f"{source}: {picture.dtype} pixels, expected 8 bits a channel")
    if picture.ndim == 3 and picture.shape[2] == 4:
        picture = picture[:, :, :3]
    if (
        picture.ndim == 3
        and (picture[:, :, 0] == picture[:, :, 1]).all()
        and (picture[:, :, 0] == picture[:, :, 2]).all()
    ):
        picture = picture[:, :, 0]
    return np.ascontiguousarray(picture)


def decode_mask(data: bytes, source: str) -> Mask:
    """bool (H, W): every pixel that is not black. Raises InputError for a corrupt file."""
    mask = _decoded(data, source)
    return np.asarray(mask[:, :, :3].any(axis=2) if mask.ndim == 3 else mask > 0)


def decode_colours(data: bytes, source: str) -> Picture:
    """uint8 (H, W, 3) RGB of a mask whose colours have a meaning. Raises InputError."""
    mask = _decoded(data, source)
    if mask.dtype != np.uint8:
        raise InputError(f"{source}: {mask.dtype} pixels, expected 8 bits a channel")
    colours = cv2.cvtColor(mask, cv2.COLOR_GRAY2BGR) if mask.ndim == 2 else mask[:, :, :3]
    return np.ascontiguousarray(colours[:, :, ::-1])


def encode_png(pixels: NDArray[np.generic]) -> bytes:
    """Lossless and quickly packed: these files are read often and thrown away. uint8 or uint16."""
    done, data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise InputError(f"OpenCV cannot encode {pixels.dtype} {pixels.shape} as PNG")
    return bytes(data)


def encode_masks(masks: Masks, classes: tuple[str, ...], shape: tuple[int, int]) -> bytes:
    """All masks in one 16-bit PNG: bit k is the k-th of `classes`."""
    packed = np.zeros(shape, np.uint16)
    for name, mask in masks.items():
        packed |= mask.astype(np.uint16) << np.uint16(classes.index(name))
    return encode_png(packed)


def decode_masks(data: bytes, classes: int, source: str) -> Mask:
    """The way back: bool (classes, H, W). Raises InputError."""
    packed = _decoded(data, source)
    if packed.ndim != 2 or packed.dtype != np.uint16:
        raise InputError(f"{source}: {packed.dtype} {packed.shape} is not a mask of ours")
    planes = np.stack([(packed >> np.uint16(index)) & np.uint16(1) for index in range(classes)])
    return planes.astype(np.bool_)


def pixel_digest(picture: Picture) -> str:
    """Hex SHA-256 of the decoded pixels: equal for the same picture in two files or two formats without loss."""
    digest = hashlib.sha256(f"{picture.shape}".encode())
    digest.update(np.ascontiguousarray(picture).data)
    return digest.hexdigest()


def look_hash(picture: Picture) -> str:
    """The perceptual hash, 256 bits in hex (the first is always 0). Compare by counting bits, see NEAR_BITS."""
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) if picture.ndim == 3 else picture
    small = cv2.resize(grey, (HASH_PICTURE, HASH_PICTURE), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:HASH_SIDE, :HASH_SIDE].ravel()
    bits = low > np.median(low[1:])
    bits[0] = False
    return np.packbits(bits).tobytes().hex()


def _decoded(data: bytes, source: str) -> NDArray[Any]:
    _refuse_cut(data, source)
    try:
        pixels: NDArray[Any] | None = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise InputError(f"{source}: cannot be decoded: {error.err}") from error
    if pixels is None or 0 in pixels.shape:
        raise InputError(f"{source}: not a picture that can be decoded")
    return pixels


def _refuse_cut(data: bytes, source: str) -> None:
    """A decoder fills what is missing at the end of a cut file with grey and says nothing."""
    tail = data[-_TAIL_BYTES:]
    if (data.startswith(_JPEG) and b"\xff\xd9" not in tail) or (data.startswith(_PNG) and b"IEND" not in tail):
        raise InputError(f"{source}: the file is cut off")
    if not data:
        raise InputError(f"{source}: the file is empty")
