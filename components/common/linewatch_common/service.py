"""The life of a component's process: configuration, start, heartbeat, change, stop, exit code.

Every component's `__main__` composes its parts in a `build` function and hands it to `run_service`.
"""

import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from linewatch_common import __version__
from linewatch_common.bus.greengrass import GreengrassBus
from linewatch_common.bus.port import LocalBus
from linewatch_common.config import Config, read_config
from linewatch_common.errors import (
    BusUnavailableError,
    ConfigError,
    CorruptStateError,
    DeadTokenError,
    LinewatchError,
)
from linewatch_common.heartbeats import HeartbeatPublisher, Status
from linewatch_common.logs import set_up_logging
from linewatch_common.messages.status import HEARTBEAT_SECONDS
from linewatch_common.topics import Topics
from linewatch_common.wakeups import Wakeups

log = logging.getLogger(__name__)

# The core may still be binding its socket when it starts us, or be restarting.
FIRST_LINK_SECONDS = 20.0


class ExitCode(IntEnum):
    """What a process tells the runtime; non-zero counts against its starts of the hour (sysexits.h numbers)."""

    OK = 0
    FAILED = 1
    CORRUPT_STATE = 65
    DEAD_TOKEN = 75
    BAD_CONFIGURATION = 78


class Component(Protocol):
    """What `run_service` drives. All methods are called from the main thread."""

    def start(self) -> None:
        """Begin to work in threads of its own; returns soon. Absent peers and devices are retried, not raised."""

    def stop(self) -> None:
        """Stop working, within a few seconds; flush what must not be lost."""

    def status(self) -> Status:
        """What the next heartbeat says. Must not block."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a component is given to be built from."""

    name: str
    thing: str
    work: Path
    bus: LocalBus
    topics: Topics
    beat_soon: Callable[[], None] = lambda: None  # call it when the next heartbeat says something that others wait for


ConfigT = TypeVar("ConfigT", bound=Config)


@dataclass(frozen=True, slots=True)
class Service(Generic[ConfigT]):
    """A component's name, its configuration class, and how it is put together."""

    name: str
    config_type: type[ConfigT]
    build: Callable[[ConfigT, Context], Component]
    validate: Callable[[ConfigT], None] = field(default=lambda _config: None)


def run_service(service: Service[Any], environ: Mapping[str, str] = os.environ) -> int:
    """Run a component until SIGTERM; returns the process's exit code. Never raises for a reason that it can name."""
    set_up_logging(environ.get("LINEWATCH_LOG_LEVEL", "INFO"))
    wakeups = Wakeups()
    wakeups.install()
    try:
        bus = open_bus(environ)
    except LinewatchError as error:
        log.error("%s: %s", service.name, error)  # noqa: TRY400 - the line says it all
        return _exit_code(error)
    try:
        return _Run(service, bus, wakeups, environ).until_stopped()
    except LinewatchError as error:
        log.error("%s: %s", service.name, error)  # noqa: TRY400 - the line says it all
        return _exit_code(error)
    finally:
        bus.close()


def open_bus(environ: Mapping[str, str] = os.environ) -> GreengrassBus:
    """Link to the core named by the runtime's variables; waits for it up to FIRST_LINK_SECONDS.

    Raises ConfigError when the variables are missing (not started by a Greengrass runtime), DeadTokenError, BusUnavailableError.
    """
    try:
        socket_path = environ["AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT"]
        token = environ["SVCUID"]
    except KeyError as error:
        raise ConfigError(f"{error.args[0]} is not set: run this by a Greengrass runtime or by localcore") from error
    give_up = time.monotonic() + FIRST_LINK_SECONDS
    while True:
        try:
            return GreengrassBus(socket_path, token).open()
        except BusUnavailableError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.2)


def work_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """The component's own folder: {work:path} of the recipe, else the current folder (which the runtimes set to it)."""
    return Path(environ.get("LINEWATCH_WORK", ".")).resolve()


class _Run:
    """One run of a service between link and exit."""

    def __init__(self, service: Service[Any], bus: LocalBus, wakeups: Wakeups, environ: Mapping[str, str]) -> None:
        self._service = service
        self._bus = bus
        self._wakeups = wakeups
        self._environ = environ

    def until_stopped(self) -> int:
        config = self._read_config()
        topics = Topics(config.station)
        context = Context(
            name=self._service.name,
            thing=self._environ.get("AWS_IOT_THING_NAME", "local"),
            work=work_folder(self._environ),
            bus=self._bus,
            topics=topics,
            beat_soon=self._wakeups.beat_soon,
        )
        component = self._service.build(config, context)
        self._bus.watch_configuration(self._wakeups.configuration_changed)
        version = self._environ.get("LINEWATCH_VERSION", __version__)  # the component's, told by the launcher
        heartbeat = HeartbeatPublisher(self._service.name, self._bus, topics, version)
        heartbeat.watch_own()
        log.info("%s %s starts on station %s", self._service.name, version, config.station)
        component.start()
        try:
            changed = self._beat_until_told(component, heartbeat, config)
        finally:
            component.stop()
            log.info("%s stopped", self._service.name)
        if changed:
            self._execute_again()
        return ExitCode.OK

    def _beat_until_told(self, component: Component, heartbeat: HeartbeatPublisher, config: Config) -> bool:
        """True when a valid change of the configuration asks for a fresh start, False on SIGTERM."""
        due = time.monotonic()
        while not self._wakeups.stopping:
            if self._bus.dead is not None:
                raise DeadTokenError(f"{self._bus.dead}; starting again")
            if self._wakeups.configuration_pending and self._change_is_valid(config):
                log.info("the configuration changed: starting again with it")
                return True
            if self._wakeups.beat_pending or time.monotonic() >= due:
                self._wakeups.beat_pending = False
                heartbeat.beat(component.status())
                due = time.monotonic() + HEARTBEAT_SECONDS
            self._wakeups.wait(min(due - time.monotonic(), HEARTBEAT_SECONDS))
        heartbeat.last_beat(component.status())
        return False

    def _read_config(self) -> Any:
        config, warnings = read_config(self._service.config_type, self._bus.configuration(), "configuration")
        for warning in warnings:
            log.warning("%s", warning)
        self._service.validate(config)
        return config

    def _change_is_valid(self, current: Config) -> bool:
        self._wakeups.configuration_pending = False
        try:
            return bool(self._read_config() != current)
        except BusUnavailableError as error:
            log.warning("the configuration may have changed but cannot be read: %s", error)
            self._wakeups.configuration_pending = True  # again with the next heartbeat
        except ConfigError as error:
            log.error("the changed configuration is refused, the old one stays in force: %s", error)  # noqa: TRY400
        return False

    def _execute_again(self) -> None:
        """Replace the process by itself: same pid and token, and no start counted against the runtime's three an hour."""
        self._bus.close()
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - ourselves, with our own arguments


def _exit_code(error: LinewatchError) -> ExitCode:
    if isinstance(error, DeadTokenError):
        return ExitCode.DEAD_TOKEN
    if isinstance(error, ConfigError):
        return ExitCode.BAD_CONFIGURATION
    if isinstance(error, CorruptStateError):
        return ExitCode.CORRUPT_STATE
    return ExitCode.FAILED
