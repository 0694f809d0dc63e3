"""Commands to the fake from a test, in process or as JSON to `/_fake`: {"do": NAME, ...}."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.fakes.greengrassv2.backend import Backend
from tests.fakes.greengrassv2.fleet import Device, Kind, Quality, Rule
from tests.fakes.greengrassv2.reports import write_reports
from tests.fakes.greengrassv2.state import SimulatedClock


def control(backend: Backend, command: dict[str, Any]) -> dict[str, Any]:
    """Do it. Raises KeyError for an unknown command."""
    handler: Callable[[Backend, dict[str, Any]], dict[str, Any]] = _COMMANDS[command.pop("do")]
    return handler(backend, command)


def _devices(backend: Backend, command: dict[str, Any]) -> dict[str, Any]:
    """group, count, prefix, base {component: version}; optional rules [[kind, component, version]], born_hours, parts_per_minute."""
    rules = [Rule(Kind(kind), component, version) for kind, component, version in command.get("rules", [])]
    born = backend.clock() - timedelta(hours=command.get("born_hours", 24))
    first = command.get("first", 0)
    for number in range(first, first + command["count"]):
        device = Device(f"{command['prefix']}{number:05d}", born, command["base"], list(rules))
        device.parts_per_minute = command.get("parts_per_minute", device.parts_per_minute)
        backend.add_device(device, command["group"])
    return {"devices": len(backend.devices)}


def _components(backend: Backend, command: dict[str, Any]) -> dict[str, Any]:
    """versions: [[name, version], …]."""
    return {"arns": [backend.add_component(name, version) for name, version in command["versions"]]}


def _quality(backend: Backend, command: dict[str, Any]) -> dict[str, Any]:
    """component, version and any of defect_rate, latency_ms, lost_rate."""
    key = (command.pop("component"), command.pop("version"))
    backend.qualities[key] = Quality(**command)
    return {}


def _advance(backend: Backend, command: dict[str, Any]) -> dict[str, Any]:
    """seconds."""
    assert isinstance(backend.clock, SimulatedClock)
    backend.clock.advance(command["seconds"])
    return {"now": backend.clock().isoformat()}


def _reports(backend: Backend, command: dict[str, Any]) -> dict[str, Any]:
    """folder: write every device's newest report there."""
    return {"written": write_reports(backend, Path(command["folder"]))}


def _throttle(backend: Backend, command: dict[str, Any]) -> dict[str, Any]:
    """operation, times."""
    backend.throttle(command["operation"], command["times"])
    return {}


def _limit(backend: Backend, command: dict[str, Any]) -> dict[str, Any]:
    """operation, rate, burst."""
    backend.limit(command["operation"], command["rate"], command["burst"])
    return {}


def _expire(backend: Backend, command: dict[str, Any]) -> dict[str, Any]:
    """expired: bool."""
    backend.expired = command["expired"]
    return {}


def _calls(backend: Backend, command: dict[str, Any]) -> dict[str, Any]:
    """Calls by operation since the start, refused ones too."""
    return dict(backend.counts)


_COMMANDS: dict[str, Callable[[Backend, dict[str, Any]], dict[str, Any]]] = {
    "devices": _devices,
    "components": _components,
    "quality": _quality,
    "advance": _advance,
    "reports": _reports,
    "throttle": _throttle,
    "limit": _limit,
    "expire": _expire,
    "calls": _calls,
}
