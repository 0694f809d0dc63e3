"""The run that is compiled: its net, and the operating point at which the compiled model must agree with it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from linewatch_common.errors import InputError
from linewatch_common.manifest import file_sha256

from model_build.compiling import artefact
from model_build.compiling.comparing import Limits
from model_build.data.prepared import PreparedSet
from model_build.data.splits import TRAIN, Splits
from model_build.evaluation.operating_point import Target, choose
from model_build.evaluation.predictions import open_predictions
from model_build.training.run import MODEL_FILE, VALIDATION, Run, read_run

UNDECIDED = Limits(0.5, 0.5)  # where the training pictures are all good, or all defective


@dataclass(frozen=True, slots=True)
class FloatModel:
    """A finished run. `path` is its ONNX, checked against the run."""

    run: Run
    path: Path
    limits: Limits

    @property
    def source(self) -> artefact.Source:
        """What the artefact says of it."""
        run = self.run
        return artefact.Source(net=run.model, weights=run.weights, onnx=run.onnx, data=run.data, splits=run.splits)


def read_float(folder: Path, data: PreparedSet, splits: Splits, target: Target) -> FloatModel:
    """Raises InputError with one line: not finished, of other data, or changed since."""
    run = read_run(folder)
    if run.data != data.digest or run.splits != splits.checksum:
        raise InputError(f"{folder}: was trained on other data or another split than {data.folder}")
    path = folder / MODEL_FILE
    if file_sha256(path) != run.onnx:
        raise InputError(f"{path}: was changed since the run ended")
    return FloatModel(run, path, _limits(folder, data, splits, target))


def _limits(folder: Path, data: PreparedSet, splits: Splits, target: Target) -> Limits:
    names = splits.splits[TRAIN]
    said = open_predictions(folder / VALIDATION, data.digest, names, "the training split").document.scores
    labels = np.array([data.entry(name).defective for name in names], np.bool_)
    if labels.all() or not labels.any():
        return UNDECIDED
    point = choose(labels, np.array([said[name] for name in names], np.float64), target)
    return Limits(point.review, point.fail)
