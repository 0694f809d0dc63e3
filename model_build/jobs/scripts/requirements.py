"""Installs what a container lacks: the locked requirements of the framework that it brings. Needs nothing but Python.

LINEWATCH_INSTALL=0 says that everything is there already.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path


def install(source: Path) -> None:
    """From `source`/requirements-FRAMEWORK.txt, hashes checked; the framework itself stays as the container has it."""
    if os.environ.get("LINEWATCH_INSTALL", "1") == "0":
        return
    framework = "tensorflow" if find_spec("tensorflow") else "torch"
    locked = source / f"requirements-{framework}.txt"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps", "-r", str(locked)]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    install(Path(sys.argv[1]))
