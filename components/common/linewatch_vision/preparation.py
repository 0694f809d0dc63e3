"""From a frame to a model's input tensor, and the way back. Training, evaluation and the line use this one function.

`cv2.INTER_LINEAR_EXACT` gives the same bytes on every processor, so a picture prepared for training equals the one that
the device prepares, bit for bit.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from linewatch_common.errors import InputError
from linewatch_common.manifest import Preparation
from numpy.typing import NDArray

from linewatch_vision.resizing import grey_to_rgb, resize_exact

Picture = NDArray[np.uint8]

CHANNELS: dict[str, int] = {"Mono8": 1, "BGR8": 3, "RGB8": 3}


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of whole pixels; x and y are its top left corner."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Transform:
    """Where the model's input lies in the frame.

    `region` is the part of the frame that the model saw, in pixels of the frame; `content` is the part of the model's
    input that holds it, in pixels of the input (all of it when squashed, without the padding when letterboxed).
    """

    frame_width: int
    frame_height: int
    input_width: int
    input_height: int
    region: Box
    content: Box

    @property
    def scale(self) -> tuple[float, float]:
        """Pixels of the frame per pixel of the input, along x and y."""
        return self.region.width / self.content.width, self.region.height / self.content.height

    def to_frame(self, left: float, top: float, right: float, bottom: float) -> Box:
        """The smallest whole-pixel box inside the frame that covers a rectangle given by its edges in input pixels."""
        scale_x, scale_y = self.scale
        x, y = self.region.x - self.content.x * scale_x, self.region.y - self.content.y * scale_y
        x0, x1 = _span(left * scale_x + x, right * scale_x + x, self.frame_width)
        y0, y1 = _span(top * scale_y + y, bottom * scale_y + y, self.frame_height)
        return Box(x0, y0, x1 - x0, y1 - y0)


@dataclass(frozen=True, slots=True)
class Prepared:
    """`tensor`: uint8 (1, height, width, 3), RGB, C-contiguous. `transform`: the way back to the frame."""

    tensor: Picture
    transform: Transform


def prepare(picture: NDArray[Any], pixel_format: str, preparation: Preparation) -> Prepared:
    """Prepare one frame: uint8 (H, W) for Mono8, (H, W, 3) for BGR8 and RGB8.

    Raises InputError for another dtype, shape or pixel format, for a region of interest outside the frame, and for a preparation with
    tiles: that is `linewatch_vision.tiling.prepare_all`'s.
    """
    if preparation.tiles is not None:
        raise InputError("the preparation cuts the frame into tiles, which one input cannot hold")
    frame = checked(picture, pixel_format)
    return prepare_region(frame, pixel_format, preparation, region_of(preparation, frame.shape[1], frame.shape[0]))


def prepare_region(frame: Picture, pixel_format: str, preparation: Preparation, region: Box) -> Prepared:
    """Prepare the part of a checked frame that lies in `region`."""
    height, width = frame.shape[:2]
    content = _content(preparation, region)
    part = frame[region.y : region.y + region.height, region.x : region.x + region.width]
    # Resized before grey becomes three channels: a third of the work.
    resized = resize_exact(part, content.width, content.height)
    tensor = _placed(_rgb(resized, pixel_format), content, preparation)
    transform = Transform(width, height, preparation.width, preparation.height, region, content)
    return Prepared(tensor, transform)


def checked(picture: NDArray[Any], pixel_format: str) -> Picture:
    """The frame, when dtype and shape are those of its pixel format. Raises InputError."""
    channels = CHANNELS.get(pixel_format)
    if channels is None:
        raise InputError(f"pixel format {pixel_format!r} is unknown, expected one of {', '.join(CHANNELS)}")
    if picture.dtype != np.uint8:
        raise InputError(f"a {pixel_format} picture needs dtype uint8, got {picture.dtype}")
    if channels == 1 and picture.ndim == 3 and picture.shape[2] == 1:
        picture = picture[:, :, 0]
    fits = picture.ndim == 2 if channels == 1 else picture.ndim == 3 and picture.shape[2] == channels
    if not fits or 0 in picture.shape:
        raise InputError(f"a {pixel_format} picture cannot have the shape {picture.shape}")
    return picture


def region_of(preparation: Preparation, width: int, height: int) -> Box:
    """What the model sees of a frame of this size. Raises InputError."""
    wanted = preparation.region_of_interest
    if wanted is None:
        return Box(0, 0, width, height)
    if wanted.x >= width or wanted.y >= height:
        raise InputError(f"region of interest at x {wanted.x}, y {wanted.y} lies outside the {width}x{height} frame")
    return Box(wanted.x, wanted.y, min(wanted.width, width - wanted.x), min(wanted.height, height - wanted.y))


def _content(preparation: Preparation, region: Box) -> Box:
    if preparation.resize == "squash":
        return Box(0, 0, preparation.width, preparation.height)
    # Compared in whole numbers: the rounding is then the same on every machine.
    if region.width * preparation.height >= region.height * preparation.width:
        width, height = preparation.width, _fitted(region.height, preparation.width, region.width)
    else:
        width, height = _fitted(region.width, preparation.height, region.height), preparation.height
    return Box((preparation.width - width) // 2, (preparation.height - height) // 2, width, height)


def _fitted(side: int, target: int, source: int) -> int:
    """`side * target / source`, rounded half up, at least one pixel."""
    return max(1, (2 * side * target + source) // (2 * source))


def _rgb(picture: NDArray[Any], pixel_format: str) -> Picture:
    if pixel_format == "Mono8":
        return grey_to_rgb(picture)
    return picture[:, :, ::-1] if pixel_format == "BGR8" else picture


def _placed(rgb: Picture, content: Box, preparation: Preparation) -> Picture:
    shape = (preparation.height, preparation.width, 3)
    if rgb.shape == shape:
        return np.ascontiguousarray(rgb)[np.newaxis]
    canvas = np.full(shape, preparation.padding, dtype=np.uint8)
    canvas[content.y : content.y + content.height, content.x : content.x + content.width] = rgb
    return canvas[np.newaxis]


def _span(start: float, end: float, limit: int) -> tuple[int, int]:
    """Edges along one axis in frame pixels: rounded outwards, clipped, never empty."""
    slack = 1e-6  # an edge that falls on a pixel's edge must not take the next pixel with it
    low = min(max(int(np.floor(start + slack)), 0), limit - 1)
    return low, min(max(int(np.ceil(end - slack)), low + 1), limit)
