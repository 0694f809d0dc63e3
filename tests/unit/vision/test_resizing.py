"""The resize without OpenCV gives OpenCV's bytes."""

import subprocess
import sys

import cv2
import numpy as np
import pytest
from linewatch_vision.resizing import resize_by_numpy

SIZES = [(64, 64), (65, 97), (4096, 70), (333, 1000), (224, 224), (480, 640), (1, 5), (448, 448)]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("target", [(224, 224), (256, 100), (97, 333), (1, 1), (700, 511)])
def test_equals_opencv_bit_for_bit(height: int, width: int, channels: int, target: tuple[int, int]) -> None:
    shape = (height, width) if channels == 1 else (height, width, channels)
    picture = np.random.default_rng(height * width).integers(0, 256, shape, dtype=np.uint8)
    expected = cv2.resize(picture, target, interpolation=cv2.INTER_LINEAR_EXACT)
    assert np.array_equal(resize_by_numpy(picture, *target), expected)


def test_random_sizes() -> None:
    numbers = np.random.default_rng(7)
    for _ in range(300):
        height, width, to_height, to_width = (int(side) for side in numbers.integers(1, 400, 4))
        picture = numbers.integers(0, 256, (height, width, 3), dtype=np.uint8)
        expected = cv2.resize(picture, (to_width, to_height), interpolation=cv2.INTER_LINEAR_EXACT)
        assert np.array_equal(resize_by_numpy(picture, to_width, to_height), expected), (picture.shape, expected.shape)


WITHOUT_OPENCV = """
import sys
sys.modules["cv2"] = None
import numpy as np
from linewatch_common.manifest import Preparation
from linewatch_vision.preparation import prepare
picture = np.arange(300 * 200 * 3, dtype=np.uint32).reshape(300, 200, 3).astype(np.uint8)
for frame, form in ((picture, "RGB8"), (picture, "BGR8"), (np.ascontiguousarray(picture[:, :, 0]), "Mono8")):
    for resize in ("squash", "letterbox"):
        sys.stdout.write(str(prepare(frame, form, Preparation(width=64, height=48, resize=resize)).tensor.tobytes()))
"""


def test_a_frame_is_prepared_the_same_without_opencv() -> None:
    programs = (WITHOUT_OPENCV, WITHOUT_OPENCV.replace('sys.modules["cv2"] = None', "import cv2"))
    without, having = (
        subprocess.run([sys.executable, "-c", text], capture_output=True, check=True) for text in programs
    )
    assert without.stdout == having.stdout
    assert len(without.stdout) > 10_000
