"""Where the figures of a measurement go: build/bench.json and docs/benchmarks.md."""

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from linewatch_common.files import write_atomically

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ROOT / "build/bench.json"
PAGE = ROOT / "docs/benchmarks.md"
_VNNI, _AMX = {"avx512_vnni", "avx_vnni", "amx_int8"}, "amx_int8"


def merge(figures: dict[str, Any], path: Path = FIGURES) -> None:
    """Put `figures` beside what other measurements wrote. Raises StorageError."""
    path.parent.mkdir(exist_ok=True)
    try:
        before = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        before = {}
    write_atomically(path, (json.dumps(before | figures, indent=2) + "\n").encode(), mode=0o644)


def keep(begin: str, end: str, text: str, page: Path = PAGE) -> None:
    """Renew what stands between two marks of the page. Raises StorageError."""
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    write_atomically(page, f"{before}{begin}\n\n{text}\n\n{end}{after}".encode(), mode=0o644)


def today() -> str:
    """The date of a measurement."""
    return datetime.now(UTC).strftime("%Y-%m-%d")


def machine() -> str:
    """What it ran on. Without VNNI an x86 processor takes three times as long for a net in INT8: all that is beside it weighs less.

    AMX multiplies matrices: it speeds up wide convolutions such as ResNet18's, and hardly depthwise ones.
    """
    name = _of_processor("model name") or platform.machine()
    return f"{name}{_int8_help()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def _int8_help() -> str:
    if platform.machine() != "x86_64":
        return ""
    flags = set(_of_processor("flags").split())
    return f" {'with' if _VNNI & flags else 'without'} VNNI{' and AMX' if _AMX in flags else ''}"


def _of_processor(what: str) -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith(what):
            return line.split(":", 1)[1].strip()
    return ""
