"""`python -m localcore`: the core and its command line."""

import sys

from localcore.cli import main

if __name__ == "__main__":
    sys.exit(main())
