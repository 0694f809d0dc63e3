"""UpdateState, ListComponents, GetComponentDetails, RestartComponent, StopComponent, and our own Control operation."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from localcore.configuration import ConfigurationStore
from localcore.errors import InvalidArgumentsError, ServiceError
from localcore.operations.fields import mapping, text
from localcore.rpc import CONTROL_OPERATION, Handler, Reply, Stream
from localcore.server import Counters
from localcore.supervisor import Supervisor
from localcore.unit import Unit


class ComponentOperations:
    """Components and their states."""

    def __init__(
        self, supervisor: Supervisor, configuration: ConfigurationStore, counters: Counters, about: Mapping[str, Any]
    ) -> None:
        self._supervisor = supervisor
        self._configuration = configuration
        self._counters = counters
        self._about = about

    def handlers(self) -> dict[str, Handler]:
        """Operations by name."""
        return {
            "UpdateState": self.update_state,
            "ListComponents": self.list_components,
            "GetComponentDetails": self.details,
            "RestartComponent": self.restart,
            "StopComponent": self.stop,
            CONTROL_OPERATION: self.control,
        }

    def update_state(self, stream: Stream, request: Mapping[str, Any]) -> Reply:
        """A component tells its own state: RUNNING is taken note of, ERRORED ends its process as an error."""
        state = text(request, "state")
        unit = self._supervisor.find(stream.identity.component)
        if state == "ERRORED":
            unit.fail("the component reported ERRORED")
        elif state != "RUNNING":
            raise InvalidArgumentsError(f"state {state!r} is neither RUNNING nor ERRORED")
        return Reply()

    def list_components(self, _stream: Stream, _request: Mapping[str, Any]) -> Reply:
        """All placed components."""
        return Reply({"components": [self._describe(unit) for unit in self._supervisor.in_order()]})

    def details(self, _stream: Stream, request: Mapping[str, Any]) -> Reply:
        """One component."""
        return Reply({"componentDetails": self._describe(self._supervisor.find(text(request, "componentName")))})

    def restart(self, _stream: Stream, request: Mapping[str, Any]) -> Reply:
        """Restart in the background; FAILED with the reason when the runtime refuses."""
        try:
            self._supervisor.request_restart(text(request, "componentName"))
        except ServiceError as error:
            return Reply({"restartStatus": "FAILED", "message": str(error)})
        return Reply({"restartStatus": "SUCCEEDED"})

    def stop(self, _stream: Stream, request: Mapping[str, Any]) -> Reply:
        """Stop in the background."""
        self._supervisor.request_stop(text(request, "componentName"))
        return Reply({"stopStatus": "SUCCEEDED"})

    def control(self, _stream: Stream, request: Mapping[str, Any]) -> Reply:
        """The command line's own: `about`, `components`, `reset`."""
        command = text(request, "command")
        arguments = mapping(request, "arguments")
        if command == "about":
            return Reply({"result": {**self._about, "counters": asdict(self._counters)}})
        if command == "components":
            return Reply({"result": [self._describe_fully(unit) for unit in self._supervisor.in_order()]})
        if command == "reset":
            self._supervisor.find(text(arguments, "componentName")).reset()
            return Reply({"result": {}})
        raise InvalidArgumentsError(f"command {command!r} is unknown")

    def _describe(self, unit: Unit) -> dict[str, Any]:
        return {
            "componentName": unit.name,
            "version": unit.recipe.version,
            "state": unit.state,
            "configuration": self._configuration.tree(unit.name),
        }

    def _describe_fully(self, unit: Unit) -> dict[str, Any]:
        old = self._supervisor.left_running.get(unit.name)
        units = [item for item in (unit, old) if item is not None and item.pid is not None]
        return {
            "name": unit.name,
            "version": unit.recipe.version,
            "state": unit.state,
            "reason": unit.reason,
            "pids": [item.pid for item in units],
            "left_running": old.recipe.version if old is not None and old.is_active else None,
            "errors_in_hour": len(unit.errors),
            "restarts_in_hour": len(unit.restarts),
            "configuration": self._configuration.tree(unit.name),
        }
