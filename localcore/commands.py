"""What the commands do, through the client."""

import argparse
import json
import math
import os
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from linewatch_common.errors import ConfigError

from localcore.client import Component, Deployment, LocalCore
from localcore.errors import CoreNotRunningError, ServiceError
from localcore.layout import Layout
from localcore.logs import read_tail, utc_now
from localcore.memory import pss_bytes
from localcore.output import print_table

_MIB = 1024 * 1024
_FOLLOW_POLL_S = 0.2
_ALIVE_CHECK_S = 1.0  # how soon a subscriber notices that the core is gone


def deployment_create(options: argparse.Namespace) -> int:
    """Create, print the id, and wait when asked."""
    merge = dict(_name_and_version(item) for item in options.merge)
    if not merge and not options.remove and not options.config:
        raise ConfigError("nothing to deploy: give --merge NAME=VERSION, --remove NAME or --config")
    with LocalCore(options.root) as core:
        deployment_id = core.deploy(
            recipes=options.recipeDir,
            artifacts=options.artifactDir,
            merge=merge,
            remove=options.remove,
            configuration=_read_configuration(options.config),
            failure_policy=options.failure_handling_policy,
        )
        print(f"Local deployment submitted! Deployment Id: {deployment_id}", flush=True)
        if not options.wait:
            return 0
        return _report(core.wait(deployment_id, options.timeout))


def _name_and_version(text: str) -> tuple[str, str]:
    name, equals, version = text.partition("=")
    if not equals or not name or not version:
        raise ConfigError(f"--merge {text!r} is not NAME=VERSION")
    return name, version


def _read_configuration(source: str | None) -> Mapping[str, Any]:
    if source is None:
        return {}
    try:
        text = source if source.lstrip().startswith("{") else Path(source).read_text(encoding="utf-8")
        value = json.loads(text)
    except (OSError, ValueError) as error:
        raise ConfigError(f"--config {source[:80]}: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"--config {source[:80]}: a map by component name is wanted")
    return value


def _report(deployment: Deployment) -> int:
    print(f"{deployment.deployment_id}: {deployment.status}")
    if deployment.cause:
        print(f"localcore: {deployment.detailed_status}: {deployment.cause}", file=sys.stderr)
    return 0 if deployment.succeeded else 1


def deployment_status(options: argparse.Namespace) -> int:
    """One deployment; exit code 1 when it has failed."""
    with LocalCore(options.root) as core:
        deployment = core.status(options.deploymentId)
    if options.json:
        print(json.dumps(asdict(deployment), indent=2))
    else:
        _report(deployment)
    return 0 if deployment.succeeded or not deployment.ended else 1


def deployment_list(options: argparse.Namespace) -> int:
    """All deployments."""
    with LocalCore(options.root) as core:
        deployments = core.deployments()
    if options.json:
        print(json.dumps([asdict(item) for item in deployments], indent=2))
    else:
        rows = [(item.deployment_id, item.status, item.created_on, item.cause) for item in deployments]
        print_table(("deployment", "status", "created", "cause"), rows)
    return 0


def component_list(options: argparse.Namespace) -> int:
    """All components."""
    with LocalCore(options.root) as core:
        components = core.list_components()
    if options.json:
        print(json.dumps([_as_document(item) for item in components], indent=2))
        return 0
    rows = [
        (item.name, item.version, item.state, ", ".join(map(str, item.pids)), _memory(item), item.reason)
        for item in components
    ]
    print_table(("component", "version", "state", "pid", "memory", "reason"), rows)
    return 0


def _as_document(component: Component) -> dict[str, Any]:
    return {**asdict(component), "pss_bytes": sum(pss_bytes(pid) for pid in component.pids)}


def _memory(component: Component) -> str:
    return f"{sum(pss_bytes(pid) for pid in component.pids) / _MIB:.1f} MB" if component.pids else ""


def component_details(options: argparse.Namespace) -> int:
    """One component."""
    with LocalCore(options.root) as core:
        component = core.component(options.name)
    if options.json:
        print(json.dumps(_as_document(component), indent=2))
        return 0
    print(f"Component Name: {component.name}\nVersion: {component.version}\nState: {component.state}")
    for label, value in (("Reason", component.reason), ("Left running", component.left_running or "")):
        if value:
            print(f"{label}: {value}")
    print(f"Pids: {', '.join(map(str, component.pids)) or '-'}\nMemory (PSS): {_memory(component) or '-'}")
    print(f"Errors in the last hour: {component.errors_in_hour}, restarts by hand: {component.restarts_in_hour}")
    print(f"Log: {Layout(options.root).log(component.name)}")
    print(f"Configuration: {json.dumps(component.configuration, indent=2)}")
    return 0


def component_restart(options: argparse.Namespace) -> int:
    """Restart."""
    with LocalCore(options.root) as core:
        core.restart(options.name)
    print(f"{options.name}: restart requested")
    return 0


def component_stop(options: argparse.Namespace) -> int:
    """Stop."""
    with LocalCore(options.root) as core:
        core.stop(options.name)
    print(f"{options.name}: stop requested")
    return 0


def component_reset(options: argparse.Namespace) -> int:
    """Forget errors and restarts."""
    with LocalCore(options.root) as core:
        core.reset(options.name)
    print(f"{options.name}: errors and restarts forgotten; `component restart -n {options.name}` starts it")
    return 0


def pubsub_pub(options: argparse.Namespace) -> int:
    """Publish."""
    with LocalCore(options.root) as core:
        core.publish(options.topic, options.message.encode())
    return 0


def pubsub_sub(options: argparse.Namespace) -> int:
    """Print messages until Ctrl-C, the count or the timeout; exit code 1 when the count was not reached in time."""
    printer = _Printer(options.count, as_json=options.json)
    deadline = math.inf if options.timeout is None else time.monotonic() + options.timeout
    with LocalCore(options.root) as core, core.subscribe(options.topic, printer.show):
        print(f"subscribed to {options.topic}", file=sys.stderr, flush=True)
        while not printer.enough.wait(max(0.0, min(_ALIVE_CHECK_S, deadline - time.monotonic()))):
            if time.monotonic() >= deadline:
                return 0 if options.count is None else 1
            core.about()  # raises when the core is gone
    return 0


class _Printer:
    """Prints messages, up to a count."""

    def __init__(self, count: int | None, *, as_json: bool) -> None:
        self.enough = threading.Event()
        self._left = count
        self._as_json = as_json
        self._lock = threading.Lock()

    def show(self, topic: str, payload: bytes) -> None:
        """One message."""
        text = payload.decode(errors="backslashreplace")
        with self._lock:
            if self._left == 0:
                return
            if self._as_json:
                print(json.dumps({"time": utc_now(), "topic": topic, "payload": text}), flush=True)
            else:
                print(f"{utc_now()} {topic} {text}", flush=True)
            if self._left is not None:
                self._left -= 1
                if self._left == 0:
                    self.enough.set()


def logs(options: argparse.Namespace) -> int:
    """Print a component's log; it needs no running core."""
    path = Layout(options.root).log(options.name)
    if not path.exists():
        if not options.root.is_dir():
            raise CoreNotRunningError(f"{options.root} is no core's root")
        raise ServiceError(f"{options.name} has no log under {path.parent}")
    for line in read_tail(path, options.lines):
        print(line)
    if options.follow:
        _follow(path)
    return 0


def _follow(path: Path) -> None:
    file = path.open(encoding="utf-8", errors="replace")
    file.seek(0, 2)
    while True:
        line = file.readline()
        if line:
            print(line, end="", flush=True)
        elif path.exists() and path.stat().st_ino != _inode(file):
            file.close()
            file = path.open(encoding="utf-8", errors="replace")  # it was rotated
        else:
            time.sleep(_FOLLOW_POLL_S)


def _inode(file: TextIO) -> int:
    return os.fstat(file.fileno()).st_ino
