"""The camera as a process on a core: real IPC, real kills, its own recipe's rights."""

import contextlib
import functools
import json
import os
import random
import shlex
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from linewatch_common.errors import MessageError
from linewatch_common.messages import (
    CommandResult,
    FrameCaptured,
    FrameFailed,
    FrameMessage,
    Heartbeat,
    TriggerCapture,
    decode,
    encode,
)
from linewatch_common.messages.status import CameraStatus
from linewatch_common.ring import RingReader, ring_path
from linewatch_common.topics import Topics

from localcore.testing import RunningCore, running_core, wait_until
from tests.integration.camera.test_rtsp import free_port, missing_server, rtsp_server
from tests.unit.camera.line import inspector_beat
from tests.unit.camera.pictures import save

CAMERA = "com.linewatch.Camera"
TOPICS = Topics("line1")
RECIPE = Path(__file__).parents[3] / "recipes" / f"{CAMERA}.json"


class Line:
    """A core with the camera of the checkout, and all that it said; the test is in Inspector's place."""

    def __init__(self, core: RunningCore, folder: Path, shm: Path) -> None:
        self.core = core
        self.folder = folder
        self.shm = shm
        self.pictures = folder / "pictures"
        self.pictures.mkdir()
        self.frames: list[FrameCaptured | FrameFailed] = []
        self.results: list[CommandResult] = []
        self.camera: CameraStatus | None = None
        self.reason = ""
        self.reconnects = 0

    def heard(self, topic: str, payload: bytes) -> None:
        with contextlib.suppress(MessageError):
            if topic == TOPICS.frames:
                self.frames.append(decode(payload, FrameMessage))
            elif topic == TOPICS.command_results:
                self.results.append(decode(payload, CommandResult))
            elif topic == TOPICS.status:
                beat: Heartbeat = decode(payload, Heartbeat)
                if beat.component == CAMERA:
                    self.camera, self.reason = beat.camera, beat.reason
                    self.reconnects = beat.counters["reconnects"]

    def deploy(self, **source: Any) -> None:
        """The camera with its recipe's rights and defaults, run from the checkout."""
        recipe = json.loads(RECIPE.read_text())
        script = f"exec {shlex.quote(sys.executable)} -m linewatch_camera run"
        recipe["Manifests"] = [
            {
                "Platform": {"os": "linux", "runtime": "*"},
                "Lifecycle": {"Setenv": {"LINEWATCH_WORK": "{work:path}"}, "run": {"Script": script}},
                "Artifacts": [],
            }
        ]
        recipes, artifacts = self.folder / "recipes", self.folder / "artifacts"
        for folder in (recipes, artifacts):
            folder.mkdir(exist_ok=True)
        version = recipe["ComponentVersion"]
        (recipes / f"{CAMERA}-{version}.json").write_text(json.dumps(recipe))
        self.configure(version, {"Source": {"Path": str(self.pictures)} | source}, recipes=recipes, artifacts=artifacts)

    def configure(self, version: str, update: dict[str, Any], **folders: Path) -> None:
        merge = {"SharedMemoryFolder": str(self.shm), "Slots": 64, "MaxFrameMegabytes": 1} | update
        deployment = self.core.client.deploy(
            merge={CAMERA: version},
            configuration={CAMERA: {"merge": merge}},
            recipes=folders.get("recipes"),
            artifacts=folders.get("artifacts"),
        )
        assert self.core.client.wait(deployment, timeout_s=60).succeeded

    def pids(self) -> tuple[int, ...]:
        return self.core.client.component(CAMERA).pids

    def has_frames(self, count: int) -> bool:
        return len(self.frames) >= count

    def has_other_pids(self, old: tuple[int, ...]) -> bool:
        return self.pids() not in ((), old)

    def parts(self) -> list[str | None]:
        return [frame.part_id for frame in self.frames]


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    base = "/dev/shm" if Path("/dev/shm").is_dir() else str(tmp_path)
    shm = Path(tempfile.mkdtemp(prefix="linewatch-test-", dir=base))
    stop = threading.Event()
    with running_core(like="lite", max_errors=100) as core:
        made = Line(core, tmp_path, shm)

        def be_inspector() -> None:
            while not stop.wait(0.5):
                core.client.publish(TOPICS.status, inspector_beat())

        beating = threading.Thread(target=be_inspector)
        with contextlib.ExitStack() as stack:
            for topic in (TOPICS.frames, TOPICS.command_results, TOPICS.status):
                stack.enter_context(core.client.subscribe(topic, made.heard))
            beating.start()
            try:
                yield made
            finally:
                stop.set()
                beating.join()
    shutil.rmtree(shm, ignore_errors=True)


def test_no_part_is_lost_or_taken_twice_however_often_the_camera_is_killed(line: Line) -> None:
    for number in range(1, 61):
        save(line.pictures / f"p{number}.png", np.full((8, 8), number, np.uint8))
    line.deploy(FramesPerSecond=20.0)
    chance = random.Random(4)
    for step in (5, 15, 25, 35):
        wait_until(functools.partial(line.has_frames, step), 30, f"frame {step}")
        threading.Event().wait(chance.uniform(0, 0.05))
        before = line.pids()
        os.kill(before[-1], signal.SIGKILL)
        wait_until(functools.partial(line.has_other_pids, before), 30, "a new camera")
    wait_until(lambda: line.camera is not None and line.camera.ended, 30, "the end")
    reader = RingReader(ring_path(line.shm, "line1"))
    assert reader.write_sequence == 60
    in_ring = [reader.read(number).part_id for number in range(1, 61)]
    assert in_ring == [f"p{number}" for number in range(1, 61)], "each part once, in order"
    # An announcement may die with the camera; the frame in the ring does not, and Inspector finds it by its number.
    assert len(set(line.parts())) == len(line.frames) >= 56
    assert line.parts() == sorted(set(line.parts()), key=lambda part: int(str(part)[1:]))


def test_a_change_of_the_configuration_takes_effect_and_triggers_are_answered(line: Line) -> None:
    line.deploy()
    wait_until(lambda: "no PNG, JPEG, BMP or TIFF pictures" in line.reason, 30, "a clear reason")
    save(line.pictures / "p1.png", np.full((8, 8), 1, np.uint8))
    wait_until(lambda: line.parts() == ["p1"], 30, "the picture")
    save(line.pictures / "p2.png", np.full((8, 8), 2, np.uint8))
    pids = line.pids()
    line.configure("1.0.0", {"TriggerMode": "software"})

    def answered() -> bool:
        line.core.client.publish(TOPICS.commands, encode(TriggerCapture(command_id="c1", part_id="X")))
        threading.Event().wait(0.2)
        return any(result.accepted for result in line.results)

    wait_until(answered, 30, "an answer")
    assert line.pids() == pids, "the process replaced itself"
    accepted = [result for result in line.results if result.accepted]
    assert {result.frame_id for result in accepted} == {line.frames[-1].frame_id}
    assert line.parts() == ["p1", "X"]


def test_a_pulled_cable_shows_in_the_heartbeat_and_is_mended_without_a_restart(line: Line) -> None:
    reason = missing_server()
    if reason:
        pytest.skip(reason)
    port = free_port()
    line.deploy(Kind="rtsp", Url=f"rtsp://u:p@127.0.0.1:{port}/live")
    away = f"rtsp rtsp://127.0.0.1:{port}/live: no stream there, or no answer in time"
    wait_until(lambda: line.reason == away, 30, "a clear reason")
    with rtsp_server(port, "protected"):
        wait_until(lambda: len(line.frames) >= 3, 60, "frames")
        wait_until(lambda: line.reason == "", 30, "a good heartbeat")
    wait_until(lambda: line.reason.startswith(f"rtsp rtsp://127.0.0.1:{port}/live: "), 30, "a reason")
    before = len(line.frames)
    pids = line.pids()
    with rtsp_server(port, "protected"):
        wait_until(lambda: len(line.frames) >= before + 3, 60, "frames again")
        wait_until(lambda: line.reconnects == 1, 30, "the counter")
    assert line.pids() == pids
    assert all(isinstance(frame, FrameCaptured) for frame in line.frames)
    log = line.core.log(CAMERA)
    assert "u:p@" not in log
    assert log.count("WARNING") <= 4, "one line for a change, not one for each try"
    assert "DESCRIBE" not in log
    assert "[ WARN" not in log
