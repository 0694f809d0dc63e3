"""A finished run's model, or any artefact made of it, on pictures: by the device's runtime, from the file that the device would load."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from linewatch_common.errors import InputError
from linewatch_common.manifest import Preparation, file_sha256
from linewatch_vision.preparation import prepare
from numpy.typing import NDArray

from model_build.compiling.running import Model
from model_build.data.prepared import PreparedSet
from model_build.nets.interface import MASK, SCORE
from model_build.training.judging import cut_to_picture
from model_build.training.predictions import PredictionsFolder


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
        said = {output: _probable(array) for output, array in model.run(prepared.tensor).items()}
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


def _probable(array: NDArray[Any]) -> NDArray[np.float32]:
    """Probabilities: uint8 0..255 stands for 0..1."""
    values = array.astype(np.float32)
    return values / np.float32(255) if array.dtype == np.uint8 else values
