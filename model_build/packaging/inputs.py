"""What a package is made from: a run, what was compiled from it, its evaluation and the data; and that they belong together."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
from linewatch_common.errors import InputError
from linewatch_common.manifest import Compiled, Sha256, file_sha256
from msgspec import Struct

from model_build.compiling.artefact import Format, read_artefact, runs_here
from model_build.compiling.locating import neo_library
from model_build.data.pixels import read_bounded
from model_build.data.prepared import PreparedSet
from model_build.data.splits import SPLITS_FILE, Splits, read_splits
from model_build.packaging.tarball import unpack
from model_build.training.run import MODEL_FILE, Run, read_run

_MAX_BYTES = 16 * 1024 * 1024


class Point(Struct, frozen=True):
    """Of evaluation.json: the two thresholds."""

    review: float
    fail: float


class Outcome(Struct, frozen=True):
    """Of evaluation.json: counts on the test split."""

    defective: int
    good: int
    escapes: int
    false_rejects: int
    reviews: int


class Precision(Struct, frozen=True):
    """Of evaluation.json."""

    value: float


class Pixel(Struct, frozen=True):
    """Of evaluation.json: figures of the mask; `cut` is the pixel threshold."""

    ap: Precision
    cut: float
    iou: float


class Evaluated(Struct, frozen=True):
    """What a package takes from evaluation.json (model_build.evaluation writes more)."""

    schema: Literal["linewatch.Evaluation/1"]
    refusals: tuple[str, ...]
    model: Sha256
    data: Sha256
    splits: Sha256
    image_ap: float
    auroc: float
    point: Point
    outcome: Outcome
    pixel: Pixel | None


@dataclass(frozen=True, slots=True)
class Weights:
    """The files that a device loads, and how they were made. `folder` holds them flat; `runs_here` what gives the expected outputs."""

    folder: Path
    format: Format
    model: str
    files: tuple[str, ...]
    runs_here: Path
    compiled: Compiled
    figures: dict[str, float]
    versions: dict[str, str]


@dataclass(frozen=True, slots=True)
class Inputs:
    """All that a package is made from; they belong together."""

    run: Run
    evaluated: Evaluated
    evaluation_digest: str
    data: PreparedSet
    splits: Splits
    weights: Weights


def read_inputs(artefact: Path, run: Path, evaluation: Path, data: Path, work: Path) -> Inputs:
    """Read them and compare their digests. `artefact`: a folder of `compile`, or the .tar.gz of a Neo job (unpacked below `work`).

    Raises InputError (PackageError) with one line: a file that was changed, inputs of different models, a model that its gate refuses.
    """
    trained, prepared = read_run(run), PreparedSet.open(data)
    splits = read_splits(data / SPLITS_FILE, prepared)
    path = evaluation / "evaluation.json" if evaluation.is_dir() else evaluation
    evaluated = _evaluated(path)
    float_model = run / MODEL_FILE
    if file_sha256(float_model) != trained.onnx:
        raise InputError(f"{float_model}: is not the model of this run")
    weights = (
        _neo(artefact, float_model, trained, work) if artefact.is_file() else _compiled(artefact, float_model, trained)
    )
    for name, found, wanted in (
        ("data", prepared.digest, trained.data),
        ("splits", splits.checksum, trained.splits),
        (f"{path}: data", evaluated.data, trained.data),
        (f"{path}: splits", evaluated.splits, trained.splits),
    ):
        if found != wanted:
            raise InputError(f"{name}: digest {found[:16]}…, the run was trained with {wanted[:16]}…")
    digests = {trained.onnx, trained.weights, *(file_sha256(weights.folder / name) for name in weights.files)}
    if evaluated.model not in digests:
        raise InputError(f"{path}: is of another model ({evaluated.model[:16]}…) than {run}")
    if evaluated.refusals:
        raise InputError(f"{path}: the gate refuses the model: {'; '.join(evaluated.refusals)}")
    return Inputs(trained, evaluated, file_sha256(path), prepared, splits, weights)


def _evaluated(path: Path) -> Evaluated:
    try:
        return msgspec.json.decode(read_bounded(path, _MAX_BYTES), type=Evaluated)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from error


def _compiled(folder: Path, float_model: Path, run: Run) -> Weights:
    artefact = read_artefact(folder)
    if artefact.source.onnx != run.onnx:
        raise InputError(f"{folder}: was compiled from another model ({artefact.source.onnx[:16]}…) than this run's")
    calibration, found = artefact.calibration, artefact.comparison
    figures = (
        {}
        if found is None
        else {
            f"{name}_loss": figure.loss
            for name, figure in (("image_ap", found.image_ap), ("pixel_ap", found.pixel_ap))
            if figure is not None
        }
    )
    return Weights(
        folder=folder,
        format=artefact.format,
        model=artefact.model,
        files=tuple(sorted(artefact.files)),
        runs_here=folder / artefact.model if runs_here(artefact) else float_model,
        compiled=Compiled(
            target=artefact.target,
            recipe=artefact.recipe,
            source=run.onnx,
            calibration_seed=None if calibration is None else calibration.seed,
            calibration_pictures=0 if calibration is None else len(calibration.ids),
        ),
        figures=figures,
        versions=artefact.versions,
    )


def _neo(path: Path, float_model: Path, run: Run, work: Path) -> Weights:
    """The result of a CompilationJob as it lies in S3: DLR's files, flat."""
    folder = work / "neo"
    unpack(path, folder)
    files = tuple(sorted(entry.relative_to(folder).as_posix() for entry in folder.rglob("*") if entry.is_file()))
    library = neo_library(folder, path)
    compiled = Compiled(target="neo", recipe=f"CompilationJob, sha256 {file_sha256(path)}", source=run.onnx)
    return Weights(folder, "neo", library, files, float_model, compiled, {}, {})
