"""GetConfiguration, UpdateConfiguration, SubscribeToConfigurationUpdate."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from localcore.configuration import ConfigurationStore, Path
from localcore.errors import DeploymentError, FailedUpdateConditionCheckError, InvalidArgumentsError
from localcore.limits import check_configuration
from localcore.operations.fields import optional_text, strings
from localcore.rpc import Handler, Reply, Stream
from localcore.runtime import Runtime

_ACCESS_CONTROL = "accessControl"


class ConfigurationOperations:
    """A component's own configuration, and reading another's."""

    def __init__(self, store: ConfigurationStore, runtime: Runtime, saved: Callable[[], None]) -> None:
        self._store = store
        self._runtime = runtime
        self._saved = saved

    def handlers(self) -> dict[str, Handler]:
        """Operations by name."""
        return {
            "GetConfiguration": self.get,
            "UpdateConfiguration": self.update,
            "SubscribeToConfigurationUpdate": self.subscribe,
        }

    def get(self, stream: Stream, request: Mapping[str, Any]) -> Reply:
        """A map as it is; anything else under its own key."""
        component = optional_text(request, "componentName", stream.identity.component)
        path = strings(request, "keyPath")
        value = self._store.get(component, path)
        if not isinstance(value, dict):
            value = {path[-1]: value}
        return Reply({"componentName": component, "value": value})

    def update(self, stream: Stream, request: Mapping[str, Any]) -> Reply:
        """Merge into the component's own configuration; accessControl is not for components to change."""
        path = strings(request, "keyPath")
        if "valueToMerge" not in request:
            raise InvalidArgumentsError("valueToMerge is missing")
        value = request["valueToMerge"]
        timestamp = request.get("timestamp")
        if not isinstance(timestamp, int | float) or isinstance(timestamp, bool):
            raise InvalidArgumentsError("timestamp is missing")
        if self._runtime.map_updates_only and not isinstance(value, dict):
            raise InvalidArgumentsError("valueToMerge must be a map on Greengrass classic")
        self._refuse_access_control(path, value)
        component = stream.identity.component
        self._check_size(component, path, value)
        if not self._store.update(component, path, value, float(timestamp)):
            raise FailedUpdateConditionCheckError(f"/{'/'.join(path)} was set at a later time already")
        self._saved()
        return Reply()

    def subscribe(self, stream: Stream, request: Mapping[str, Any]) -> Reply:
        """Events with the key path that changed."""
        component = optional_text(request, "componentName", stream.identity.component)
        path = strings(request, "keyPath")
        if path:
            self._store.get(component, path)

        def announce(name: str, changed: Path) -> None:
            event = {"configurationUpdateEvent": {"componentName": name, "keyPath": list(changed)}}
            stream.send_event("ConfigurationUpdateEvents", json.dumps(event).encode())

        return Reply(on_close=self._store.subscribe(component, path, announce))

    def _refuse_access_control(self, path: tuple[str, ...], value: object) -> None:
        if path[:1] == (_ACCESS_CONTROL,) or (not path and isinstance(value, dict) and _ACCESS_CONTROL in value):
            raise InvalidArgumentsError("a component cannot change its own accessControl")

    def _check_size(self, component: str, path: tuple[str, ...], value: object) -> None:
        try:
            check_configuration(component, {"/".join(path): value}, self._runtime.limits)
        except DeploymentError as error:
            raise InvalidArgumentsError(str(error)) from error
