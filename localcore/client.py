"""The core from Python: what `make demo`, tests and the command line use.

    from pathlib import Path
    from localcore.client import LocalCore

    with LocalCore(Path(".localcore")) as core:              # a core must be up on this root
        deployment = core.deploy(
            recipes=Path("greengrass-build/recipes"), artifacts=Path("greengrass-build/artifacts"),
            merge={"com.linewatch.Camera": "1.0.0"},
            configuration={"com.linewatch.Camera": {"merge": {"Source": {"FramesPerSecond": 10}}}},
        )                                                    # the id; returns at once
        core.wait(deployment, timeout_s=120)                 # a Deployment; .succeeded, .cause
        for component in core.list_components():             # Component: name, version, state, reason, pids
            print(component.name, component.state)
        with core.subscribe("linewatch/+/verdicts", lambda topic, payload: print(topic, payload)):
            core.publish("linewatch/line1/commands", b"{}")

It speaks through the real awsiot client with the command line's token (`<root>/cli-token`), so one call sees what a
component sees, and it may do everything. Not for devices: there are greengrass-cli and ggl-cli for that.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from localcore.errors import CoreNotRunningError, DeploymentError, ServiceError
from localcore.layout import Layout

_CALL_TIMEOUT_S = 10.0  # the core answers every request at once
_POLL_S = 0.1
_TERMINAL = ("SUCCEEDED", "FAILED", "CANCELED")


@dataclass(frozen=True, slots=True)
class Component:
    """A component on the core."""

    name: str
    version: str
    state: str
    reason: str
    pids: tuple[int, ...]  # process group leaders: of the run or install step, and of an old version left running
    left_running: str | None  # the old version that a refused update left running (lite)
    errors_in_hour: int
    restarts_in_hour: int
    configuration: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment's status."""

    deployment_id: str
    status: str
    created_on: str
    detailed_status: str = ""
    cause: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether it ended well."""
        return self.status == "SUCCEEDED"

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self.status in _TERMINAL


class LocalCore:
    """A connection to the core on `root`, made at the first call; use it as a context manager or call `close`."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self._layout = Layout(self.root)
        self._client: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):
                client.close().result(_CALL_TIMEOUT_S)

    def deploy(
        self,
        *,
        recipes: Path | None = None,
        artifacts: Path | None = None,
        merge: Mapping[str, str] | None = None,
        remove: list[str] | None = None,
        configuration: Mapping[str, Any] | None = None,
        failure_policy: str | None = None,
    ) -> str:
        """Create a deployment and return its id at once.

        `configuration`: by component {"merge": {...}, "reset": ["/pointer", ...]}. Raises IpcError, CoreNotRunningError.
        """
        response = self._call(
            "create_local_deployment",
            recipe_directory_path=None if recipes is None else str(recipes.absolute()),
            artifacts_directory_path=None if artifacts is None else str(artifacts.absolute()),
            root_component_versions_to_add=dict(merge or {}),
            root_components_to_remove=list(remove or []),
            component_to_configuration=dict(configuration or {}),
            failure_handling_policy=failure_policy,
        )
        return str(response.deployment_id)

    def status(self, deployment_id: str) -> Deployment:
        """A deployment's status now."""
        return _deployment(self._call("get_local_deployment_status", deployment_id=deployment_id).deployment)

    def deployments(self) -> list[Deployment]:
        """All that the core remembers, newest first."""
        return [_deployment(item) for item in self._call("list_local_deployments").local_deployments]

    def wait(self, deployment_id: str, timeout_s: float = 300.0) -> Deployment:
        """Wait for the deployment's end, good or bad. Raises DeploymentError when it takes longer."""
        deadline = time.monotonic() + timeout_s
        while not (deployment := self.status(deployment_id)).ended:
            if time.monotonic() > deadline:
                raise DeploymentError(f"deployment {deployment_id} is still {deployment.status} after {timeout_s:g} s")
            time.sleep(_POLL_S)
        return deployment

    def list_components(self) -> list[Component]:
        """All components, dependencies first."""
        return [Component(**{**item, "pids": tuple(item["pids"])}) for item in self.control("components")]

    def component(self, name: str) -> Component:
        """One component. Raises ServiceError when it is not on the core."""
        for component in self.list_components():
            if component.name == name:
                return component
        raise ServiceError(f"component {name} is not on this core")

    def restart(self, name: str) -> None:
        """Restart a component. Raises ServiceError with the reason when the runtime refuses."""
        response = self._call("restart_component", component_name=name)
        if response.restart_status != "SUCCEEDED":
            raise ServiceError(str(response.message))

    def stop(self, name: str) -> None:
        """Stop a component."""
        self._call("stop_component", component_name=name)

    def reset(self, name: str) -> None:
        """Forget a component's errors and restarts (`systemctl reset-failed`)."""
        self.control("reset", componentName=name)

    def about(self) -> dict[str, Any]:
        """The core itself: like, root, thing, pid, counters."""
        return dict(self.control("about"))

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish a BinaryMessage on a local topic."""
        from awsiot.greengrasscoreipc.model import BinaryMessage, PublishMessage  # noqa: PLC0415 - slow to import

        message = PublishMessage(binary_message=BinaryMessage(message=payload))
        self._call("publish_to_topic", topic=topic, publish_message=message)

    @contextlib.contextmanager
    def subscribe(self, topic: str, on_message: Callable[[str, bytes], None]) -> Iterator[None]:
        """Call `on_message(topic, payload)`, from a thread of the client, for messages on a local topic or filter."""
        import json  # noqa: PLC0415

        def on_event(event: Any) -> None:
            if event.binary_message is not None:
                on_message(event.binary_message.context.topic, event.binary_message.message)
            else:
                on_message(event.json_message.context.topic, json.dumps(event.json_message.message).encode())

        _, operation = self._call(
            "subscribe_to_topic", topic=topic, on_stream_event=on_event, on_stream_error=lambda _error: True
        )
        try:
            yield
        finally:
            operation.close()

    def control(self, command: str, **arguments: Any) -> Any:
        """The core's own operation, for what Greengrass has no words for."""
        from localcore.control import call_control  # noqa: PLC0415 - awsiot is slow to import

        return self._translated(lambda client: call_control(client, command, arguments))

    def _call(self, name: str, **arguments: Any) -> Any:
        return self._translated(lambda client: self._invoke(client, name, arguments))

    def _invoke(self, client: Any, name: str, arguments: dict[str, Any]) -> Any:
        if name.startswith("subscribe"):
            return getattr(client, name)(**arguments)
        future: Future[Any] = getattr(client, f"{name}_async")(**arguments)
        return future.result(_CALL_TIMEOUT_S)

    def _translated(self, call: Callable[[Any], Any]) -> Any:
        from localcore.control import translate  # noqa: PLC0415

        client = self._connect()
        try:
            return call(client)
        except FutureTimeoutError as error:
            raise CoreNotRunningError(f"{self.root}: the core did not answer within {_CALL_TIMEOUT_S:g} s") from error
        except Exception as error:
            raise translate(error, self.root) from error

    def _connect(self) -> Any:
        if self._client is None:
            from localcore.control import connect  # noqa: PLC0415

            self._client = connect(self._layout)
        return self._client


def _deployment(item: Any) -> Deployment:
    details = item.deployment_status_details
    return Deployment(
        deployment_id=item.deployment_id,
        status=item.status,
        created_on=item.created_on,
        detailed_status=details.detailed_deployment_status if details else "",
        cause=details.deployment_failure_cause if details else "",
    )
