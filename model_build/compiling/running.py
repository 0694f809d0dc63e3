"""Runs a compiled model here as the agent runs it on a device: the same runtime, the same options (a contract test compares them)."""

import os
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from linewatch_common.errors import InputError, LinewatchError
from numpy.typing import NDArray

from model_build.nets.interface import INPUT

# What the agent compiles with (linewatch_agent.backends.openvino_backend says why); the number of threads is the measurer's choice.
OPENVINO_OPTIONS = {
    "PERFORMANCE_HINT": "LATENCY",
    "NUM_STREAMS": 1,
    "ENABLE_CPU_PINNING": False,
    "INFERENCE_PRECISION_HINT": "f32",
}
Outputs = dict[str, NDArray[Any]]


class NotHereError(InputError):
    """The model is made for another machine than this one, or its runtime is not installed here."""


class Model(Protocol):
    """A loaded model with the one input `image`."""

    def run(self, tensor: NDArray[np.uint8]) -> Outputs:
        """uint8 (1, H, W, 3) to its outputs by name; the arrays belong to the caller."""


def open_model(path: Path, threads: int = 2) -> Model:
    """Load ONNX, OpenVINO IR, TensorFlow Lite or what Neo compiled (its .so, the other files beside it).

    Raises InputError with one line when the runtime refuses it, NotHereError when it cannot run on this machine.
    """
    kinds: dict[str, type[LiteRtModel | NeoModel]] = {".tflite": LiteRtModel, ".so": NeoModel}
    return kinds.get(path.suffix, OpenVinoModel)(path, threads)


class OpenVinoModel:
    """On the CPU."""

    def __init__(self, path: Path, threads: int) -> None:
        import openvino  # noqa: PLC0415 - takes a second, and only this class needs it

        try:
            core: Any = openvino.Core()
            model = core.read_model(os.fspath(path))
            compiled = core.compile_model(model, "CPU", OPENVINO_OPTIONS | {"INFERENCE_NUM_THREADS": threads})
        except RuntimeError as error:
            raise InputError(f"{path}: OpenVINO cannot load it: {_line(error)}") from error
        # As they were read: the compiled model's outputs have the names of inner tensors too.
        self._names = [_name(port, path) for port in model.outputs]
        if [_name(port, path) for port in model.inputs] != [INPUT]:
            raise InputError(f"{path}: needs exactly the input {INPUT!r}")
        self._request: Any = compiled.create_infer_request()

    def run(self, tensor: NDArray[np.uint8]) -> Outputs:
        """See Model."""
        try:
            results = self._request.infer({0: tensor}, share_inputs=True, share_outputs=True)
        except RuntimeError as error:
            raise InputError(f"OpenVINO refuses a picture of {tensor.shape}: {_line(error)}") from error
        return {name: np.array(results[place]) for place, name in enumerate(self._names)}


class LiteRtModel:
    """TensorFlow Lite's runtime."""

    def __init__(self, path: Path, threads: int) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise NotHereError(f"{path}: LiteRT (ai-edge-litert) lives in .venv-tensorflow and .venv") from error
        try:
            self._interpreter: Any = Interpreter(model_content=path.read_bytes(), num_threads=threads)
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError, OSError) as error:
            raise InputError(f"{path}: LiteRT cannot load it: {_line(error)}") from error
        self._outputs = {str(detail["name"]): detail["index"] for detail in self._interpreter.get_output_details()}

    def run(self, tensor: NDArray[np.uint8]) -> Outputs:
        """See Model."""
        try:
            self._interpreter.set_tensor(self._interpreter.get_input_details()[0]["index"], tensor)
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise InputError(f"LiteRT refuses a picture of {tensor.shape}: {_line(error)}") from error
        return {name: self._interpreter.get_tensor(index) for name, index in self._outputs.items()}


class NeoModel:
    """DLR, by the agent's own backend: in a process of its own, which a broken library may crash."""

    def __init__(self, path: Path, threads: int) -> None:
        try:
            from linewatch_agent.backends.dlr.backend import DlrBackend, installed_runtime  # noqa: PLC0415 - an extra
            from linewatch_agent.neo import RUNTIME  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise NotHereError(
                f"{path}: DLR is run by the agent's code, which is not installed here: {error}"
            ) from error
        _refuse_foreign(path)
        if not (path.parent / RUNTIME).exists() and installed_runtime() is None:
            raise NotHereError(f"{path}: DLR is not installed in this environment, and no {RUNTIME} lies beside it")
        try:
            self._net = DlrBackend(threads).load(path.absolute())  # its process works in another folder
        except LinewatchError as error:
            raise InputError(f"{path}: {error}") from error
        if [spec.name for spec in self._net.inputs] != [INPUT]:
            raise InputError(f"{path}: needs exactly the input {INPUT!r}")

    def run(self, tensor: NDArray[np.uint8]) -> Outputs:
        """See Model."""
        (spec,) = self._net.inputs
        if tensor.shape != spec.shape or tensor.dtype != spec.dtype:
            raise InputError(f"DLR refuses a picture of {tensor.dtype} {tensor.shape}: the model wants {spec}")
        try:
            return dict(self._net.predict({INPUT: tensor}))
        except LinewatchError as error:
            raise InputError(f"DLR: {error}") from error


def _refuse_foreign(path: Path) -> None:
    """Raises NotHereError when the library is made for another processor, InputError when it is none."""
    from linewatch_agent.architecture import machine_of, refuse_foreign  # noqa: PLC0415 - as above
    from linewatch_agent.errors import NotLoadableError  # noqa: PLC0415 - as above

    try:
        refuse_foreign(path)
    except NotLoadableError as error:
        raise (InputError if machine_of(path) is None else NotHereError)(str(error)) from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error


def _name(port: Any, path: Path) -> str:
    names = sorted(port.get_names())
    if not names:
        raise InputError(f"{path}: has an input or output without a name")
    return str(names[0])


def _line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("Exception from", "Check '"))] or lines
    return (telling[0] if telling else type(error).__name__)[:300]
