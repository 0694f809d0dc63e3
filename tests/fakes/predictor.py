"""An agent behind the Predictor port, in memory: a brighter picture is a worse part, and bright spots are defects.

tests/contract/test_predictor.py holds it to the same contract as the real agent.
"""

import threading
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from linewatch_common.errors import AgentUnavailableError, InputError
from linewatch_common.manifest import Manifest
from numpy.typing import NDArray


class FakePredictor:
    """The classifier's score is the input's mean brightness, 0..1; the segmenter's mask is its brightest pixels, in the mask's size.

    An inspector gives both.
    """

    def __init__(self, *manifests: Manifest) -> None:
        self._manifests = {manifest.identifier: manifest for manifest in manifests}
        self.away = False
        self.refuses = ""
        self.seconds = 0.0
        self.overrun_seconds = 0.0  # an answer that came in time but is taken late, as on an overloaded machine
        self.asked: list[str] = []
        self.closed = False
        self._hold = threading.Event()
        self._hold.set()

    def load(self, manifest: Manifest) -> None:
        """Serve another model, as the agent does before it announces it."""
        self._manifests[manifest.identifier] = manifest

    def unload(self, identifier: str) -> None:
        del self._manifests[identifier]

    def hold(self) -> None:
        """Keep predictions waiting until `release`."""
        self._hold.clear()

    def release(self) -> None:
        self._hold.set()

    def predict(
        self, endpoint: str, identifier: str, inputs: Mapping[str, NDArray[Any]], seconds: float
    ) -> Mapping[str, NDArray[Any]]:
        self.asked.append(identifier)
        if self.away or not self._hold.wait(seconds):
            raise AgentUnavailableError(f"agent at {endpoint}: away")
        if self.seconds > seconds:
            time.sleep(seconds)
            raise AgentUnavailableError(f"agent at {endpoint}: no answer within {seconds:g} s")
        time.sleep(self.seconds + self.overrun_seconds)
        if self.refuses:
            raise InputError(self.refuses)
        manifest = self._manifests.get(identifier)
        if manifest is None:
            raise AgentUnavailableError(f"{identifier}: no such model")
        return self._run(manifest, inputs)

    def close(self) -> None:
        self.closed = True

    def _run(self, manifest: Manifest, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        wanted = manifest.inputs[0]
        tensor = inputs.get(wanted.name)
        if tensor is None or tensor.shape != wanted.shape or tensor.dtype != wanted.dtype:
            raise InputError(f"{manifest.identifier}: expected {wanted.dtype} {wanted.shape} named {wanted.name}")
        grey = tensor[0].max(axis=2)
        outputs: dict[str, NDArray[Any]] = {}
        if manifest.role != "segmenter":
            outputs[manifest.output("scores").name] = np.array([[grey.mean() / 255]], np.float32)
        if manifest.role != "classifier":
            mask = manifest.output("mask")
            outputs[mask.name] = _pooled(grey, mask.shape[2], mask.shape[3])[np.newaxis, np.newaxis]
        return outputs


def _pooled(grey: NDArray[Any], rows: int, columns: int) -> NDArray[Any]:
    height, width = grey.shape
    pooled: NDArray[Any] = grey.reshape(rows, height // rows, columns, width // columns).max(axis=(1, 3))
    return pooled
