"""Where a course stands, in one file that is whole or absent: a power cut or a full disk costs the epoch that was being learnt."""

from pathlib import Path
from typing import Literal

import msgspec
from linewatch_common.errors import InputError
from linewatch_common.files import write_atomically
from msgspec import Struct

from model_build.data.pixels import read_bounded
from model_build.training.run import Epoch

_MAX_BYTES = 2 * 1024**3


class Checkpoint(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """After `history[-1]`. `best`: the epoch (from 1) whose weights are in `weights`. `state` continues the course; empty when `done`."""

    schema: Literal["linewatch.Checkpoint/1"] = "linewatch.Checkpoint/1"
    course: str
    history: tuple[Epoch, ...] = ()
    best: int = 0
    weights: bytes = b""
    state: bytes = b""
    start: str = ""
    done: bool = False
    cpu_seconds: float = 0.0


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Raises StorageError; the one before then still stands."""
    write_atomically(path, msgspec.msgpack.encode(checkpoint), mode=0o644)


def read_checkpoint(path: Path, course: str) -> Checkpoint:
    """The course's last checkpoint, an empty one where there is none. Raises InputError when it is of another course or corrupt."""
    if not path.exists():
        return Checkpoint(course=course)
    try:
        found = msgspec.msgpack.decode(read_bounded(path, _MAX_BYTES), type=Checkpoint)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}; delete it to begin this course again") from error
    if found.course != course:
        raise InputError(f"{path}: was written with other settings or other data; give these, or another folder")
    return found
