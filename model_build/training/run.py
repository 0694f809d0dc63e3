"""The folder of one training run: what it is about, and where its files lie.

`run.json` (schema linewatch.Run/1), written last: a folder without it is not finished. `history.jsonl`: a line an epoch.
`weights.pt` or `weights.keras`; `model.onnx`, the float model as a device would run it; `validation/` and, after `predict`, `test/`:
predictions in the form of docs/evaluation.md. `work/` holds checkpoints while the run lasts.
"""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from linewatch_common.errors import InputError
from linewatch_common.manifest import Preparation, Sha256
from msgspec import Meta, Struct

from model_build.data.pixels import read_bounded
from model_build.nets.interface import Framework, Start
from model_build.training.plan import Plan

RUN_FILE, HISTORY_FILE, MODEL_FILE = "run.json", "history.jsonl", "model.onnx"
WEIGHTS_FILES: dict[Framework, str] = {"torch": "weights.pt", "tensorflow": "weights.keras"}
VALIDATION, TEST, WORK = "validation", "test", "work"
_MAX_BYTES = 16 * 1024 * 1024
Text = Annotated[str, Meta(min_length=1, max_length=1024)]


class FoldResult(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One fold's model. `best`: the epoch (from 1) whose weights were kept; the figures are its own, on its fold."""

    epochs: int
    best: int
    figures: dict[str, float]


class Times(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When and how long: `seconds` by the clock, `cpu_seconds` of all cores, both over all sessions of a resumed run."""

    started: str
    ended: str
    seconds: float
    cpu_seconds: float


class Run(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What was trained, from what, and how. `data` is the index's digest, `splits` the splits' checksum.

    `model` is the net's name. `weights` and `onnx` are the digests of the weights' file and of model.onnx; predictions of the float model
    name `onnx`.
    `epochs`: how many the final model learnt. `code`: digest of the modules that a training depends on.
    """

    schema: Literal["linewatch.Run/1"] = "linewatch.Run/1"
    model: Text
    framework: Framework
    start: Start
    seed: int
    data: Sha256
    splits: Sha256
    classes: Annotated[tuple[Text, ...], Meta(min_length=1)]
    preparation: Preparation
    plan: Plan
    code: Sha256
    versions: dict[str, str]
    folds: tuple[FoldResult, ...]
    epochs: int
    times: Times
    weights: Sha256
    onnx: Sha256


class Epoch(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A line of history.jsonl. `fold` None is the final model; `losses` one a step; `figures` on the fold, empty for the final model."""

    fold: int | None
    epoch: int
    losses: tuple[float, ...]
    figures: dict[str, float]
    seconds: float


def read_run(folder: Path) -> Run:
    """Raises InputError with one line: no finished run, or not one of ours."""
    path = folder / RUN_FILE
    if not path.exists():
        raise InputError(f"{folder}: holds no finished run (no {RUN_FILE}); `train … --resume` goes on with one")
    try:
        return msgspec.json.decode(read_bounded(path, _MAX_BYTES), type=Run)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from error


def read_history(folder: Path) -> list[Epoch]:
    """Every epoch so far, in the order they were learnt. Raises InputError."""
    path = folder / HISTORY_FILE
    try:
        return [msgspec.json.decode(line, type=Epoch) for line in read_bounded(path, _MAX_BYTES).splitlines() if line]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from error
