"""The agent's artefact has no OpenCV: what it takes from linewatch_vision must do without."""

import subprocess
import sys


def test_reading_golden_sets_needs_no_opencv() -> None:
    code = "import sys; sys.modules['cv2'] = None; import linewatch_vision.golden"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr


def test_the_manifest_needs_neither_numpy_nor_opencv() -> None:
    code = "import sys; sys.modules['cv2'] = sys.modules['numpy'] = None; import linewatch_common.manifest"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
