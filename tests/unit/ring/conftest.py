"""Rings in shared memory for these tests, and helpers to fill them."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from linewatch_common.ring import RingWriter, Stamp

SHARED_MEMORY = Path("/dev/shm")


@pytest.fixture
def ring_file(tmp_path: Path) -> Iterator[Path]:
    """Where a ring may be made: in shared memory when this machine has it."""
    base = SHARED_MEMORY if SHARED_MEMORY.is_dir() else tmp_path
    folder = Path(tempfile.mkdtemp(prefix="linewatch-test-", dir=base))
    yield folder / "linewatch-line1.ring"
    shutil.rmtree(folder, ignore_errors=True)


def put(writer: RingWriter, number: int, *, width: int = 8, height: int = 4) -> int:
    """Write a grey picture whose every pixel is `number`; its cursor too."""
    return writer.write_picture(
        bytes([number % 256]) * (width * height),
        width=width,
        height=height,
        stride=width,
        pixel_format="Mono8",
        stamp=Stamp.now(),
        part_id=f"part-{number}",
        source_cursor=number,
    )
