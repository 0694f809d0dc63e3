"""What lay in a folder of captured data before this agent first wrote there, e.g. the original's files, which are named as ours.

It is somebody's data: it counts in no bound, and is never dropped for room or age, uploaded or removed.
"""

import os
import re
from pathlib import Path

from linewatch_common.files import write_atomically

FILE = ".linewatch-inherited"
# A push's name begins each of its files' names; half-written ones have a dot before it.
_PUSH = re.compile(r"\.?([0-9a-f]{32})[.-].*", re.DOTALL)


def is_ours(folder: Path) -> bool:
    """Whether this agent ever wrote to `folder`."""
    return (folder / FILE).exists()


def inherited(folder: Path) -> frozenset[bytes]:
    """The names (16 bytes) of all pushes below `folder` at the first call ever, which notes them there in FILE.

    Raises OSError, StorageError.
    """
    note = folder / FILE
    if not is_ours(folder):
        names = {found[1] for _, _, files in os.walk(folder) for name in files if (found := _PUSH.fullmatch(name))}
        write_atomically(note, "".join(f"{name}\n" for name in sorted(names)).encode())
    noted = re.findall(r"^[0-9a-f]{32}$", note.read_text(encoding="ascii", errors="replace"), re.MULTILINE)
    return frozenset(bytes.fromhex(name) for name in noted)
