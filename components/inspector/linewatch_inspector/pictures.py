"""A frame's pixels and mask as files: JPEG and PNG. The only place that encodes pictures."""

import cv2
from linewatch_common.errors import InputError
from linewatch_vision.masks import mask_png

from linewatch_inspector.ended import Ended, Picture

# At 90 a scratch of one pixel is still seen in the review, in a sixth of the size of PNG.
JPEG_QUALITY = 90
PNG_COMPRESSION = 1  # five times as fast as the default, for a tenth more bytes
# The page draws the mask over the picture; a finer mask than this no screen shows, and no segmenter has.
MASK_SIDE = 1024


def picture_jpeg(picture: Picture) -> bytes:
    """Raises InputError when the picture cannot be encoded (JPEG ends at 65,535 pixels a side)."""
    return _encoded(picture, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])


def picture_png(picture: Picture) -> bytes:
    """Lossless, for training: a net must not learn what JPEG did. Raises InputError when the picture cannot be encoded."""
    return _encoded(picture, ".png", [cv2.IMWRITE_PNG_COMPRESSION, PNG_COMPRESSION])


def _encoded(picture: Picture, kind: str, options: list[int]) -> bytes:
    pixels = picture.pixels
    if picture.pixel_format == "RGB8":
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    try:
        done, data = cv2.imencode(kind, pixels, options)
    except cv2.error as error:
        raise InputError(f"the picture cannot be encoded as {kind[1:].upper()}: {error}") from error
    if not done:
        raise InputError(f"a picture of {pixels.shape} cannot be encoded as {kind[1:].upper()}")
    return bytes(data)


def mask_of(item: Ended) -> bytes:
    """The mask as PNG, empty where no segmenter ran."""
    findings = item.findings
    if findings is None or findings.mask is None or findings.transform is None:
        return b""
    return mask_png(findings.mask, findings.transform, MASK_SIDE)
