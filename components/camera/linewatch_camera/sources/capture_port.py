"""What drivers need of OpenCV's video capture: a seam, so that they can be tested without a device."""

from collections.abc import Callable
from typing import Any, Protocol


class VideoCapture(Protocol):
    """The part of cv2.VideoCapture that is used."""

    def grab(self) -> bool:
        """Wait for the next frame, up to the read timeout; False when none came."""

    def retrieve(self) -> tuple[bool, Any]:
        """Decode the grabbed frame: uint8 HxWx3 BGR (or HxW)."""

    def get(self, property_id: int, /) -> float:
        """A property, 0 when unknown."""

    def release(self) -> None:
        """Let go of the device."""


Opener = Callable[[], VideoCapture]
"""Opens a device or stream, waiting up to its open timeout; raises UnavailableError with the reason alone when it cannot."""
