"""The golden set of a model package: reading it, and comparing what a runtime gives with it. numpy only, no OpenCV."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from linewatch_common.errors import PackageError
from linewatch_common.manifest import InputTensor, Manifest, OutputTensor
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class GoldenCase:
    """One picture: the model's inputs and expected outputs by tensor name, with the manifest's shapes and dtypes."""

    inputs: dict[str, Array]
    outputs: dict[str, Array]


def read_golden(folder: Path, manifest: Manifest) -> list[GoldenCase]:
    """Read the golden set of the package in `folder`. Raises PackageError when it does not fit the manifest."""
    path = folder / manifest.golden.file
    try:
        with _opened(path) as archive:
            inputs = {tensor.name: _checked(archive, "input", tensor, manifest) for tensor in manifest.inputs}
            outputs = {tensor.name: _checked(archive, "output", tensor, manifest) for tensor in manifest.outputs}
    except (OSError, EOFError, ValueError, KeyError, BadZipFile, zlib.error) as error:
        raise PackageError(f"{path}: {error}") from error
    return [
        GoldenCase(
            {name: array[index] for name, array in inputs.items()},
            {name: array[index] for name, array in outputs.items()},
        )
        for index in range(manifest.golden.pictures)
    ]


def differences(case: GoldenCase, actual: dict[str, Array], manifest: Manifest) -> Iterator[str]:
    """What lies outside the manifest's tolerances, one line each; nothing when the runtime agrees.

    Scores: same decision (fail, review or pass) and close enough. Masks: intersection over union of the cells at or
    above the pixel threshold, over all channels; two empty masks agree.
    """
    for tensor in manifest.outputs:
        expected, got = case.outputs[tensor.name], actual.get(tensor.name)
        if got is None or got.shape != expected.shape or got.dtype != expected.dtype:
            seen = "nothing" if got is None else f"{got.dtype} {got.shape}"
            yield f"output {tensor.name}: expected {expected.dtype} {expected.shape}, got {seen}"
        elif tensor.meaning == "scores":
            yield from _score_differences(tensor.name, float(expected.flat[0]), float(got.flat[0]), manifest)
        else:
            yield from _mask_differences(tensor.name, expected, got, manifest)


def decision(score: float, manifest: Manifest) -> str:
    """`fail`, `review` or `pass` by the manifest's score thresholds.

    Raises PackageError when the manifest has none, and for a score that is no number: it must not read as `pass`.
    """
    thresholds = manifest.thresholds.score
    if thresholds is None:
        raise PackageError(f"model {manifest.identifier} has no score thresholds")
    if not np.isfinite(score):
        raise PackageError(f"model {manifest.identifier} gave the score {score}")
    if score >= thresholds.fail:
        return "fail"
    return "review" if score >= thresholds.review else "pass"


def _opened(path: Path) -> Any:
    archive = np.load(path, allow_pickle=False)
    if isinstance(archive, np.ndarray):
        raise PackageError(f"{path}: holds one array (.npy), expected an .npz with one for each tensor")
    return archive


def _checked(archive: Any, kind: str, tensor: InputTensor | OutputTensor, manifest: Manifest) -> Array:
    array: Array = archive[f"{kind}.{tensor.name}"]
    expected = (manifest.golden.pictures, *tensor.shape)
    if array.shape != expected or array.dtype != np.dtype(tensor.dtype):
        raise ValueError(f"{kind}.{tensor.name}: expected {tensor.dtype} {expected}, got {array.dtype} {array.shape}")
    return array


def _score_differences(name: str, expected: float, got: float, manifest: Manifest) -> Iterator[str]:
    tolerance = manifest.golden.tolerances.score
    if not abs(expected - got) <= tolerance:  # a NaN must not pass
        yield f"output {name}: score {got:.4f}, expected {expected:.4f} within {tolerance}"
    elif decision(expected, manifest) != decision(got, manifest):
        yield f"output {name}: {decision(got, manifest)} at {got:.4f}, expected {decision(expected, manifest)}"


def _mask_differences(name: str, expected: Array, got: Array, manifest: Manifest) -> Iterator[str]:
    thresholds = manifest.thresholds.mask
    pixel = thresholds.pixel if thresholds is not None else 0.5
    cut = pixel * 255 if expected.dtype == np.uint8 else pixel
    if got.dtype.kind == "f" and not np.isfinite(got).all():
        yield f"output {name}: the mask holds values that are no numbers"  # they would read as cells without a defect
        return
    wanted, found = expected >= cut, got >= cut
    union = int((wanted | found).sum())
    overlap = 1.0 if union == 0 else int((wanted & found).sum()) / union
    if overlap < manifest.golden.tolerances.mask_iou:
        yield f"output {name}: mask IoU {overlap:.3f}, expected at least {manifest.golden.tolerances.mask_iou}"
