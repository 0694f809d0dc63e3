"""The smallest component: what tests of `run_service` deploy."""

import sys
from typing import Annotated

import msgspec
from linewatch_common.config import Config
from linewatch_common.heartbeats import Status
from linewatch_common.messages.status import ComponentState
from linewatch_common.service import Context, Service, run_service


class EchoConfig(Config, frozen=True, kw_only=True):
    """One number with bounds."""

    parts: Annotated[int, msgspec.Meta(ge=0, le=100)] = 3


class Echo:
    """Says its configuration in its heartbeat."""

    def __init__(self, config: EchoConfig) -> None:
        self._config = config

    def start(self) -> None:
        """Nothing to start."""

    def stop(self) -> None:
        """Nothing to stop."""

    def status(self) -> Status:
        return Status(state=ComponentState.READY, counters={"parts": self._config.parts})


def build(config: EchoConfig, _context: Context) -> Echo:
    return Echo(config)


if __name__ == "__main__":
    sys.exit(run_service(Service(name="com.example.Echo", config_type=EchoConfig, build=build)))
