"""TensorFlow Lite in INT8 from a run in TensorFlow, by its own converter. Needs the environment `.venv-tensorflow`."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from linewatch_common.files import write_atomically

from model_build.compiling.artefact import Format
from model_build.compiling.pictures import Calibration
from model_build.data.pixels import read_bounded
from model_build.nets.keras.file import load_keras_bytes
from model_build.nets.keras.tflite import tflite_int8
from model_build.nets.keras.unet import unet

_FILE = "model.tflite"
_MAX_BYTES = 1024 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class TfLite:
    """`weights`: the run's weights.keras, of a U-Net with so many classes."""

    weights: Path
    classes: int
    name: str = "tflite-int8"
    format: Format = "tflite"

    def make(self, model: Path, calibration: Calibration, folder: Path) -> str:  # noqa: ARG002 - the converter wants the Keras net
        """See Recipe."""
        size = calibration.preparation
        net = unet(size.height, size.width, self.classes)
        load_keras_bytes(net, read_bounded(self.weights, _MAX_BYTES))
        pictures = np.concatenate(list(calibration.tensors()))
        write_atomically(folder / _FILE, tflite_int8(net, pictures), 0o644)
        return _FILE
