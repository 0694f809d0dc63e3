"""A camera on a fake core, with a test in Inspector's place."""

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from linewatch_camera.__main__ import compose
from linewatch_camera.component import Camera
from linewatch_camera.config import CameraConfig, SourceConfig
from linewatch_camera.gate import INSPECTOR
from linewatch_camera.sources.choice import make_source
from linewatch_camera.sources.port import Source
from linewatch_common.clock import utc_now
from linewatch_common.messages import (
    CommandResult,
    FrameCaptured,
    FrameFailed,
    FrameMessage,
    Heartbeat,
    InspectorStatus,
    Message,
    decode,
    encode,
)
from linewatch_common.messages.status import ComponentState
from linewatch_common.ring import RingReader, ring_path
from linewatch_common.service import Context
from linewatch_common.topics import Topics

from tests.fakes.bus import FakeBus, FakeCore

TOPICS = Topics("line1")


def until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.002)


def inspector_beat(*, ready: bool = True, state: ComponentState = ComponentState.READY) -> bytes:
    """What Inspector says of itself."""
    now = utc_now()
    return encode(
        Heartbeat(
            component=INSPECTOR,
            station="line1",
            version="1",
            state=state,
            at=now,
            started_at=now,
            uid=os.getuid(),
            inspector=InspectorStatus(
                ready=ready, in_use=[], ledger="", store="", outcomes={}, judged_sequence=0, judged_epoch=0
            ),
        )
    )


class Line:
    """One station: a core, a folder for the ring, a work folder; cameras come and go on it."""

    def __init__(self, folder: Path, shm: Path) -> None:
        self.core = FakeCore()
        self.shm = shm
        self.pictures = folder / "pictures"
        self.pictures.mkdir()
        self.work = folder / "work"
        self.work.mkdir()
        self._bus = self.core.bus()

    def config(self, **source: Any) -> CameraConfig:
        given: dict[str, Any] = {"path": str(self.pictures), "frames_per_second": 200.0} | source
        return CameraConfig(
            source=SourceConfig(**given), slots=16, max_frame_megabytes=1, shared_memory_folder=str(self.shm)
        )

    @contextlib.contextmanager
    def camera(self, config: CameraConfig | None = None, source: Source | None = None) -> Iterator[Camera]:
        """A camera, started; stopped at the end."""
        config = config or self.config()
        bus: FakeBus = self.core.bus()
        context = Context(name="com.linewatch.Camera", thing="t", work=self.work, bus=bus, topics=TOPICS)
        made = compose(config, context, source or make_source(config))
        made.start()
        try:
            yield made
        finally:
            made.stop()
            bus.close()

    def inspector(self, **how: Any) -> None:
        """Inspector beats."""
        self._bus.publish(TOPICS.status, inspector_beat(**how))

    def command(self, command: Message) -> None:
        self._bus.publish(TOPICS.commands, encode(command))

    def send_raw(self, topic: str, payload: bytes) -> None:
        self._bus.publish(topic, payload)

    def frames(self) -> list[FrameCaptured | FrameFailed]:
        return [decode(raw, FrameMessage) for raw in self.core.on_topic(TOPICS.frames)]

    def results(self) -> list[CommandResult]:
        return [decode(raw, CommandResult) for raw in self.core.on_topic(TOPICS.command_results)]

    def wait_for_frames(self, count: int) -> list[FrameCaptured | FrameFailed]:
        until(lambda: len(self.frames()) >= count)
        return self.frames()

    def ask(self, command: Message) -> CommandResult:
        """Send a command and wait for the next answer."""
        before = len(self.results())
        self.command(command)
        until(lambda: len(self.results()) > before)
        return self.results()[before]

    def reader(self) -> RingReader:
        return RingReader(ring_path(self.shm, "line1"))


@contextlib.contextmanager
def made_line(folder: Path) -> Iterator[Line]:
    """A line whose ring lies in shared memory when this machine has it."""
    base = "/dev/shm" if Path("/dev/shm").is_dir() else str(folder)
    with tempfile.TemporaryDirectory(prefix="linewatch-test-", dir=base) as shm:
        yield Line(folder, Path(shm))
