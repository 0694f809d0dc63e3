"""What can be compiled to: a target tries its recipes in stages, the later ones giving up speed for likeness."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from linewatch_common.errors import InputError

from model_build.compiling.artefact import Format
from model_build.compiling.pictures import Calibration

MODEL_FILE = "model.onnx"


class Recipe(Protocol):
    """One way from the float model to another form of it."""

    @property
    def name(self) -> str:
        """Its name in artefact.json."""

    @property
    def format(self) -> Format:
        """The form it makes."""

    def make(self, model: Path, calibration: Calibration, folder: Path) -> str:
        """Write the artefact's files into the empty `folder` from the ONNX at `model`; the name of the one that is loaded.

        `model` lies in a folder of its own, where a recipe may leave what another one can use. Raises InputError with one line.
        """


@dataclass(frozen=True, slots=True)
class Target:
    """`stages`: the fastest recipe of the first stage that has one within tolerance wins.

    `runs_here`: False where it is known that this machine cannot run it; then, and where that shows only when it is made, nothing is
    compared and artefact.json says `unjudged`. `note`: what it says else.
    """

    name: str
    stages: tuple[tuple[Recipe, ...], ...]
    calibrates: bool = True
    runs_here: bool = True
    note: str = ""
    unjudged: str = ""


@dataclass(frozen=True, slots=True)
class AsItIs:
    """The float model itself."""

    name: str = "float"
    format: Format = "onnx"

    def make(self, model: Path, calibration: Calibration, folder: Path) -> str:  # noqa: ARG002 - nothing to calibrate
        """See Recipe."""
        shutil.copyfile(model, folder / MODEL_FILE)
        return MODEL_FILE


def onnx() -> Target:
    """The float model as it is."""
    return Target("onnx", ((AsItIs(),),), calibrates=False)


def onnx_int8() -> Target:
    """ONNX with the quantisation stated in the graph (QDQ), for OpenVINO and ONNX Runtime. Raises InputError without onnx."""
    return Target("onnx-int8", _qdq_stages())


def openvino_int8() -> Target:
    """For OpenVINO alone: QDQ or nncf's quantisation, whichever is faster. Raises InputError without onnx or nncf."""
    first, *others = _qdq_stages()
    try:
        from model_build.compiling.quantising.nncf_recipe import Nncf  # noqa: PLC0415 - see quantising
    except ModuleNotFoundError as error:
        raise _environment("openvino-int8", error) from error
    return Target("openvino-int8", ((*first, Nncf("nncf-performance", "performance")), *others))


def tflite_int8(framework: str, net: str, weights: Path, classes: int) -> Target:
    """From a run in TensorFlow. Raises InputError for another one, or without TensorFlow."""
    if framework != "tensorflow":
        # The converters from PyTorch (litert-torch) bring jax and a second torch with CUDA: several gigabytes for one file.
        raise InputError(
            f"tflite-int8: {net!r} is a {framework} net, and only TensorFlow nets are converted: use onnx-int8"
        )
    try:
        from model_build.compiling.quantising.tflite import TfLite  # noqa: PLC0415 - see quantising
    except ModuleNotFoundError as error:
        raise InputError(f"target 'tflite-int8' needs {error.name}, which lives in .venv-tensorflow") from error
    return Target("tflite-int8", ((TfLite(weights, classes),),))


def _qdq_stages() -> tuple[tuple[Recipe, ...], ...]:
    try:
        from model_build.compiling.quantising.qdq import STAGES  # noqa: PLC0415 - see quantising
    except ModuleNotFoundError as error:
        raise _environment("onnx-int8", error) from error
    return STAGES


def _environment(target: str, error: ModuleNotFoundError) -> InputError:
    return InputError(f"target {target!r} needs {error.name}, which lives in .venv-train")
