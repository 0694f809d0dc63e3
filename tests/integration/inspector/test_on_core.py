"""Inspector, agent and models as processes on a core: real IPC, real kills, a real model update. The test is the camera."""

import json
import os
import random
import shlex
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from linewatch_common.clock import utc_text
from linewatch_common.errors import UnavailableError
from linewatch_common.ledger import LedgerReader
from linewatch_common.messages import (
    Alert,
    FrameCaptured,
    Heartbeat,
    InspectorStatus,
    Message,
    Verdict,
    VerdictMessage,
    decode,
    encode,
)
from linewatch_common.ring import RingWriter, Stamp, frame_id, ring_path

from localcore.testing import RunningCore, running_core, wait_until
from tests.unit.agent.support import make_package, short_folder

AGENT, INSPECTOR = "com.linewatch.EdgeAgent", "com.linewatch.Inspector"
SIDE = 8
GOOD, BAD = 51, 240
ACCESS = {
    "aws.greengrass.ipc.pubsub": {
        "test:pubsub:1": {
            "operations": ["aws.greengrass#PublishToTopic", "aws.greengrass#SubscribeToTopic"],
            "resources": ["linewatch/*"],
        }
    }
}


class Line:
    """Components that run from the checkout on a core; ring, ledger and journal in one folder."""

    def __init__(self, core: RunningCore, folder: Path) -> None:
        self.core = core
        self.folder = folder
        self.ring = RingWriter.open(ring_path(folder, "line1"), 16, SIDE * SIDE)
        self.status: InspectorStatus | None = None
        self.verdicts: list[Verdict] = []
        self.alerts: list[Alert] = []

    def heard(self, topic: str, payload: bytes) -> None:
        if topic.endswith("/status"):
            beat = decode(payload, Heartbeat)
            self.status = beat.inspector or self.status
        elif topic.endswith("/alerts"):
            self.alerts.append(decode(payload, Alert))
        elif isinstance(message := decode(payload, VerdictMessage), Verdict):
            self.verdicts.append(message)

    def deploy(
        self, name: str, version: str, module: str, steps: tuple[str, ...], configuration: dict[str, Any], **setenv: str
    ) -> None:
        recipes = self.folder / "recipes"
        recipes.mkdir(exist_ok=True)
        command = f"exec {shlex.quote(sys.executable)} -m {module}"
        environ = {"LINEWATCH_WORK": "{work:path}", "LINEWATCH_COMPONENT": name, **setenv}
        recipe = {
            "RecipeFormatVersion": "2020-01-25",
            "ComponentName": name,
            "ComponentVersion": version,
            "ComponentConfiguration": {"DefaultConfiguration": {**configuration, "accessControl": ACCESS}},
            "Manifests": [
                {
                    "Platform": {"os": "linux", "runtime": "*"},
                    "Lifecycle": {"Setenv": environ, **{step: {"Script": f"{command} {step}"} for step in steps}},
                    "Artifacts": [],
                }
            ],
        }
        (recipes / f"{name}-{version}.json").write_text(json.dumps(recipe))
        deployment = self.core.client.deploy(recipes=recipes, artifacts=recipes, merge={name: version})
        assert self.core.client.wait(deployment, timeout_s=100).succeeded

    def deploy_model(self, role: str, version: str) -> None:
        name = f"Tiny{role.capitalize()}"
        package = make_package(self.folder / f"{name}-{version}", name=name, version=version, role=role)
        component = f"com.linewatch.model.{name}"
        self.deploy(component, version, "linewatch_model", ("install", "run"), {}, LINEWATCH_PACKAGE=str(package))

    def deploy_all(self) -> None:
        self.deploy(AGENT, "1.0.0", "linewatch_agent", ("run",), {})
        for role in ("classifier", "segmenter"):
            self.deploy_model(role, "1.0.0")
        configuration = {
            "SharedMemoryFolder": str(self.folder),
            "LedgerFolder": str(self.folder / "ledger"),
            "DeadlineMs": 1500,
        }
        self.deploy(INSPECTOR, "1.0.0", "linewatch_inspector", ("run",), configuration)
        wait_until(lambda: self.status is not None and self.status.ready, 60, "Inspector to be ready")

    def kill(self, name: str) -> None:
        [pid] = self.core.client.component(name).pids
        os.kill(pid, signal.SIGKILL)

    def capture(self, level: int, *, announce: bool = True) -> None:
        stamp = Stamp.now()
        pixels = np.full((SIDE, SIDE), level, np.uint8).tobytes()
        sequence = self.ring.write_picture(
            pixels, width=SIDE, height=SIDE, stride=SIDE, pixel_format="Mono8", stamp=stamp
        )
        if not announce:
            return
        message = FrameCaptured(
            frame_id=frame_id("line1", self.ring.epoch, sequence),
            station="line1",
            epoch=self.ring.epoch,
            sequence=sequence,
            ring=str(self.ring.path),
            slot=sequence % 16,
            width=SIDE,
            height=SIDE,
            stride=SIDE,
            pixel_format="Mono8",
            captured_at=utc_text(stamp.wall_ns),
            captured_monotonic_ns=stamp.monotonic_ns,
        )
        self.say("frames", message)

    def say(self, topic: str, message: Message) -> None:
        self.core.client.publish(f"linewatch/line1/{topic}", encode(message))

    @property
    def ledger(self) -> LedgerReader:
        return LedgerReader(self.folder / "ledger" / "ledger.db")

    def rows(self) -> int:
        try:
            return sum(self.ledger.outcomes().values())
        except UnavailableError:
            return 0


@pytest.fixture(params=["lite", "classic"])
def line(request: pytest.FixtureRequest) -> Iterator[Line]:
    with running_core(like=request.param) as core, short_folder() as folder:
        made = Line(core, folder)
        with core.client.subscribe("linewatch/line1/#", lambda topic, raw: _heard(made, topic, raw)):
            yield made
        made.ring.close()


def _heard(line: Line, topic: str, payload: bytes) -> None:
    if topic.rsplit("/", 1)[1] in ("status", "alerts", "verdicts"):
        line.heard(topic, payload)


def test_every_frame_ends_once_through_lost_messages_and_kills(line: Line) -> None:
    line.deploy_all()
    chance = random.Random(5)
    levels = []
    for number in range(1, 161):
        levels.append(chance.choice([GOOD, GOOD, BAD]))
        line.capture(levels[-1], announce=chance.random() > 0.15)
        if number == 40:
            line.kill(INSPECTOR)
        elif number == 90:
            line.kill(AGENT)
        time.sleep(0.04)
    wait_until(lambda: line.rows() >= 160, 30, "a row for each frame")
    parts = sorted(line.ledger.latest(1000), key=lambda part: part.sequence)
    assert [part.sequence for part in parts] == list(range(1, 161))
    assert [part.epoch for part in parts] == [line.ring.epoch] * 160
    # What was judged was judged right, whoever was killed meanwhile.
    for part, level in zip(parts, levels, strict=True):
        if part.outcome in ("pass", "fail", "late"):
            assert (part.judged or part.outcome) == ("fail" if level == BAD else "pass")
    outcomes = Counter(part.outcome for part in parts)
    assert set(outcomes) <= {"pass", "fail", "late", "missed"}
    assert outcomes["pass"] + outcomes["fail"] >= 80
    missed = [part for part in parts if part.outcome == "missed"]
    assert not missed or any(alert.kind == "frames_missed" for alert in line.alerts)
    # The plant heard of every frame, and twice only of what a kill made doubtful.
    heard = Counter(verdict.frame_id for verdict in line.verdicts)
    assert set(heard) == {part.frame_id for part in parts}
    replayed = {verdict.frame_id for verdict in line.verdicts if verdict.replayed}
    assert {name for name, count in heard.items() if count > 1} <= replayed


def test_a_model_update_loses_no_frame(line: Line) -> None:
    line.deploy_all()
    with ThreadPoolExecutor(1) as worker:
        update = worker.submit(line.deploy_model, "classifier", "2.0.0")
        captured = 0
        while not (update.done() and line.status is not None and "TinyClassifier-2-0-0" in line.status.in_use):
            line.capture(BAD)
            captured += 1
            assert captured < 2000, "the update does not end"
            time.sleep(0.04)
        update.result()
    for _ in range(5):
        line.capture(BAD)
        captured += 1
        time.sleep(0.04)
    wait_until(lambda: line.rows() >= captured, 30, "a row for each frame")
    parts = sorted(line.ledger.latest(1000), key=lambda part: part.sequence)[-captured:]
    assert {part.outcome for part in parts} == {"fail"}
    versions = [part.verdict.models[0].version for part in parts]
    assert versions == sorted(versions), "one change-over, between two frames"
    assert (versions[0], versions[-1]) == ("1.0.0", "2.0.0")
