"""An agent behind the Captures port, in memory; tests/contract/test_captures.py holds it to the same contract as the real agent."""

from linewatch_agent_api.client import Capture
from linewatch_common.errors import AgentUnavailableError, InputError


class FakeCaptures:
    """Takes captures of the models that it knows."""

    def __init__(self, *models: str) -> None:
        self._models = set(models)
        self.taken: dict[str, Capture] = {}
        self.away = False
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
            raise InputError(f"{capture.model}: no such model")
        self.taken.setdefault(capture.capture_id, capture)

    def close(self) -> None:
        self.closed = True
