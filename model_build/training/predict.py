"""A finished run's model, or any artefact made of it, on pictures: by the device's runtime, from the file that the device would load."""

from collections.abc import Iterable
from pathlib import Path

from linewatch_common.errors import InputError
from linewatch_common.manifest import Preparation

from model_build.compiling.asking import asked
from model_build.compiling.running import Model
from model_build.data.prepared import PreparedSet
from model_build.training.predictions import PredictionsFolder


def predict(
    model: Model, digest: str, data: PreparedSet, preparation: Preparation, *, names: Iterable[str], out: Path
) -> int:
    """Write the predictions of these pictures into the new folder `out`; their number. Raises InputError, StorageError."""
    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out}: is not empty; predictions are never mixed")
    folder, scores, masks = PredictionsFolder(out), {}, False
    for name in names:
        said = asked(model, data.example(name), preparation)
        scores[name] = said.score
        if said.mask is not None:
            masks = True
            folder.add(name, said.mask)
    folder.finish(digest, data, scores, masks=masks)
    return len(scores)
