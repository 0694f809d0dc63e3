"""That everything packed is there and works: imports it and decodes one picture; writes nothing."""

import cv2
import numpy as np
from linewatch_common import __version__

from linewatch_camera.decoding import decode_picture


def selfcheck() -> str:
    """One line that begins with OK. Raises what is wrong."""
    picture = np.arange(12, dtype=np.uint8).reshape(3, 4)
    pixels, _ = decode_picture(cv2.imencode(".png", picture)[1].tobytes(), 1000)
    if not np.array_equal(pixels, picture):
        raise RuntimeError("a PNG did not survive encoding and decoding")
    return f"OK linewatch_camera {__version__}, OpenCV {cv2.__version__}, numpy {np.__version__}"
