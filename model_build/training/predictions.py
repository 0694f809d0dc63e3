"""What a net says of many pictures, as the files that `evaluate` reads (docs/evaluation.md)."""

import io
from pathlib import Path

import msgspec
import numpy as np
from linewatch_common.errors import StorageError
from linewatch_common.files import write_atomically
from numpy.typing import NDArray

from model_build.data.prepared import PreparedSet
from model_build.evaluation.predictions import PREDICTIONS_FILE, Document


class PredictionsFolder:
    """A folder of predictions that grows picture by picture; `finish` makes it one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, name: str, mask: NDArray[np.float32] | None) -> None:
        """Keep one picture's mask (classes, h, w), probabilities. Raises StorageError."""
        masks = self._folder / "masks"
        try:
            masks.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{masks}: cannot make the folder: {error.strerror}") from error
        if mask is not None:
            buffer = io.BytesIO()
            # Half precision has 2,000 steps between 0.5 and 1 and none above 0.9995, where a sure net tells its defects apart.
            np.save(buffer, np.clip(mask, 0.0, 1.0, dtype=np.float32), allow_pickle=False)
            write_atomically(masks / f"{name}.npy", buffer.getvalue(), mode=0o644)

    def finish(self, model: str, data: PreparedSet, scores: dict[str, float], *, masks: bool) -> None:
        """Write predictions.json, last. `model`: digest of the weights that predicted. Raises StorageError."""
        document = Document(
            model=model,
            data=data.digest,
            covers="picture" if data.index.region is None else "region",
            masks=masks,
            scores={name: min(1.0, max(0.0, score)) for name, score in sorted(scores.items())},
        )
        path = self._folder / PREDICTIONS_FILE
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{self._folder}: cannot make the folder: {error.strerror}") from error
        write_atomically(path, msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n", mode=0o644)
