"""The front door of every artefact: `python3.11 <zip or unpacked folder> install|run|--selfcheck`.

This file keeps to syntax that any Python 3 can read, so that a wrong one gets a clear line and not a SyntaxError.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - started by hand with any python
    sys.exit("linewatch needs Python 3.11 or later, this is {}.{} ({})".format(*sys.version_info[:2], sys.executable))

from linewatch_launcher.main import main

sys.exit(main(__file__))
