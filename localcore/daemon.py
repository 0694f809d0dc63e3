"""The running core: one process per root, from lock to clean end."""

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from linewatch_common.errors import CorruptStateError, LinewatchError
from linewatch_common.files import make_private_folder, write_atomically

from localcore.access import AccessControl
from localcore.configuration import ConfigurationStore
from localcore.deployments.service import DeploymentService
from localcore.deployments.steps import Workshop
from localcore.errors import CoreStartError
from localcore.identity import CLI, Tokens
from localcore.iotcore import IotCore, LoopbackIotCore
from localcore.launcher import Launcher
from localcore.layout import Layout
from localcore.operations.components import ComponentOperations
from localcore.operations.configuration import ConfigurationOperations
from localcore.operations.deployments import DeploymentOperations
from localcore.operations.iotcore import IotCoreOperations
from localcore.operations.pubsub import PubSubOperations
from localcore.packages import PackageStore
from localcore.process import Guard
from localcore.pubsub import Broker
from localcore.rpc import Handler
from localcore.runtime import RUNTIMES
from localcore.server import Counters, Hub, IpcServer
from localcore.state import CoreState, load_json, load_state
from localcore.supervisor import Supervisor

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CoreOptions:
    """What `up` was asked for."""

    root: Path
    like: str = "lite"
    max_errors: int = 3
    thing_name: str = "laptop"
    mqtt: tuple[str, int] | None = None
    stop_timeout_s: float | None = None  # None: the runtime's own


@contextlib.contextmanager
def root_lock(layout: Layout) -> Iterator[None]:
    """Hold the root for one core. Raises CoreStartError when another has it."""
    make_private_folder(layout.root)
    with layout.lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise CoreStartError(f"{layout.root}: another core runs on this root") from error
        yield


def _load(layout: Layout, like: str) -> CoreState:
    state = load_state(layout.state, like)
    if state.like != like:
        raise CoreStartError(f"{layout.root} was made with --like {state.like}; use that, or another --root")
    return state


class Core:
    """All parts of a core, put together; nothing happens before `run`."""

    def __init__(self, options: CoreOptions, state: CoreState, iot: IotCore) -> None:
        self._layout = Layout(options.root)
        self._iot = iot
        self._guard = Guard()
        self._tokens = Tokens()
        runtime = RUNTIMES[options.like]
        self._configuration = ConfigurationStore(renews_defaults=runtime.is_lite)
        if options.stop_timeout_s is not None:
            runtime = replace(runtime, stop_timeout_s=options.stop_timeout_s)
        launcher = Launcher(
            layout=self._layout,
            runtime=runtime,
            thing_name=options.thing_name,
            tokens=self._tokens,
            configuration=self._configuration,
            guard=self._guard,
            placed_version=self._placed_version,
        )
        self._supervisor = Supervisor(runtime, options.max_errors, launcher)
        packages = PackageStore(self._layout, runtime)
        workshop = Workshop(runtime, self._layout, state, self._configuration, packages, self._supervisor)
        self._deployments = DeploymentService(workshop)
        counters = Counters()
        access = AccessControl(self._configuration, launcher.substitute)
        about = {"like": options.like, "root": str(options.root), "thing": options.thing_name, "pid": os.getpid()}
        handlers: dict[str, Handler] = {
            **PubSubOperations(Broker(), access, runtime, counters).handlers(),
            **IotCoreOperations(iot, access, runtime).handlers(),
            **ConfigurationOperations(self._configuration, runtime, workshop.save_configuration).handlers(),
            **ComponentOperations(self._supervisor, self._configuration, counters, about).handlers(),
            **DeploymentOperations(self._deployments).handlers(),
        }
        hub = Hub(runtime, self._tokens, handlers, counters)
        self._server = IpcServer(hub, self._layout.socket)

    async def run(self, ending: asyncio.Event) -> None:
        """Serve until `ending` is set, then stop the components and end. Raises LinewatchError when it cannot start."""
        self._layout.cli_token.unlink(missing_ok=True)  # of a killed core: its presence tells that this one is up
        self._restore_configuration()
        await self._server.start()
        self._guard.start()
        self._iot.start()
        write_atomically(self._layout.cli_token, self._tokens.issue(CLI).encode())
        work = asyncio.create_task(self._work())
        log.info("core is up, socket %s", self._layout.socket)
        try:
            await ending.wait()
        finally:
            log.info("core stops")
            work.cancel()
            await asyncio.wait({work})
            await self._supervisor.stop_everything()
            self._iot.stop()
            await self._server.stop()
            self._guard.stop()
            self._layout.cli_token.unlink(missing_ok=True)

    def _placed_version(self, name: str) -> str | None:
        return self._supervisor.placed_version(name)  # the supervisor is made after the launcher that asks it

    def _restore_configuration(self) -> None:
        path = self._layout.configuration
        try:
            self._configuration.restore(load_json(path) or {})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CorruptStateError(f"{path}: not a core's configuration; remove the root to start anew") from error

    async def _work(self) -> None:
        try:
            await self._deployments.restore()
        except LinewatchError as error:
            log.error("cannot bring back the last deployment: %s", error)  # noqa: TRY400 - the message says it all
        await self._deployments.work()


def make_iot_core(options: CoreOptions) -> IotCore:
    """The broker's bridge when one is configured."""
    if options.mqtt is None:
        return LoopbackIotCore()
    from localcore.mqtt import MqttIotCore  # noqa: PLC0415 - only a core with a broker pays for paho

    return MqttIotCore(*options.mqtt, client_id=options.thing_name)


async def _serve(options: CoreOptions, state: CoreState) -> None:
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    await Core(options, state, make_iot_core(options)).run(ending)


def serve(options: CoreOptions) -> None:
    """Run a core in the foreground until SIGTERM or SIGINT. Raises LinewatchError when it cannot start."""
    layout = Layout(options.root)
    with root_lock(layout):
        asyncio.run(_serve(options, _load(layout, options.like)))
