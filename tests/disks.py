"""A full disk and one that hangs, without root."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """No file of this process grows beyond `size` bytes: writes fail with EFBIG, since Python ignores SIGXFSZ."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def hanging_file(file: Path) -> Iterator[None]:
    """Who opens `file` to write hangs in the system's call, and fails when this ends; who comes then finds no file."""
    file.unlink(missing_ok=True)
    os.mkfifo(file)
    try:
        yield
    finally:
        reader = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
        file.unlink()
        os.close(reader)
