"""How much memory a component takes: the proportional set size of its whole process group."""

import os
from pathlib import Path

_PROC = Path("/proc")
_KIB = 1024


def group_members(pid: int) -> list[int]:
    """The processes of the group that `pid` leads."""
    members = []
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            try:
                if os.getpgid(int(folder.name)) == pid:
                    members.append(int(folder.name))
            except ProcessLookupError:
                continue
    return members


def pss_bytes(pid: int) -> int:
    """PSS in bytes from /proc/<pid>/smaps_rollup, summed over the group; a process that ends meanwhile counts as 0."""
    return sum(_pss_of(member) for member in group_members(pid))


def _pss_of(pid: int) -> int:
    try:
        text = (_PROC / str(pid) / "smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * _KIB
    return 0
