"""The demo's command line."""

import subprocess
import sys
from pathlib import Path

from tools.recipes import ROOT


def test_a_source_below_the_home_folder_is_found(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    command = [sys.executable, "-m", "tools.demo", "--source", "~/empty"]
    environment = {"HOME": str(tmp_path), "PYTHONPATH": f"{ROOT}:{ROOT}/components/common"}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"SOURCE={tmp_path}/empty: no PNG, JPEG, BMP or TIFF picture in it" in done.stderr
