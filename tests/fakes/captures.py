"""An agent behind the Captures port, in memory; tests/contract/test_captures.py holds it to the same contract as the real agent."""

import sys

from linewatch_agent_api.client import Capture
from linewatch_common.errors import AgentUnavailableError, InputError


class FakeCaptures:
    """Takes captures of the models that it knows."""

    def __init__(self, *models: str) -> None:
        self._models = set(models)
        self.taken: dict[str, Capture] = {}
        self.away = False
        self.largest = sys.maxsize  # bytes that a capture may have
        self.broken = False  # a defect of ours, not an answer
        self.closed = False

    def serve(self, *models: str) -> None:
        """From now on these, instead of those before."""
        self._models = set(models)

    def capture(self, endpoint: str, capture: Capture) -> None:
        if self.away:
            raise AgentUnavailableError(f"agent at {endpoint}: away")
        if self.broken:
            raise ZeroDivisionError
        if capture.model not in self._models:
            raise AgentUnavailableError(f"{capture.model}: no such model")
        if sum(len(item.data) for item in (*capture.auxiliary_inputs, *capture.auxiliary_outputs)) > self.largest:
            raise InputError(f"capture buffer full: more than {self.largest} bytes")
        self.taken.setdefault(capture.capture_id, capture)

    def close(self) -> None:
        self.closed = True
