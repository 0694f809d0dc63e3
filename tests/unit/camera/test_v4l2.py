"""A V4L2 device through OpenCV itself: a library stands in for the kernel (tests/data/v4l2_camera.c), in a process of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CAMERA = Path(__file__).parents[2] / "data/v4l2_camera.c"
COMPILER = shutil.which("cc") or shutil.which("gcc")

# Opens the device as the component does and says what it gives (OpenCV takes one picture for itself), and how long it waits in vain.
PROGRAM = """
import sys, time
from linewatch_camera.sources.opencv import retrieved, v4l2_opener

capture = v4l2_opener(sys.argv[1], 0.5)()
for _ in range(3):
    print(capture.grab(), retrieved(capture, 10**6).shape)
begun = time.monotonic()
print(capture.grab(), round(time.monotonic() - begun))
capture.release()
"""


@pytest.fixture
def preloaded(tmp_path: Path) -> dict[str, str]:
    """An environment in which `tmp_path/video0` is a camera."""
    if COMPILER is None:
        pytest.skip("no C compiler for the device that stands in")
    library, device = tmp_path / "camera.so", tmp_path / "video0"
    subprocess.run([COMPILER, "-shared", "-fPIC", "-o", library, CAMERA, "-ldl"], check=True)
    device.write_bytes(bytes(640 * 480 * 2 * 10))  # its buffers
    paths = os.pathsep.join(path for path in sys.path if path)
    return {"LD_PRELOAD": str(library), "FAKE_V4L2": str(device), "FAKE_V4L2_FRAMES": "4", "PYTHONPATH": paths}


def test_a_device_opens_gives_pictures_and_is_not_waited_for_longer_than_the_read_timeout(
    preloaded: dict[str, str],
) -> None:
    said = subprocess.run(
        [sys.executable, "-c", PROGRAM, preloaded["FAKE_V4L2"]],
        env=os.environ | preloaded,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    assert said.stdout.splitlines() == [*["True (480, 640, 3)"] * 3, "False 1"]
