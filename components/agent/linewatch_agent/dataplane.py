"""What the agent does for its clients, without any transport."""

import time
from collections.abc import Sequence
from contextlib import ExitStack

from linewatch_agent.captures import CaptureRequest, Captures, CaptureState
from linewatch_agent.counters import Counters
from linewatch_agent.errors import RuntimeEndedError
from linewatch_agent.metrics import Metrics
from linewatch_agent.registry import Entry, ModelRegistry
from linewatch_agent.roots import ModelRoots
from linewatch_agent.tensors import SentTensor, Tensors, matched_inputs


class DataPlane:
    """Safe for concurrent use."""

    def __init__(
        self, registry: ModelRegistry, captures: Captures, counters: Counters, metrics: Metrics, roots: ModelRoots
    ) -> None:
        self._registry = registry
        self._captures = captures
        self._counters = counters
        self._metrics = metrics
        self._roots = roots

    def predict(self, name: str, sent: Sequence[SentTensor]) -> Tensors:
        """Run a model once: its outputs by name, in its order. Raises UnknownModelError, BadRequestError, RuntimeEndedError."""
        try:
            entry = self._registry.get(name)
            with self._metrics.prediction(), ExitStack() as attached:
                start = time.perf_counter()
                inputs = matched_inputs(sent, entry.model.net.inputs, attached)
                ready = time.perf_counter()
                outputs = _run(entry, inputs)
                done = time.perf_counter()
        except Exception:
            self._counters.add("predict_errors")
            raise
        self._metrics.predicted(name, ready - start, done - ready)
        self._counters.add("predictions")
        return outputs

    def load(self, name: str, url: str) -> Entry:
        """Load the model in the folder `url` under `name`. Raises as ModelRoots.folder_of and ModelRegistry.load."""
        return self._registry.load(name, self._roots.folder_of(url), url)

    def unload(self, name: str) -> None:
        """Drop a model that a client loaded. Raises UnknownModelError."""
        self._registry.remove(name, by_client=True)

    def models(self) -> tuple[Entry, ...]:
        """Everything that is loaded, by name."""
        return self._registry.all()

    def describe(self, name: str) -> Entry:
        """One loaded model. Raises UnknownModelError."""
        return self._registry.get(name)

    def capture(self, request: CaptureRequest) -> None:
        """Take an inference for storing. Raises UnknownModelError and as Captures.take."""
        self._captures.take(request, self._registry.get(request.model).model.stated)
        self._metrics.captured(request.model)

    def capture_status(self, capture_id: str) -> CaptureState:
        """Raises UnknownCaptureError."""
        return self._captures.state_of(capture_id)


def _run(entry: Entry, inputs: Tensors) -> Tensors:
    """Raises as Net.predict; a runtime that has ended with what becomes of the model."""
    try:
        return entry.model.net.predict(inputs)
    except RuntimeEndedError as error:
        cure = (
            f"the agent loads it again for the role {entry.role!r}"
            if entry.role
            else "unload the model and load it again"
        )
        raise RuntimeEndedError(f"{error}; {cure}") from error
