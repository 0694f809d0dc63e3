"""What a pipeline's condition reads: one small file made from an evaluation."""

from pathlib import Path

import msgspec
from linewatch_common.errors import InputError
from linewatch_common.files import write_atomically
from msgspec import Struct

from model_build.data.pixels import read_bounded

EVALUATION_FILE, GATE_FILE = "evaluation.json", "gate.json"
_MAX_REASON = 800  # a FailStep shows at most 3072 characters, its own words included


class Gate(Struct, frozen=True):
    """`passed`: no demand was missed. `reason`: every missed demand, or empty."""

    passed: bool
    reason: str
    image_ap: float


class _Evaluation(Struct, frozen=True):
    """The part of evaluation.json that the gate needs."""

    refusals: list[str]
    image_ap: float


def write_gate(folder: Path) -> Gate:
    """Read `folder`/evaluation.json and write gate.json beside it. Raises InputError, StorageError."""
    path = folder / EVALUATION_FILE
    try:
        found = msgspec.json.decode(read_bounded(path), type=_Evaluation)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from error
    gate = Gate(passed=not found.refusals, reason="; ".join(found.refusals)[:_MAX_REASON], image_ap=found.image_ap)
    write_atomically(folder / GATE_FILE, msgspec.json.encode(gate) + b"\n", 0o644)
    return gate
