"""The training job: SageMaker's folders and hyperparameters to the command `train`."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from linewatch_common.errors import LinewatchError, StorageError

from model_build.__main__ import parsed
from model_build.jobs.flags import given
from model_build.jobs.places import RUN, Training, training

_SHOWN = ("run.json", "history.jsonl")  # what a person wants to see without unpacking the model archive


def main(flags: Sequence[str] | None = None) -> int:
    """0 when the run lies in SM_MODEL_DIR. `flags`: the hyperparameters, as `train` takes them (default: this process's)."""
    try:
        train(training(os.environ), sys.argv[1:] if flags is None else flags)
    except LinewatchError as error:
        print(f"train: {error}", file=sys.stderr)  # the toolkit makes the job's failure reason from it
        return 1
    return 0


def train(places: Training, flags: Sequence[str]) -> Path:
    """Train, and return the run's folder in the model folder. Raises LinewatchError.

    With a checkpoint folder the run lives there while it lasts, so that a job that was interrupted goes on.
    """
    target = places.model / RUN
    run = places.checkpoints / RUN if places.checkpoints else target
    options = parsed(["train", str(places.data), str(run), *given(flags), *(["--resume"] if run.exists() else [])])
    options.command(options)
    try:
        if run != target:
            shutil.copytree(run, target, dirs_exist_ok=True)
        for name in _SHOWN:
            shutil.copyfile(target / name, places.output / name)
    except OSError as error:
        raise StorageError(f"{target}: {error.strerror or error}") from error
    return target
