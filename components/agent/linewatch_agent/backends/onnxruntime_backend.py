"""ONNX Runtime: ONNX. An extra, not part of the artefact; the only importer of onnxruntime."""

import os
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from linewatch_agent.backends.specs import first_line, spec_for_wire
from linewatch_agent.errors import BadRequestError, NothingThereError, NotLoadableError
from linewatch_agent.tensors import DYNAMIC, Tensors, TensorSpec

# ONNX Runtime's names for what the wire carries.
_DTYPES = {
    "tensor(uint8)": "uint8",
    "tensor(int16)": "int16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(float16)": "float16",
    "tensor(float)": "float32",
    "tensor(double)": "float64",
}


class OnnxRuntimeBackend:
    """Runs on the CPU. `threads` per prediction; 0 leaves it to ONNX Runtime (the physical cores)."""

    name = "onnxruntime"

    def __init__(self, threads: int = 0) -> None:
        self._threads = threads

    def load(self, path: Path) -> "OnnxRuntimeNet":
        """See Backend."""
        runtime = _runtime()
        if not path.is_file():
            raise NothingThereError(f"{path}: no such model file")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = self._threads
        # Spinning threads of two models fight for the cores: predictions stall for 100 ms and more under load.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = runtime.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])
            return OnnxRuntimeNet(session)
        except NotLoadableError:
            raise
        except Exception as error:  # its errors have no common base
            raise NotLoadableError(f"{path.name}: ONNX Runtime cannot load it: {first_line(error)}") from error


class OnnxRuntimeNet:
    """A session; it admits concurrent runs."""

    outside_bytes = 0
    ended = ""

    def __init__(self, session: Any) -> None:
        self.inputs = tuple(_spec(node) for node in session.get_inputs())
        self.outputs = tuple(_spec(node) for node in session.get_outputs())
        # Looked up under the session's own names; a spec's name may differ where these are not UTF-8.
        self._names = [node.name for node in session.get_inputs()]
        self._session = session

    def predict(self, inputs: Tensors) -> Tensors:
        """See Net."""
        fed = {name: inputs[spec.name] for name, spec in zip(self._names, self.inputs, strict=True)}
        try:
            results = self._session.run(None, fed)
        except Exception as error:  # its errors have no common base
            raise BadRequestError(f"ONNX Runtime refuses the inputs: {first_line(error)}") from error
        return {spec.name: np.ascontiguousarray(result) for spec, result in zip(self.outputs, results, strict=True)}


def _runtime() -> ModuleType:
    try:
        import onnxruntime  # noqa: PLC0415 - an extra, and slow to import
    except ImportError as error:
        raise NotLoadableError(
            "ONNX Runtime is not installed: it is the extra 'onnxruntime', not part of the artefact; "
            "install it as docs/agent.md says, or set OnnxBackend to openvino"
        ) from error
    return onnxruntime  # type: ignore[no-any-return]  # it ships no types


def _spec(node: Any) -> TensorSpec:
    shape = tuple(side if isinstance(side, int) and side >= 0 else DYNAMIC for side in node.shape)
    return spec_for_wire(node.name, _DTYPES.get(node.type, node.type), shape)
