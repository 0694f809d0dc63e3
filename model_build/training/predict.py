"""A finished run's model, or any artefact made of it, on pictures: by the device's runtime, from the file that the device would load."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from linewatch_common.errors import InputError
from linewatch_common.manifest import Preparation, file_sha256
from linewatch_vision.preparation import prepare
from numpy.typing import NDArray

from model_build.data.prepared import PreparedSet
from model_build.nets.interface import INPUT, MASK, SCORE, Pictures
from model_build.training.judging import cut_to_picture
from model_build.training.predictions import PredictionsFolder

Outputs = dict[str, NDArray[np.float32]]


class Model(Protocol):
    """A loaded model file."""

    def run(self, tensor: Pictures) -> Outputs:
        """uint8 (1, H, W, 3) to `score` (1, 1) and/or `mask` (1, classes, h, w), probabilities. Raises InputError."""


def load_model(path: Path) -> Model:
    """By its suffix: .onnx or .xml (OpenVINO). Raises InputError for another one, or a file that cannot be loaded."""
    loaders: dict[str, Callable[[Path], Model]] = {".onnx": _OnnxModel, ".xml": _OpenVinoModel}
    if path.suffix not in loaders:
        raise InputError(f"{path}: {path.suffix or 'a file without suffix'} is not one of {', '.join(loaders)}")
    if not path.exists():
        raise InputError(f"{path}: is missing")
    return loaders[path.suffix](path)


def predict(
    model: Model, digest: str, data: PreparedSet, preparation: Preparation, *, names: Iterable[str], out: Path
) -> int:
    """Write the predictions of these pictures into the new folder `out`; their number. Raises InputError, StorageError."""
    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out}: is not empty; predictions are never mixed")
    folder, scores, masks = PredictionsFolder(out), {}, False
    for name in names:
        picture = data.example(name).picture
        prepared = prepare(picture, "Mono8" if picture.ndim == 2 else "BGR8", preparation)
        said = model.run(prepared.tensor)
        mask = said.get(MASK)
        scores[name] = float(said[SCORE].flat[0]) if SCORE in said else float(said[MASK].max())
        if mask is not None:
            masks = True
            folder.add(name, cut_to_picture(mask[0], prepared.transform))
    folder.finish(digest, data, scores, masks=masks)
    return len(scores)


def digest_of_model(path: Path) -> str:
    """What names the weights: of an OpenVINO model the digest of its .bin, of another the file's own. Raises PackageError."""
    binary = path.with_suffix(".bin")
    return file_sha256(binary if path.suffix == ".xml" and binary.exists() else path)


class _OnnxModel:
    """ONNX Runtime."""

    def __init__(self, path: Path) -> None:
        import onnxruntime  # noqa: PLC0415  only who predicts with it needs it

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        try:
            self._session: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime's classes have no common base
            raise InputError(f"{path}: ONNX Runtime cannot load it: {error}") from error
        self._names = [output.name for output in self._session.get_outputs()]

    def run(self, tensor: Pictures) -> Outputs:
        """See Model."""
        found = self._session.run(self._names, {self._session.get_inputs()[0].name: tensor})
        return {name: np.asarray(array, np.float32) for name, array in zip(self._names, found, strict=True)}


class _OpenVinoModel:
    """OpenVINO on the processor, in float32 where the model is not INT8: golden figures do not depend on the machine's bfloat16."""

    def __init__(self, path: Path) -> None:
        import openvino  # noqa: PLC0415  only who predicts with it needs it

        try:
            self._model: Any = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        except RuntimeError as error:
            raise InputError(f"{path}: OpenVINO cannot load it: {error}") from error

    def run(self, tensor: Pictures) -> Outputs:
        """See Model."""
        found = self._model({INPUT: tensor})
        return {port.get_any_name(): np.asarray(found[port], np.float32) for port in self._model.outputs}
