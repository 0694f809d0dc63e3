"""Bytes of a picture file to pixels. The only place that decodes pictures."""

import cv2
import numpy as np
from linewatch_common.errors import InputError
from linewatch_common.logs import one_line
from linewatch_common.ring import CHANNELS, PictureTooLarge

from linewatch_camera.headers import is_grey_with_alpha, picture_size
from linewatch_camera.sources.port import Pixels

# 16 bits of red, green, blue and alpha without compression: no sound file of a picture that fits is much larger.
_MOST_BYTES_OF_A_PIXEL = 8
_ROOM_FOR_METADATA = 1_000_000


def most_file_bytes(slot_bytes: int) -> int:
    """The largest file worth reading for a slot of `slot_bytes`."""
    return _MOST_BYTES_OF_A_PIXEL * slot_bytes + _ROOM_FOR_METADATA


def decode_picture(data: bytes, slot_bytes: int) -> tuple[Pixels, str]:
    """Pixels and PFNC name of a PNG, JPEG, BMP or TIFF file: HxW Mono8 for grey, HxWx3 BGR8 for colour.

    Alpha is dropped, 16 bits become 8 by a shift; rotation tags are ignored, for a camera has none.
    Raises InputError when the file is damaged, cut off or of another kind, PictureTooLarge when it does not fit into a slot.
    """
    width, height = picture_size(data)
    check_fits(width, height, 1, slot_bytes)
    try:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except (cv2.error, MemoryError) as error:
        raise InputError(f"{width}x{height}, cannot be decoded: {one_line(error)}") from error
    if decoded is None:
        raise InputError(f"{width}x{height}, damaged or cut off: cannot be decoded")
    pixels, pixel_format = to_ring_format(decoded)
    if is_grey_with_alpha(data) and pixels.ndim == 3:
        pixels, pixel_format = np.ascontiguousarray(pixels[:, :, 0]), "Mono8"
    check_fits(pixels.shape[1], pixels.shape[0], CHANNELS[pixel_format], slot_bytes)
    return pixels, pixel_format


def check_fits(width: int, height: int, channels: int, slot_bytes: int) -> None:
    """Raises PictureTooLarge when a picture of `channels` bytes a pixel does not fit into `slot_bytes`."""
    needed = width * height * channels
    if needed > slot_bytes:
        raise PictureTooLarge(
            f"{width}x{height} needs {needed / 1e6:.1f} MB, a frame may have {slot_bytes / 1e6:.1f} MB: "
            "raise MaxFrameMegabytes"
        )


def to_ring_format(decoded: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]") -> tuple[Pixels, str]:
    """An OpenCV picture (HxW, HxWx1, BGR or BGRA; 8 or 16 bits) as Mono8 or BGR8. Raises InputError for another kind."""
    if decoded.dtype not in (np.uint8, np.uint16):
        raise InputError(f"pixels of type {decoded.dtype}; 8 or 16 bits are read")
    if decoded.dtype == np.uint16:
        decoded = decoded.astype(np.uint16, copy=False) >> 8
    if decoded.ndim == 3 and decoded.shape[2] == 1:
        decoded = decoded[:, :, 0]
    if decoded.ndim == 3 and decoded.shape[2] not in (3, 4):
        raise InputError(f"{decoded.shape[2]} channels; 1, 3 or 4 are read")
    if decoded.ndim == 3:
        decoded = decoded[:, :, :3]
    return np.ascontiguousarray(decoded, dtype=np.uint8), "Mono8" if decoded.ndim == 2 else "BGR8"
