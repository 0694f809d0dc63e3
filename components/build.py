"""Recipes and code into greengrass-build/: `python components/build.py --help`."""

import sys
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036 - gdk starts the system's python3
    sys.exit("components/build.py needs Python 3.11 or later, this is {}.{}".format(*sys.version_info[:2]))

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # people and gdk call this file directly, from anywhere

from components.builder.cli import main  # noqa: E402 - after the path

if __name__ == "__main__":
    sys.exit(main(ROOT))
