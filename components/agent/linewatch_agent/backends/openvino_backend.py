"""OpenVINO: ONNX, OpenVINO IR and TensorFlow's SavedModel. The only importer of openvino."""

import ctypes
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import openvino

from linewatch_agent.backends.specs import first_line, spec_for_wire
from linewatch_agent.errors import BadRequestError, NothingThereError, NotLoadableError
from linewatch_agent.tensors import DYNAMIC, Array, Tensors, TensorSpec
from linewatch_agent.turns import FairLock

SAVED_MODEL = "saved_model.pb"


class OpenVinoBackend:
    """Compiles for the CPU. `threads` per prediction; 0 leaves it to OpenVINO (the physical cores)."""

    name = "openvino"

    def __init__(self, threads: int = 0) -> None:
        self._threads = threads
        self._core: Any = None
        self._lock = threading.Lock()

    def load(self, path: Path) -> "OpenVinoNet":
        """See Backend."""
        if not path.is_file():
            raise NothingThereError(f"{path}: no such model file")
        try:
            core = self._started_core()
            # Of a SavedModel the whole folder is the model.
            model = core.read_model(os.fspath(path.parent if path.name == SAVED_MODEL else path))
            return OpenVinoNet(model, core.compile_model(model, "CPU", self._options()))
        except RuntimeError as error:
            if "bad_alloc" in str(error):
                raise MemoryError from error
            raise NotLoadableError(f"{path.name}: OpenVINO cannot load it: {first_line(error)}") from error
        except UnicodeDecodeError as error:  # it says what is wrong, and quotes bytes of the model
            said = RuntimeError(error.object.decode("utf-8", "replace"))
            raise NotLoadableError(f"{path.name}: OpenVINO cannot load it: {first_line(said)}") from error

    def _started_core(self) -> Any:
        """The core, started at the first load: a constructor does no I/O."""
        with self._lock:
            if self._core is None:
                self._core = openvino.Core()
                # A mapped weights file that is cut short under us would be a SIGBUS.
                self._core.set_property({"ENABLE_MMAP": False})
            return self._core

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            # With pinning, two models of one thread each share a core and do not overlap.
            "ENABLE_CPU_PINNING": False,
            # The same numbers on every processor; bf16 where the hardware has it would change them.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        if self._threads:
            options["INFERENCE_NUM_THREADS"] = self._threads
        return options


class OpenVinoNet:
    """A compiled model with one request: predictions on one model run one after the other, on all its threads each.

    Names are `model`'s, as it was read: compiling fuses nodes, and an output then has the names of inner tensors too.
    """

    outside_bytes = 0
    ended = ""

    def __init__(self, model: Any, compiled: Any) -> None:
        self.inputs = _specs(model.inputs, compiled.inputs, "input")
        self.outputs = _specs(model.outputs, compiled.outputs, "output")
        self._request = compiled.create_infer_request()
        self._kept: dict[int, Array] = {}
        self._lock = FairLock()

    def predict(self, inputs: Tensors) -> Tensors:
        """See Net."""
        with self._lock:
            by_place = {place: self._lent(place, inputs[spec.name]) for place, spec in enumerate(self.inputs)}
            try:
                results = self._request.infer(by_place, share_inputs=True, share_outputs=True)
            except RuntimeError as error:
                raise BadRequestError(f"OpenVINO refuses the inputs: {first_line(error)}") from error
            # The next prediction overwrites the request's buffers.
            return {spec.name: np.array(results[place], order="C") for place, spec in enumerate(self.outputs)}

    def _lent(self, place: int, array: Array) -> Array:
        """The array in a form that OpenVINO uses where it lies. What lies at an odd address is not for its kernels."""
        if array.flags.aligned:
            return array if array.flags.writeable else _marked_writeable(array)
        kept = self._kept.get(place)
        if kept is None or kept.shape != array.shape:
            kept = self._kept[place] = np.empty(array.shape, array.dtype)
        np.copyto(kept, array)
        return kept


def _marked_writeable(array: Array) -> Array:
    """The same memory: what is marked read-only, such as bytes, OpenVINO would copy into new memory each time.

    It only reads its inputs. Whoever holds `array` keeps the memory alive.
    """
    memory = memoryview((ctypes.c_ubyte * array.nbytes).from_address(array.ctypes.data))
    return np.frombuffer(memory, array.dtype).reshape(array.shape)


def _specs(named: Any, compiled: Any, kind: str) -> tuple[TensorSpec, ...]:
    pairs = enumerate(zip(named, compiled, strict=True))
    return tuple(_spec(port, _name(read) or f"{kind}_{place}") for place, (read, port) in pairs)


def _spec(port: Any, name: str) -> TensorSpec:
    shape = tuple(DYNAMIC if side.is_dynamic else side.get_length() for side in _sides(port.get_partial_shape(), name))
    element = port.get_element_type()
    dtype = None if element.is_dynamic() else element.to_dtype()
    return spec_for_wire(name, element.get_type_name() if dtype is None else dtype, shape)


def _name(port: Any) -> str:
    """Its first name; none when the model's names are not text, which older exporters wrote."""
    try:
        return min(port.get_names(), default="")
    except UnicodeDecodeError:
        return ""


def _sides(shape: Any, name: str) -> Any:
    if shape.rank.is_dynamic:
        raise NotLoadableError(f"tensor {name!r} has no fixed number of dimensions, which the wire cannot describe")
    return shape
