"""OpenCV's video capture behind our seam: opening devices, streams and files. The only place that makes a cv2.VideoCapture."""

import math
import os
import re
from pathlib import Path

import cv2
import numpy as np
from linewatch_common.errors import InputError, UnavailableError

from linewatch_camera.decoding import check_fits
from linewatch_camera.sources.capture_port import Opener, VideoCapture

# Many cameras take user and password as fields of the path or the query.
_SECRET_FIELD = re.compile(
    r"(?<![a-z0-9])((?:user(?:name)?|usr|login|pass(?:word|wd)?|pwd|token|auth|key|secret)=)[^&/?#]*", re.IGNORECASE
)


def v4l2_opener(device: str, read_timeout: float) -> Opener:
    """Opens a V4L2 device by its path (/dev/video0, /dev/v4l/by-id/…) or number; `read_timeout` counts in whole seconds, upwards."""

    def open_device() -> VideoCapture:
        if not device.isdecimal() and not Path(device).exists():
            raise UnavailableError("no such device")
        # V4L2 has no CAP_PROP_READ_TIMEOUT_MSEC: OpenCV would not open the device with it. Read once, at the process's first device.
        os.environ["OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT"] = str(math.ceil(read_timeout))
        capture = cv2.VideoCapture(
            int(device) if device.isdecimal() else device,
            cv2.CAP_V4L2,
            # One buffer in the driver: the next frame is a fresh one.
            [cv2.CAP_PROP_BUFFERSIZE, 1],
        )
        return _opened(capture, "cannot be opened as a video device")

    return open_device


def rtsp_opener(url: str, open_timeout: float, read_timeout: float) -> Opener:
    """Opens an RTSP stream over TCP by FFmpeg, with its timeouts."""

    def open_stream() -> VideoCapture:
        capture = cv2.VideoCapture(
            url,
            cv2.CAP_FFMPEG,
            [
                cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
                int(open_timeout * 1000),
                cv2.CAP_PROP_READ_TIMEOUT_MSEC,
                int(read_timeout * 1000),
            ],
        )
        return _opened(capture, "no stream there, or no answer in time")

    return open_stream


def open_file(path: str) -> VideoCapture:
    """A video file. Raises UnavailableError."""
    if not Path(path).is_file():
        raise UnavailableError(f"{path}: no such video file")
    return _opened(cv2.VideoCapture(str(Path(path).resolve()), cv2.CAP_FFMPEG), f"{path}: cannot be read as a video")


def retrieved(capture: VideoCapture, slot_bytes: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.generic]]":
    """The grabbed frame's pixels. Raises InputError; PictureTooLarge before the memory for its pixels is taken."""
    width, height = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    check_fits(max(width, 1), max(height, 1), 1, slot_bytes)
    try:
        good, decoded = capture.retrieve()
    except cv2.error as error:
        raise InputError(f"the frame cannot be decoded: {' '.join(str(error).split())[:160]}") from error
    if not good or decoded is None:
        raise InputError("the frame cannot be decoded")
    return np.asarray(decoded)


def without_secrets(url: str) -> str:
    """The url without user and password, as it may appear in logs and heartbeats."""
    return _SECRET_FIELD.sub(r"\1…", re.sub(r"^([a-z]+://)[^/]*@", r"\1", url))


def _opened(capture: "cv2.VideoCapture", complaint: str) -> VideoCapture:
    if not capture.isOpened():
        capture.release()
        raise UnavailableError(complaint)
    return capture
