"""Packages that an artefact does not bring, on a device: runtimes of other model formats, Stream Manager's SDK.

A component's process sees nothing of the system's Python, so that the system cannot change what runs. What a person wants it to see lies in
a folder of its own in the work folder, which outlives new versions of the component.
"""

import logging
import sys
from pathlib import Path

log = logging.getLogger(__name__)

FOLDER = "extras"


def admit_extras(work: Path) -> None:
    """Let what `pip install --target` put into the folder `extras` in `work` be imported, after all that the artefact brings."""
    folder = work / FOLDER
    if folder.is_dir() and str(folder) not in sys.path:
        sys.path.append(str(folder))
        log.info("extras: packages in %s are used", folder)
