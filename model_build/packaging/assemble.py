"""From run, artefact and evaluation to a complete package: manifest, weights, golden set."""

import re
import tomllib
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from linewatch_common.errors import InputError, PackageError
from linewatch_common.manifest import SCHEMA, Golden, Manifest, Role, Tolerances
from numpy.typing import NDArray

from model_build.data.prepared import IGNORE_FILE
from model_build.data.splits import TEST, TRAIN
from model_build.nets.interface import INPUT, MASK, SCORE
from model_build.packaging import golden
from model_build.packaging.draft import write_manifest
from model_build.packaging.inputs import Inputs
from model_build.packaging.package import copy_files

LABELS = ("normal", "anomalous")  # of a classifier, as the reference's are
_LABEL = 44  # characters of one that a class's name gives
_MEANINGS = {SCORE: ("scores", "NC"), MASK: ("mask", "NCHW")}


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person says about the package. `role` None: see `role_of`. `minimum_area`: fewest cells that make a defect."""

    name: str
    version: str
    golden: golden.Kind
    role: Role | None = None
    minimum_area: int = 1
    licence: str = "not stated"


@dataclass(frozen=True, slots=True)
class Assembled:
    """`pictures`: the golden ones, which every device will get. `margin`: from the nearest golden score to a threshold."""

    manifest: Manifest
    pictures: tuple[str, ...]
    margin: float | None


def assemble(inputs: Inputs, wish: Wish, folder: Path) -> Assembled:
    """Write the package into the empty `folder`.

    The same inputs give the same bytes. Raises InputError (PackageError), StorageError.
    """
    from model_build.compiling.running import open_model  # noqa: PLC0415 - runtimes, which signing and checking do without

    predict = open_model(inputs.weights.runs_here).run
    candidates = list(
        golden.drawn(inputs.run.preparation, inputs.run.seed)
        if wish.golden == "generated"
        else golden.from_data(inputs.data, inputs.splits.splits[TRAIN], inputs.run.preparation)
    )
    if not candidates:
        raise InputError("the training split holds no picture for a golden set")
    fields = _fields(inputs, wish, predict(candidates[0].tensor))
    draft = _converted(fields)
    golden.refuse_wrong_tensors(predict(candidates[0].tensor), draft)
    chosen = golden.choose(candidates, predict, draft)
    copy_files(inputs.weights.folder, folder, list(inputs.weights.files))
    if inputs.data.index.ignore is not None:
        copy_files(inputs.data.folder, folder, [IGNORE_FILE])
    golden.write(folder, chosen, draft)
    fields["golden"] = Golden(file=golden.GOLDEN_FILE, pictures=len(chosen), tolerances=Tolerances())
    names = tuple(candidate.name for candidate, _ in chosen)
    return Assembled(write_manifest(folder, fields), names, golden.least_margin(chosen, draft))


def _fields(inputs: Inputs, wish: Wish, outputs: dict[str, NDArray[Any]]) -> dict[str, Any]:
    role = wish.role or role_of(outputs, drawn=any(entry.mask is not None for entry in inputs.data.index.entries))
    preparation = inputs.run.preparation
    if inputs.data.index.ignore is not None:
        preparation = msgspec.structs.replace(preparation, ignore=IGNORE_FILE)
    shape = (1, preparation.height, preparation.width, 3)
    return {
        "schema": SCHEMA,
        "name": wish.name,
        "version": wish.version,
        "role": role,
        "format": inputs.weights.format,
        "model": inputs.weights.model,
        "labels": LABELS if role == "classifier" else labels_of(inputs.run.classes),
        "inputs": [{"name": INPUT, "dtype": "uint8", "shape": shape, "layout": "NHWC"}],
        "outputs": [_tensor(name, outputs[name]) for name in sorted(outputs)],
        "preparation": preparation,
        "thresholds": _thresholds(inputs, wish, role),
        "metrics": _metrics(inputs, role),
        "provenance": _provenance(inputs, wish),
        "golden": Golden(file=golden.GOLDEN_FILE, pictures=1, tolerances=Tolerances()),
    }


def labels_of(classes: Sequence[str]) -> tuple[str, ...]:
    """The classes by names that a manifest can hold (its `Label`); the number of its place goes with a name that was changed for that."""
    plain = [unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode() for name in classes]
    plain = [re.sub("[^A-Za-z0-9_ -]+", "_", name).lstrip("_ -")[:_LABEL] for name in plain]
    return tuple(
        name if kept and name == kept else f"{kept or 'class'} {number}"
        for number, (name, kept) in enumerate(zip(classes, plain, strict=True), start=1)
    )


def role_of(outputs: Collection[str], *, drawn: bool) -> Role:
    """What a model with these outputs is good for. Where nobody drew a defect its masks were never judged: it classifies only.

    Raises PackageError for other outputs.
    """
    roles: dict[frozenset[str], Role] = {
        frozenset({SCORE}): "classifier",
        frozenset({MASK}): "segmenter",
        frozenset({SCORE, MASK}): "inspector" if drawn else "classifier",
    }
    if frozenset(outputs) not in roles:
        raise PackageError(f"the model's outputs are {sorted(outputs)}, expected {SCORE!r} or {MASK!r} or both")
    return roles[frozenset(outputs)]


def _tensor(name: str, value: NDArray[Any]) -> dict[str, Any]:
    meaning, layout = _MEANINGS[name]
    return {"name": name, "dtype": str(value.dtype), "shape": value.shape, "layout": layout, "meaning": meaning}


def _thresholds(inputs: Inputs, wish: Wish, role: Role) -> dict[str, Any]:
    point, pixel = inputs.evaluated.point, inputs.evaluated.pixel
    if role == "classifier":
        return {"score": {"fail": point.fail, "review": point.review}}
    if pixel is None:
        raise InputError(
            f"the evaluation has no pixel figures, which role {role} needs: its predictions have no masks, or the defects of the training "
            "or the test split have none; --role classifier takes the score alone"
        )
    mask = {"pixel": pixel.cut, "minimum_area": wish.minimum_area}
    return (
        {"mask": mask} if role == "segmenter" else {"score": {"fail": point.fail, "review": point.review}, "mask": mask}
    )


def _metrics(inputs: Inputs, role: Role) -> dict[str, float]:
    """The evaluation's. What happens to the pictures is told at thresholds of the score: a segmenter's manifest has none."""
    found = inputs.evaluated
    metrics = {"image_ap": found.image_ap, "image_auroc": found.auroc}
    if role != "segmenter":
        total = found.outcome.defective + found.outcome.good
        metrics |= {
            "escapes": found.outcome.escapes / max(1, found.outcome.defective),
            "false_rejects": found.outcome.false_rejects / max(1, found.outcome.good),
            "reviews": found.outcome.reviews / max(1, total),
        }
    if found.pixel is not None:
        metrics |= {"pixel_ap": found.pixel.ap.value, "pixel_iou": found.pixel.iou}
    return {name: round(value, 6) for name, value in (metrics | inputs.weights.figures).items()}


def _provenance(inputs: Inputs, wish: Wish) -> dict[str, Any]:
    run, splits = inputs.run, inputs.splits
    return {
        "data": {
            "source": inputs.data.index.layout,
            "seeds": {"splits": splits.seed},
            "pictures": {name: len(splits.splits[name]) for name in (TRAIN, TEST)},
            "checksums": {"index": inputs.data.digest, "splits": splits.checksum},
        },
        "seed": run.seed,
        "code_version": f"linewatch {_project_version()}",
        "code_digest": run.code,
        "trained_at": run.times.ended[:19] + "Z",
        "frameworks": dict(sorted((run.versions | inputs.weights.versions).items())),
        "licence": wish.licence,
        "compiled": inputs.weights.compiled,
        "evaluation": inputs.evaluation_digest,
    }


def _project_version() -> str:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    return str(tomllib.loads(text)["project"]["version"])


def _converted(fields: dict[str, Any]) -> Manifest:
    """The manifest without its files, which are not written yet. Raises PackageError with the field that is wrong."""
    files = {"a": "0" * 64, "b": "0" * 64}
    try:
        return msgspec.convert(msgspec.to_builtins(fields | {"files": files}), Manifest)
    except msgspec.ValidationError as error:
        raise PackageError(f"the manifest: {error}") from error
