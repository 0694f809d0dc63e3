"""The agent without the bus: registry, captures and servers, started and stopped together."""

from contextlib import ExitStack
from dataclasses import dataclass

from linewatch_agent.captures import Captures
from linewatch_agent.counters import Counters
from linewatch_agent.heartbeat import Activity
from linewatch_agent.metrics import MetricsServer
from linewatch_agent.registry import ModelRegistry
from linewatch_agent.server import AgentServer


@dataclass(frozen=True, slots=True)
class AgentCore:
    """What both ways of starting share."""

    registry: ModelRegistry
    captures: Captures
    counters: Counters
    servers: tuple[AgentServer | MetricsServer, ...]
    activity: Activity

    def start(self) -> None:
        """Serve. Raises ConfigError when a socket or port cannot be had; nothing is served then."""
        with ExitStack() as started:
            for server in self.servers:
                server.start()
                started.callback(server.stop)
            self.captures.start()
            started.pop_all()

    def stop(self) -> None:
        """End running calls, then store what was captured."""
        for server in self.servers:
            server.stop()
        self.captures.stop()
