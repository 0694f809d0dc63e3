"""A component's life on a real core: heartbeat, change of configuration, stop, and what it says when it cannot start."""

import contextlib
import json
import os
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from linewatch_common.messages import Heartbeat, decode
from linewatch_common.messages.status import ComponentState

from localcore.testing import RunningCore, running_core, wait_until

NAME = "com.example.Echo"
ROOT = Path(__file__).resolve().parents[3]
STATUS = "linewatch/line1/status"


def recipe(configuration: dict[str, Any], through: Path | None = None) -> dict[str, Any]:
    """`through`: the socket by which the component reaches the core, instead of the core's own."""
    script = Path(__file__).with_name("echo_component.py")
    link = f'AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT="{through}" ' if through else ""
    return {
        "RecipeFormatVersion": "2020-01-25",
        "ComponentName": NAME,
        "ComponentVersion": "1.0.0",
        "ComponentPublisher": "linewatch",
        "ComponentDescription": "A test's component.",
        "ComponentConfiguration": {
            "DefaultConfiguration": configuration
            | {
                "accessControl": {
                    "aws.greengrass.ipc.pubsub": {
                        f"{NAME}:pubsub:1": {
                            "operations": ["aws.greengrass#PublishToTopic", "aws.greengrass#SubscribeToTopic"],
                            "resources": ["linewatch/*/status"],
                        }
                    }
                }
            }
        },
        "Manifests": [
            {
                "Platform": {"os": "linux", "runtime": "*"},
                "Lifecycle": {
                    "run": {
                        "Script": f'exec env {link}"{sys.executable}" "{script}"',
                        "Setenv": {"PYTHONPATH": str(ROOT / "components/common"), "LINEWATCH_VERSION": "1.0.0"},
                    }
                },
                "Artifacts": [],
            }
        ],
    }


class Cable:
    """A unix socket that leads to the core while it is plugged in."""

    def __init__(self, path: Path, core: Path) -> None:
        self.path = path
        self._core = core
        self.to_core = threading.Event()  # cleared: what the component sends does not arrive yet
        self.to_core.set()
        self._listener: socket.socket | None = None
        self._ends: list[socket.socket] = []

    def plug(self) -> None:
        self.path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen()
        threading.Thread(target=self._join, args=(self._listener,), daemon=True).start()

    def pull(self) -> None:
        assert self._listener is not None
        self.path.unlink()
        for end in (self._listener, *self._ends):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._ends.clear()

    def _join(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, far = listener.accept()[0], socket.socket(socket.AF_UNIX)
                far.connect(str(self._core))
                self._ends += [near, far]
                for way in ((near, far, self.to_core), (far, near, None)):
                    threading.Thread(target=_pass_on, args=way, daemon=True).start()


def _pass_on(one: socket.socket, other: socket.socket, open_way: threading.Event | None) -> None:
    with contextlib.suppress(OSError):
        while data := one.recv(65536):
            if open_way is not None:
                open_way.wait()
            other.sendall(data)


class Deployed:
    """The component on a core, and the heartbeats heard from it."""

    def __init__(self, core: RunningCore, folder: Path) -> None:
        self.core = core
        self.beats: list[Heartbeat] = []
        self.through: Path | None = None
        self._folder = folder

    def heard(self, _topic: str, payload: bytes) -> None:
        self.beats.append(decode(payload, Heartbeat))

    def deploy(self, configuration: dict[str, Any], change: dict[str, Any] | None = None) -> None:
        (self._folder / f"{NAME}-1.0.0.json").write_text(json.dumps(recipe(configuration, self.through)))
        changes = {NAME: {"merge": change}} if change else {}
        self.core.client.wait(
            self.core.client.deploy(
                recipes=self._folder, artifacts=self._folder, merge={NAME: "1.0.0"}, configuration=changes
            )
        )

    def by_cable(self) -> Cable:
        """Deployed with 3 parts, on a link that can be cut."""
        cable = Cable(self.core.root / "cable.sock", self.core.layout.socket)
        cable.plug()
        self.through = cable.path
        self.deploy({"Station": "line1", "Parts": 3})
        wait_until(lambda: self.parts() == 3)
        return cable

    def parts(self) -> int | None:
        return self.beats[-1].counters.get("parts") if self.beats else None


@pytest.fixture
def deployed(tmp_path: Path) -> Iterator[Deployed]:
    with running_core(like="lite") as core:
        component = Deployed(core, tmp_path)
        with core.client.subscribe(STATUS, component.heard):
            yield component


def test_a_change_of_configuration_restarts_the_process_in_place(deployed: Deployed) -> None:
    deployed.deploy({"Station": "line1", "Parts": 3})
    wait_until(lambda: deployed.parts() == 3)
    assert (deployed.beats[-1].version, deployed.beats[-1].uid) == ("1.0.0", os.getuid())
    before = deployed.core.client.component(NAME)

    deployed.deploy({"Station": "line1", "Parts": 3}, change={"Parts": "42"})
    wait_until(lambda: deployed.parts() == 42)
    after = deployed.core.client.component(NAME)
    assert after.pids == before.pids
    assert after.errors_in_hour == 0

    deployed.deploy({"Station": "line1", "Parts": 3}, change={"Parts": 101})
    wait_until(lambda: "the changed configuration is refused" in deployed.core.log(NAME))
    assert deployed.core.client.component(NAME).pids == before.pids
    assert "Parts: expected `int` <= 100" in deployed.core.log(NAME)

    deployed.core.client.stop(NAME)
    wait_until(lambda: deployed.beats[-1].state is ComponentState.STOPPING)
    assert deployed.parts() == 42


def test_a_change_of_configuration_while_the_link_was_lost_is_found_when_it_is_back(deployed: Deployed) -> None:
    core, cable = deployed.core, deployed.by_cable()
    before = core.client.component(NAME)
    cable.pull()
    wait_until(lambda: "link to the core lost" in core.log(NAME))
    deployed.deploy({"Station": "line1", "Parts": 3}, change={"Parts": 42})
    cable.plug()
    wait_until(lambda: deployed.parts() == 42)
    assert core.client.component(NAME).pids == before.pids
    cable.pull()


def test_a_change_of_configuration_that_cannot_be_read_is_read_later(deployed: Deployed) -> None:
    cable = deployed.by_cable()
    cable.to_core.clear()
    deployed.deploy({"Station": "line1", "Parts": 3}, change={"Parts": 42})
    wait_until(lambda: "may have changed but cannot be read" in deployed.core.log(NAME))
    cable.to_core.set()
    wait_until(lambda: deployed.parts() == 42)
    cable.pull()


def test_a_bad_configuration_at_the_start_is_one_clear_line(deployed: Deployed) -> None:
    deployed.deploy({"Station": "line1", "Parts": -1})
    wait_until(lambda: deployed.core.client.component(NAME).state == "BROKEN")
    log = deployed.core.log(NAME)
    assert f"{NAME}: configuration: Parts: expected `int` >= 0" in log
    assert "Traceback" not in log


def test_an_unknown_key_is_a_warning_and_the_line_runs(deployed: Deployed) -> None:
    deployed.deploy({"Station": "line1", "Part": 5})
    wait_until(lambda: deployed.parts() == 3)
    assert "unknown key 'Part' is ignored; did you mean Parts?" in deployed.core.log(NAME)


def test_a_killed_component_is_started_again(deployed: Deployed) -> None:
    deployed.deploy({"Station": "line1", "Parts": 3})
    wait_until(lambda: deployed.parts() == 3)
    before = deployed.core.client.component(NAME).pids
    os.kill(before[0], 9)
    heard = len(deployed.beats)
    wait_until(lambda: len(deployed.beats) > heard)
    assert deployed.core.client.component(NAME).pids != before
