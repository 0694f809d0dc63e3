"""Agent and model components as processes on a core: real IPC, real sockets, real kills."""

import json
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from linewatch_agent_api.client import AgentClient
from linewatch_common.errors import AgentUnavailableError, InputError, MessageError
from linewatch_common.messages.base import decode
from linewatch_common.messages.status import AgentStatus, Heartbeat
from linewatch_common.windows import Weekday

from localcore.client import Deployment
from localcore.testing import RunningCore, running_core, wait_until
from tests.unit.agent.support import make_package, short_folder
from tools.recipes import ROOT

AGENT, MODEL = "com.linewatch.EdgeAgent", "com.linewatch.model.Tiny"
PICTURE = {"picture": np.full((1, 4, 4, 3), 51, np.uint8)}
ACCESS = {
    "aws.greengrass.ipc.pubsub": {
        "test:pubsub:1": {
            "operations": ["aws.greengrass#PublishToTopic", "aws.greengrass#SubscribeToTopic"],
            "resources": ["linewatch/*/models", "linewatch/*/status"],
        }
    }
}


class Line:
    """A core with components that run from the checkout, and what the agent's heartbeat says."""

    def __init__(self, core: RunningCore, folder: Path) -> None:
        self.core = core
        self.folder = folder
        self.agent: AgentStatus | None = None

    def heard(self, _topic: str, payload: bytes) -> None:
        try:
            beat: Heartbeat = decode(payload, Heartbeat)
        except MessageError:
            return
        self.agent = beat.agent or self.agent

    def deploy(self, name: str, version: str, module: str, steps: tuple[str, ...], **setenv: str) -> Deployment:
        recipes, artifacts = self.folder / "recipes", self.folder / "artifacts"
        for folder in (recipes, artifacts):
            folder.mkdir(exist_ok=True)
        command = f"exec {shlex.quote(sys.executable)} -m {module}"
        environ = {"LINEWATCH_WORK": "{work:path}", "LINEWATCH_COMPONENT": name, **setenv}
        recipe = {
            "RecipeFormatVersion": "2020-01-25",
            "ComponentName": name,
            "ComponentVersion": version,
            "ComponentConfiguration": {"DefaultConfiguration": {"accessControl": ACCESS}},
            "Manifests": [
                {
                    "Platform": {"os": "linux", "runtime": "*"},
                    "Lifecycle": {"Setenv": environ, **{step: {"Script": f"{command} {step}"} for step in steps}},
                    "Artifacts": [],
                }
            ],
        }
        (recipes / f"{name}-{version}.json").write_text(json.dumps(recipe))
        deployment = self.core.client.deploy(recipes=recipes, artifacts=artifacts, merge={name: version})
        return self.core.client.wait(deployment, timeout_s=100)

    def deploy_agent(self) -> Deployment:
        return self.deploy(AGENT, "1.0.0", "linewatch_agent", ("run",))

    def deploy_model(self, version: str, **package: Any) -> Deployment:
        made = make_package(self.folder / f"package-{version}", version=version, **package)
        return self.deploy(MODEL, version, "linewatch_model", ("install", "run"), LINEWATCH_PACKAGE=str(made))

    def configure_agent(self, **settings: Any) -> None:
        """Merge into its configuration, and wait until the restarted process is heard."""
        before = self.boot_id
        self.core.client.deploy(merge={AGENT: "1.0.0"}, configuration={AGENT: {"merge": settings}})
        wait_until(lambda: self.boot_id != before, 30)

    def waits_for(self, identifier: str) -> bool:
        """Whether the agent's heartbeat says that this model waits for the window."""
        waiting = self.agent.waiting.get("classifier") if self.agent else None
        return waiting is not None and waiting.identifier == identifier

    def serves(self, identifier: str) -> bool:
        """Whether the agent's heartbeat names it, and it predicts."""
        if self.agent is None or "classifier" not in self.agent.roles:
            return False
        if self.agent.roles["classifier"].identifier != identifier:
            return False
        try:
            with AgentClient(self.agent.endpoint) as client:
                return bool(client.predict(identifier, PICTURE))
        except (AgentUnavailableError, InputError):
            return False

    def kill(self, name: str) -> None:
        [pid] = self.core.client.component(name).pids
        os.kill(pid, signal.SIGKILL)

    def kill_in_the_next_proof(self) -> None:
        """As the kernel does for want of memory."""
        assert self.agent is not None
        mark = Path(self.agent.endpoint).parent / "models" / "proving.json"
        [pid] = self.core.client.component(AGENT).pids
        give_up = time.monotonic() + 60
        while not mark.exists():
            assert time.monotonic() < give_up, "nothing was proved"
            time.sleep(0.0005)
        os.kill(pid, signal.SIGKILL)

    @property
    def boot_id(self) -> str:
        assert self.agent is not None
        return self.agent.boot_id


@pytest.fixture(params=["lite", "classic"])
def line(request: pytest.FixtureRequest) -> Iterator[Line]:
    with running_core(like=request.param) as core, short_folder() as folder:
        made = Line(core, folder)
        with core.client.subscribe("linewatch/line1/status", made.heard):
            yield made


def test_a_model_is_proved_served_replaced_and_survives_a_kill(line: Line) -> None:
    assert line.deploy_agent().succeeded
    assert line.deploy_model("1.0.0").succeeded
    assert "proved" in line.core.log(MODEL)
    wait_until(lambda: line.serves("Tiny-1-0-0"), 30)
    before = line.boot_id
    line.kill(AGENT)
    wait_until(lambda: line.boot_id != before and line.serves("Tiny-1-0-0"), 30)
    assert "restored from our own copy" in line.core.log(AGENT)
    assert line.deploy_model("2.0.0").succeeded
    wait_until(lambda: line.serves("Tiny-2-0-0"), 30)


def test_a_refused_update_fails_the_deployment_and_the_line_runs_on(line: Line) -> None:
    assert line.deploy_agent().succeeded
    assert line.deploy_model("1.0.0").succeeded
    wait_until(lambda: line.serves("Tiny-1-0-0"), 30)
    assert not line.deploy_model("2.0.0", golden_shift=0.5).succeeded
    assert "the agent refuses Tiny-2-0-0: Tiny-2-0-0: golden picture 1" in line.core.log(MODEL)
    assert line.serves("Tiny-1-0-0")
    line.core.restart_daemon()  # a reboot; lite has lost the model component by now
    with line.core.client.subscribe("linewatch/line1/status", line.heard):
        before = line.boot_id
        wait_until(lambda: line.boot_id != before and line.serves("Tiny-1-0-0"), 30)


def test_a_package_that_kills_the_agent_in_its_proof_fails_the_deployment_and_the_line_runs_on(line: Line) -> None:
    assert line.deploy_agent().succeeded
    assert line.deploy_model("1.0.0").succeeded
    wait_until(lambda: line.serves("Tiny-1-0-0"), 30)
    killer = threading.Thread(target=line.kill_in_the_next_proof)
    killer.start()
    package = ROOT / "components/models/SurfaceClassifier"  # its proof takes long enough to be hit
    steps = ("install", "run")
    assert not line.deploy(MODEL, "2.0.0", "linewatch_model", steps, LINEWATCH_PACKAGE=str(package)).succeeded
    killer.join()
    assert "the agent ended while it loaded and proved this package" in line.core.log(MODEL)
    wait_until(lambda: line.serves("Tiny-1-0-0"), 30)
    assert line.core.client.component(AGENT).state == "RUNNING"


@pytest.mark.parametrize("line", ["lite"], indirect=True)
def test_a_changed_configuration_restarts_the_process_and_the_models_come_back(line: Line) -> None:
    assert line.deploy_agent().succeeded
    assert line.deploy_model("1.0.0").succeeded
    wait_until(lambda: line.serves("Tiny-1-0-0"), 30)
    before, pids = line.boot_id, line.core.client.component(AGENT).pids
    change = {AGENT: {"merge": {"UnixSocketName": str(line.folder / "legacy.sock")}}}
    line.core.client.deploy(merge={AGENT: "1.0.0"}, configuration=change)
    wait_until(lambda: line.boot_id != before and line.serves("Tiny-1-0-0"), 30)
    assert line.core.client.component(AGENT).pids == pids  # no start counted
    with AgentClient(line.folder / "legacy.sock") as client:
        assert [model.name for model in client.list()] == ["Tiny-1-0-0"]


def test_a_new_version_waits_for_the_devices_window(line: Line) -> None:
    assert line.deploy_agent().succeeded
    assert line.deploy_model("1.0.0").succeeded
    wait_until(lambda: line.serves("Tiny-1-0-0"), 30)
    line.configure_agent(MaintenanceWindows=[_window(days_from_now=3)])
    assert line.deploy_model("2.0.0").succeeded
    wait_until(lambda: line.waits_for("Tiny-2-0-0"), 30)
    assert line.serves("Tiny-1-0-0")
    assert "waits for the maintenance window" in line.core.log(AGENT)
    wait_until(lambda: "waits for the maintenance window, which opens at" in line.core.log(MODEL), 30)
    before = line.boot_id
    line.kill(AGENT)
    wait_until(lambda: line.boot_id != before and line.waits_for("Tiny-2-0-0"), 30)
    assert line.serves("Tiny-1-0-0")
    line.configure_agent(MaintenanceWindows=[_window(days_from_now=0)])
    wait_until(lambda: line.serves("Tiny-2-0-0"), 30)
    assert not line.waits_for("Tiny-2-0-0")


def _window(days_from_now: int) -> dict[str, Any]:
    """A whole day's, or around now: it opened yesterday, so that no midnight comes between."""
    today = datetime.now(UTC).weekday() + days_from_now
    days = [list(Weekday)[day % 7] for day in (today - 1, today)] if days_from_now == 0 else [list(Weekday)[today % 7]]
    return {"days": days, "start": "00:00", "minutes": 1440}


@pytest.mark.parametrize("line", ["lite"], indirect=True)
def test_a_bad_first_model_breaks_its_component_and_not_the_agent(line: Line) -> None:
    line.deploy_model("1.0.0", golden_shift=0.5)  # on a first deployment there is no agent yet that could refuse it
    assert line.deploy_agent().succeeded
    wait_until(lambda: line.core.client.component(MODEL).state == "BROKEN", 60)
    assert "unproved: no edge agent runs" in line.core.log(MODEL)
    assert "the agent refuses Tiny-1-0-0" in line.core.log(MODEL)
    assert line.core.client.component(AGENT).state == "RUNNING"
