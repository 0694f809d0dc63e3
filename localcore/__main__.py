"""`python -m localcore`: the core and its command line."""

import importlib.util
import sys
from pathlib import Path

if importlib.util.find_spec("linewatch_common") is None:  # a checkout in which only the demo's packages are installed
    sys.path.append(str(Path(__file__).resolve().parent.parent / "components" / "common"))

from localcore.cli import main

if __name__ == "__main__":
    sys.exit(main())
