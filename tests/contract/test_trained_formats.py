"""One really trained net in every format: each runtime answers as the framework that made it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import openvino
import pytest
from linewatch_agent.backends.litert_backend import LiteRtBackend
from linewatch_agent.backends.onnxruntime_backend import OnnxRuntimeBackend
from linewatch_agent.backends.openvino_backend import OpenVinoBackend
from linewatch_agent.backends.port import Net
from numpy.typing import NDArray

from tests.unit.agent.support import MODELS

TRAINED = MODELS / "trained"  # made by tests/data/make_keras.py, with Keras's own answers
# The largest difference of a cell's probability from Keras's. Measured: 1.4e-6.
FLOAT = 1e-5
# INT8 rounds: the mean difference and that of the worst cell of 8,192. Measured: 0.0023 and 0.119.
INT8_MEAN, INT8_WORST = 0.005, 0.2


def _saved_model(folder: Path) -> Net:
    return OpenVinoBackend(1).load(TRAINED / "saved_model" / "saved_model.pb")


def _onnx(folder: Path) -> Net:
    return OpenVinoBackend(1).load(TRAINED / "surface.onnx")


def _onnx_by_onnx_runtime(folder: Path) -> Net:
    pytest.importorskip("onnxruntime", reason="the extra onnxruntime is not installed")
    return OnnxRuntimeBackend(1).load(TRAINED / "surface.onnx")


def _openvino_ir(folder: Path) -> Net:
    path = folder / "surface.xml"
    openvino.save_model(openvino.Core().read_model(TRAINED / "surface.onnx"), path, compress_to_fp16=False)
    return OpenVinoBackend(1).load(path)


@pytest.mark.parametrize("load", [_saved_model, _onnx, _onnx_by_onnx_runtime, _openvino_ir])
def test_it_answers_as_keras(load: Callable[[Path], Net], tmp_path: Path) -> None:
    differences = _differences(load(tmp_path))
    assert differences.max() <= FLOAT


def test_in_int8_it_answers_nearly_as_keras() -> None:
    pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
    differences = _differences(LiteRtBackend(1).load(TRAINED / "surface.tflite"))
    assert differences.mean() <= INT8_MEAN
    assert differences.max() <= INT8_WORST


def _differences(net: Net) -> NDArray[np.float32]:
    assert ([spec.name for spec in net.inputs], [spec.name for spec in net.outputs]) == (["image"], ["mask"])
    with np.load(TRAINED / "surface.npz") as known:
        masks = np.stack([net.predict({"image": picture[np.newaxis]})["mask"][0] for picture in known["image"]])
        # A net that says nothing anywhere would agree with anything that says little.
        assert known["mask"].min() < 0.01
        assert known["mask"].max() > 0.9
        differences: NDArray[np.float32] = np.abs(masks.astype(np.float32) - known["mask"])
        return differences
