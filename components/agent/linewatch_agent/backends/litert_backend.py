"""TensorFlow Lite by its runtime LiteRT. An extra, not part of the artefact; the only importer of ai_edge_litert."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from linewatch_agent.backends.specs import first_line, spec_for_wire
from linewatch_agent.errors import BadRequestError, NothingThereError, NotLoadableError
from linewatch_agent.tensors import DYNAMIC, Tensors, TensorSpec
from linewatch_agent.turns import FairLock


class LiteRtBackend:
    """Runs on the CPU. `threads` per prediction; 0 takes all cores."""

    name = "litert"

    def __init__(self, threads: int = 0) -> None:
        self._threads = threads

    def load(self, path: Path) -> "LiteRtNet":
        """See Backend."""
        make = _interpreter()
        try:
            # Read, not mapped: a file that is cut short under us would be a SIGBUS.
            content = path.read_bytes()
        except FileNotFoundError as error:
            raise NothingThereError(f"{path}: no such model file") from error
        try:
            interpreter = make(model_content=content, num_threads=self._threads or os.cpu_count())
            interpreter.allocate_tensors()
            return LiteRtNet(interpreter)
        except (RuntimeError, ValueError) as error:  # ValueError also for names that are no text
            raise NotLoadableError(f"{path.name}: LiteRT cannot load it: {first_line(error)}") from error


class LiteRtNet:
    """One interpreter, which is not safe for concurrent use: predictions on one model run one after the other."""

    outside_bytes = 0
    ended = ""

    def __init__(self, interpreter: Any) -> None:
        given, answered = interpreter.get_input_details(), interpreter.get_output_details()
        self.inputs = tuple(_spec(detail) for detail in given)
        self.outputs = tuple(_spec(detail) for detail in answered)
        self._taken = [detail["index"] for detail in given]
        self._given = [detail["index"] for detail in answered]
        self._shapes = [tuple(detail["shape"]) for detail in given]
        self._interpreter = interpreter
        self._lock = FairLock()

    def predict(self, inputs: Tensors) -> Tensors:
        """See Net."""
        arrays = [inputs[spec.name] for spec in self.inputs]
        with self._lock:
            try:
                self._resize([array.shape for array in arrays])
                for index, array in zip(self._taken, arrays, strict=True):
                    self._interpreter.set_tensor(index, array)
                self._interpreter.invoke()
            except (RuntimeError, ValueError) as error:
                raise BadRequestError(f"LiteRT refuses the inputs: {first_line(error)}") from error
            # Copies: the next prediction overwrites the interpreter's buffers.
            results = [self._interpreter.get_tensor(index) for index in self._given]
        return {spec.name: np.ascontiguousarray(result) for spec, result in zip(self.outputs, results, strict=True)}

    def _resize(self, shapes: list[tuple[int, ...]]) -> None:
        if shapes == self._shapes:
            return
        self._shapes = []  # a size that it refuses leaves it half resized
        for index, shape in zip(self._taken, shapes, strict=True):
            self._interpreter.resize_tensor_input(index, shape, strict=True)
        self._interpreter.allocate_tensors()
        self._shapes = shapes


def _interpreter() -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415 - an extra, and slow to import
    except ImportError as error:
        raise NotLoadableError(
            "LiteRT is not installed: it is the extra 'litert' (ai-edge-litert), not part of the artefact; install it as "
            "docs/agent.md says"
        ) from error
    return Interpreter


def _spec(detail: dict[str, Any]) -> TensorSpec:
    shape = tuple(int(side) if side >= 0 else DYNAMIC for side in detail["shape_signature"])
    return spec_for_wire(detail["name"], np.dtype(detail["dtype"]), shape)
