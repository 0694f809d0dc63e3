"""What every runtime of the agent must do, on the same tiny models."""

import math
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from linewatch_agent.backends.dlr.backend import DlrBackend, installed_runtime
from linewatch_agent.backends.litert_backend import LiteRtBackend
from linewatch_agent.backends.onnxruntime_backend import OnnxRuntimeBackend
from linewatch_agent.backends.openvino_backend import OpenVinoBackend
from linewatch_agent.backends.port import Backend, Net
from linewatch_agent.errors import NothingThereError, NotLoadableError
from linewatch_agent.tensors import Array, TensorSpec
from linewatch_common.manifest import load_manifest
from linewatch_vision.golden import read_golden

from tests.unit.agent.support import MODELS

BACKENDS: list[Callable[[], Backend]] = [
    lambda: OpenVinoBackend(1),
    lambda: OnnxRuntimeBackend(1),
    lambda: LiteRtBackend(1),
    lambda: DlrBackend(1),
]
ROOT = Path(__file__).parents[2]
# The largest difference between two runtimes, as a share of an output's full scale.
AGREEMENT = 0.001
EXTRAS = {"onnxruntime": "onnxruntime", "litert": "ai_edge_litert"}


@pytest.fixture(params=BACKENDS, ids=["openvino", "onnxruntime", "litert", "dlr"])
def backend(request: pytest.FixtureRequest) -> Backend:
    made: Backend = request.param()
    if made.name in EXTRAS:
        pytest.importorskip(EXTRAS[made.name], reason=f"the extra {made.name} is not installed")
    if made.name == "dlr" and installed_runtime() is None:
        pytest.skip("the extra dlr is not installed; there is none for this processor")
    return made


def _loaded(backend: Backend, name: str) -> Net:
    return backend.load(_model(backend, name))


def _model(backend: Backend, name: str) -> Path:
    return MODELS / "neo" / name / "compiled.so" if backend.name == "dlr" else MODELS / f"{name}{_suffix(backend)}"


def _suffix(backend: Backend) -> str:
    return {"litert": ".tflite", "dlr": ".so"}.get(backend.name, ".onnx")


def _copied(backend: Backend, folder: Path) -> Path:
    """The model "score", with what belongs to it, in a folder of its own."""
    model = _model(backend, "score")
    if backend.name == "dlr":
        return Path(shutil.copytree(model.parent, folder, dirs_exist_ok=True)) / model.name
    return Path(shutil.copy(model, folder / f"model{model.suffix}"))


def test_describes_names_types_and_shapes(backend: Backend) -> None:
    net = _loaded(backend, "score")
    assert net.inputs == (TensorSpec("picture", np.dtype("uint8"), (1, 4, 4, 3)),)
    assert net.outputs == (TensorSpec("score", np.dtype("float32"), (1, 1)),)
    assert net.ended == ""


def test_an_output_keeps_its_name_when_the_runtime_fuses_nodes(backend: Backend) -> None:
    if backend.name == "litert":
        pytest.skip("TensorFlow Lite's files are fused by their converter")
    net = _loaded(backend, "fused")
    assert net.outputs == (TensorSpec("mask", np.dtype("float32"), (1, 1, 4, 4)),)
    assert net.predict({"cells": np.zeros((1, 4, 2, 2), np.float32)})["mask"].max() == pytest.approx(0.5)


def test_inputs_may_be_read_only_and_lie_at_any_address(backend: Backend) -> None:
    net = _loaded(backend, "fused") if backend.name != "litert" else _loaded(backend, "score")
    spec = net.inputs[0]
    values = (np.arange(math.prod(spec.shape)) % 7).astype(spec.dtype).reshape(spec.shape)
    room = bytearray(values.nbytes + 1)
    room[1:] = values.tobytes()
    ways = {"read-only": np.frombuffer(values.tobytes(), spec.dtype), "odd": np.frombuffer(room, spec.dtype, offset=1)}
    wanted = net.predict({spec.name: values})
    for way, array in ways.items():
        for name, output in net.predict({spec.name: array.reshape(spec.shape)}).items():
            assert np.array_equal(output, wanted[name]), way


def test_dynamic_sides_are_minus_one(backend: Backend) -> None:
    if backend.name == "dlr":
        pytest.skip("Neo compiles graphs for fixed shapes")
    net = _loaded(backend, "pair")
    assert [spec.shape for spec in (*net.inputs, *net.outputs)] == [(-1, 3), (3,), (-1, 3), (-1, 3)]


def test_predicts_in_output_order(backend: Backend) -> None:
    if backend.name == "dlr":
        pytest.skip("Neo compiles graphs for fixed shapes; test_dlr.py has two outputs")
    a, b = np.arange(6, dtype=np.float32).reshape(2, 3), np.ones(3, np.float32)
    outputs = _loaded(backend, "pair").predict({"a": a, "b": b})
    assert list(outputs) == ["total", "difference"]
    assert np.array_equal(outputs["total"], a + b)
    assert np.array_equal(outputs["difference"], a - b)
    assert all(array.flags.c_contiguous for array in outputs.values())


def test_read_only_inputs_are_taken(backend: Backend) -> None:
    picture: Array = np.frombuffer(bytes(48), np.uint8).reshape(1, 4, 4, 3)
    assert _loaded(backend, "score").predict({"picture": picture})["score"].item() == 0.0


def test_a_scalar_is_an_input_as_any_other(backend: Backend) -> None:
    if backend.name in ("litert", "dlr"):
        pytest.skip("its form of this model is not among the tests' data")
    net = _loaded(backend, "gain")
    assert net.inputs[1] == TensorSpec("gain", np.dtype("float32"), ())
    inputs: dict[str, Array] = {
        "a": np.frombuffer(np.array([1, 2], np.float32).tobytes(), np.float32),
        "gain": np.frombuffer(np.array(3, np.float32).tobytes(), np.float32).reshape(()),
    }
    for _ in range(2):
        assert net.predict(inputs)["scaled"].tolist() == [3, 6]


def test_outputs_belong_to_the_caller(backend: Backend) -> None:
    net = _loaded(backend, "mask")
    first = net.predict({"picture": np.full((1, 4, 4, 3), 7, np.uint8)})["mask"]
    net.predict({"picture": np.full((1, 4, 4, 3), 9, np.uint8)})
    assert (first == 7).all()


def test_concurrent_predictions_do_not_mix(backend: Backend) -> None:
    net = _loaded(backend, "mask")
    wrong: list[int] = []

    def predict(value: int) -> None:
        for _ in range(50):
            mask = net.predict({"picture": np.full((1, 4, 4, 3), value, np.uint8)})["mask"]
            if (mask != value).any():
                wrong.append(value)

    threads = [threading.Thread(target=predict, args=(value,)) for value in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_an_element_type_that_the_wire_cannot_carry_is_refused(backend: Backend) -> None:
    with pytest.raises(NotLoadableError, match=r"'positive' has elements of .*bool"):
        _loaded(backend, "truth")


def test_rubbish_is_refused_in_one_line(backend: Backend, tmp_path: Path) -> None:
    path = _copied(backend, tmp_path)
    path.write_bytes(path.read_bytes()[:20] + b"not a model" * 100 if backend.name == "dlr" else b"not a model" * 100)
    with pytest.raises(NotLoadableError, match=r"^\w+\.(onnx|tflite|so): .+ cannot load it: [^\n]+$"):
        backend.load(path)


def test_a_file_that_vanished_is_said(backend: Backend, tmp_path: Path) -> None:
    with pytest.raises(NothingThereError):
        backend.load(tmp_path / "model.onnx")
    with pytest.raises(NothingThereError):
        backend.load(tmp_path / "gone" / "model.onnx")


def test_the_model_file_may_go_after_loading(backend: Backend, tmp_path: Path) -> None:
    net = backend.load(_copied(backend, tmp_path))
    shutil.rmtree(tmp_path)
    assert net.predict({"picture": np.full((1, 4, 4, 3), 255, np.uint8)})["score"].item() == pytest.approx(1)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for backend, module in ((OnnxRuntimeBackend(1), "onnxruntime"), (LiteRtBackend(1), "ai_edge_litert.interpreter")):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(NotLoadableError, match=f"it is the extra '{backend.name}'"):
            _loaded(backend, "score")
    with pytest.raises(NotLoadableError, match="it is the extra 'dlr'"):
        _loaded(DlrBackend(1, runtime=lambda: None), "score")


@pytest.mark.parametrize("model", ["SurfaceClassifier", "SurfaceSegmenter"])
def test_trained_models_answer_as_by_onnx_runtime(model: str) -> None:
    pytest.importorskip("onnxruntime", reason="the extra onnxruntime is not installed")
    folder = ROOT / "components/models" / model
    manifest = load_manifest(folder)
    nets = [made.load(folder / manifest.model) for made in (OpenVinoBackend(0), OnnxRuntimeBackend(0))]
    for case in read_golden(folder, manifest):
        ours, theirs = (net.predict(case.inputs) for net in nets)
        for name, wanted in theirs.items():
            scale = 255.0 if wanted.dtype == np.uint8 else 1.0
            assert np.allclose(ours[name], wanted, rtol=0, atol=AGREEMENT * scale)
