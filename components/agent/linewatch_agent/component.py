"""The agent as a Greengrass component."""

import uuid
from pathlib import Path

from linewatch_common.errors import LinewatchError
from linewatch_common.files import make_private_folder
from linewatch_common.heartbeats import Status
from linewatch_common.messages.status import AgentStatus, ComponentState

from linewatch_agent.captures.lines import Origin
from linewatch_agent.core import AgentCore
from linewatch_agent.desk import ModelDesk
from linewatch_agent.heartbeat import edge_heartbeat
from linewatch_agent.roles import Roles

NAME = "com.linewatch.EdgeAgent"


class AgentComponent:
    """Drives core and desk; see linewatch_common.service.Component."""

    def __init__(self, core: AgentCore, desk: ModelDesk, roles: Roles, endpoint: Path, origin: Origin) -> None:
        self._core = core
        self._desk = desk
        self._roles = roles
        self._endpoint = endpoint
        self._origin = origin
        self._boot_id = uuid.uuid4().hex

    def start(self) -> None:
        """Raises ConfigError when a socket cannot be had, and as LocalBus.subscribe."""
        make_private_folder(self._endpoint.parent)
        self._core.start()
        try:
            self._desk.start()
        except LinewatchError:
            self._core.stop()
            raise

    def stop(self) -> None:
        """See Component."""
        self._desk.stop()
        self._core.stop()

    def status(self) -> Status:
        """See Component."""
        core, problems = self._core, self._roles.problems()
        state = ComponentState.DEGRADED if problems else ComponentState.READY
        return Status(
            state=state if self._desk.restored.is_set() else ComponentState.STARTING,
            reason=problems,
            counters=core.counters.snapshot(),
            agent=AgentStatus(
                endpoint=str(self._endpoint),
                boot_id=self._boot_id,
                roles=self._roles.statuses(),
                orphaned=self._roles.orphaned(),
                waiting=self._roles.waiting(),
                edge=edge_heartbeat(self._origin, core.counters, core.registry.all(), core.activity),
            ),
        )
