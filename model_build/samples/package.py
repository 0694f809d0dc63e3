"""Writes a package: the weights, the golden set, and the manifest with every file's digest."""

import hashlib
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import linewatch_vision
import msgspec
import numpy as np
from linewatch_common.manifest import (
    MANIFEST_FILE,
    SCHEMA,
    Data,
    Golden,
    InputTensor,
    Manifest,
    OutputTensor,
    Provenance,
    Thresholds,
    Tolerances,
    file_sha256,
    load_manifest,
    verify_files,
)
from numpy.typing import NDArray

import model_build.nets
import model_build.samples
from model_build.samples.data import Prepared
from model_build.samples.plan import INPUT, LICENCE, SOURCE, VERSION, Plan

MODEL_FILE = "model.onnx"
GOLDEN_FILE = "golden/golden.npz"
_TRUNK = "pytorch/compact.py"


@dataclass(frozen=True)
class Origin:
    """What made the weights, taken before the training began: the code's digest, the versions of the frameworks."""

    code_digest: str
    frameworks: dict[str, str]


@dataclass(frozen=True)
class Result:
    """What training and evaluation found. `golden`: pictures (N, H, W) grey and the outputs for them, stacked."""

    plan: Plan
    output: OutputTensor
    thresholds: Thresholds
    metrics: dict[str, float]
    splits: dict[str, Prepared]
    golden_pictures: NDArray[np.uint8]
    golden_outputs: NDArray[np.generic]


def write_package(folder: Path, result: Result, origin: Origin) -> Manifest:
    """Complete the package in `folder`, where the weights already lie, and check it as a device would."""
    golden = folder / GOLDEN_FILE
    golden.parent.mkdir(exist_ok=True)
    pictures = np.repeat(result.golden_pictures[:, None, :, :, None], 3, axis=4)
    arrays: dict[str, NDArray[np.generic]] = {
        f"input.{INPUT}": pictures,
        f"output.{result.output.name}": result.golden_outputs[:, None],
    }
    np.savez_compressed(golden, **arrays)  # type: ignore[arg-type]  # numpy's stub mistakes the names for its options
    manifest = _manifest(folder, result, origin)
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    (folder / MANIFEST_FILE).write_bytes(text)
    verify_files(folder, load_manifest(folder))
    return manifest


def code_digest() -> str:
    """SHA-256 over the code that decides the weights: generator, nets, training, preparation and mask reading."""
    digest = hashlib.sha256()
    for package, pattern in ((linewatch_vision, "*.py"), (model_build.samples, "*.py"), (model_build.nets, _TRUNK)):
        for path in sorted(Path(str(package.__file__)).parent.glob(pattern)):
            digest.update(f"{package.__name__}/{path.name}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _manifest(folder: Path, result: Result, origin: Origin) -> Manifest:
    plan = result.plan
    shape = (1, plan.preparation.height, plan.preparation.width, 3)
    return Manifest(
        schema=SCHEMA,
        name=plan.name,
        version=VERSION,
        role=plan.role,
        format="onnx",
        model=MODEL_FILE,
        labels=plan.labels,
        inputs=(InputTensor(name=INPUT, dtype="uint8", shape=shape, layout="NHWC"),),
        outputs=(result.output,),
        preparation=plan.preparation,
        thresholds=result.thresholds,
        metrics=result.metrics,
        provenance=_provenance(result, origin),
        golden=Golden(file=GOLDEN_FILE, pictures=len(result.golden_pictures), tolerances=Tolerances()),
        files={name: file_sha256(folder / name) for name in (GOLDEN_FILE, MODEL_FILE)},
    )


def _project_version() -> str:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    return str(tomllib.loads(text)["project"]["version"])


def _provenance(result: Result, origin: Origin) -> Provenance:
    splits = result.plan.splits
    return Provenance(
        data=Data(
            source=SOURCE,
            seeds={name: split.seed for name, split in splits.items()},
            pictures={name: split.pictures for name, split in splits.items()},
            checksums={name: data.checksum for name, data in result.splits.items()},
        ),
        seed=result.plan.course.seed,
        code_version=f"linewatch {_project_version()}",
        code_digest=origin.code_digest,
        trained_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        frameworks=origin.frameworks,
        licence=LICENCE,
    )
