"""Asking the edge agent: a narrow port, and its adapter over the agent's gRPC client."""

from collections.abc import Mapping
from typing import Any, Protocol

from linewatch_agent_api.client import AgentClient
from linewatch_agent_api.errors import AgentFullError, NotFoundError
from linewatch_common.errors import AgentUnavailableError
from numpy.typing import NDArray

Tensors = Mapping[str, NDArray[Any]]


class Predictor(Protocol):
    """Runs models somewhere else. Called by one thread."""

    def predict(self, endpoint: str, identifier: str, inputs: Tensors, seconds: float) -> Tensors:
        """The outputs by name of the model `identifier` at `endpoint` for `inputs`, within `seconds`.

        Raises AgentUnavailableError when asking again may help (agent away, model not loaded, memory full), InputError when the agent
        refuses this input.
        """

    def close(self) -> None:
        """Let go of the connection."""


class AgentPredictor:
    """The edge agent on its unix socket; follows it to another endpoint."""

    def __init__(self) -> None:
        self._endpoint = ""
        self._client: AgentClient | None = None

    def predict(self, endpoint: str, identifier: str, inputs: Tensors, seconds: float) -> Tensors:
        """See Predictor."""
        client = self._client_at(endpoint)
        try:
            return client.predict(identifier, inputs, deadline=seconds)
        except (NotFoundError, AgentFullError) as error:
            raise AgentUnavailableError(f"{identifier}: {error}") from error

    def close(self) -> None:
        """See Predictor."""
        if self._client is not None:
            self._client.close()
        self._client = None

    def _client_at(self, endpoint: str) -> AgentClient:
        if self._client is None or endpoint != self._endpoint:
            self.close()
            self._client = AgentClient(endpoint)
            self._endpoint = endpoint
        return self._client
