"""What lay in a folder of captured data before this agent first wrote there, e.g. the original's files, which are named as ours.

It is somebody's data: it counts in no bound, and is never dropped for room or age, uploaded or removed.
"""

import os
from pathlib import Path

from linewatch_common.files import write_atomically

FILE = ".linewatch-inherited"
_END = b"\0"


def inherited(folder: Path) -> frozenset[Path]:
    """Every file that was below `folder` at the first call ever, which notes them there in FILE. Raises OSError, StorageError."""
    note = folder / FILE
    if not note.exists():
        files = [path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir()]
        write_atomically(note, b"".join(os.fsencode(path) + _END for path in files))
    return frozenset(folder / os.fsdecode(path) for path in note.read_bytes().split(_END)[:-1])
