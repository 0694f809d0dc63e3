"""A whole Inspector on a fake bus and a fake agent, with a real ring, journal, ledger and store."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from linewatch_common.clock import utc_now, utc_text
from linewatch_common.config import read_config
from linewatch_common.ledger import LedgerReader
from linewatch_common.messages import (
    AgentStatus,
    Alert,
    FrameCaptured,
    FrameFailed,
    Heartbeat,
    InspectionStored,
    Message,
    Verdict,
    VerdictMessage,
    decode,
    encode,
)
from linewatch_common.messages.status import ComponentState
from linewatch_common.names import AGENT
from linewatch_common.ring import RingWriter, Stamp, frame_id, ring_path
from linewatch_common.service import Context
from linewatch_common.topics import Topics
from linewatch_inspector.component import Inspector
from linewatch_inspector.composition import compose
from linewatch_inspector.config import InspectorConfig

from tests.fakes.bus import FakeBus, FakeCore
from tests.fakes.captures import FakeCaptures
from tests.fakes.predictor import FakePredictor
from tests.unit.inspector.packages import make_package, serving

STATION = "line1"
WIDTH, HEIGHT = 64, 48
GOOD, UNSURE, BAD = 40, 128, 220
PATIENCE = 20.0  # a loaded machine; the tests wait for conditions, never for a time to pass


def wait_until(condition: Callable[[], bool], what: str) -> None:
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up, f"waited {PATIENCE:g} s for {what}"
        time.sleep(0.005)


class Line:
    """Inspector may be started, stopped and started again; ring, agent and core stay."""

    def __init__(self, folder: Path, *, slots: int = 32, **configuration: Any) -> None:
        self.folder = folder
        self.work = folder / "work"
        self.shared = folder / "shm"
        self.shared.mkdir(parents=True)
        self.work.mkdir()
        self.configuration = {"Station": STATION, "SharedMemoryFolder": str(self.shared), **configuration}
        self.topics = Topics(STATION)
        self.core = FakeCore()
        self.camera = self.core.bus()
        self.slots = slots
        self.ring = RingWriter.open(ring_path(self.shared, STATION), slots, WIDTH * HEIGHT * 3)
        self.packages = [folder / "classifier", folder / "segmenter"]
        self.predictor = FakePredictor(
            make_package(self.packages[0], "classifier"), make_package(self.packages[1], "segmenter")
        )
        self.captures = FakeCaptures("TestClassifier-1-0-0")
        self.buses: list[FakeBus] = []
        self.inspector: Inspector | None = None

    @property
    def ledger(self) -> LedgerReader:
        return LedgerReader(self.work / "ledger.db")

    @property
    def journal(self) -> Path:
        return self.shared / f"linewatch-{STATION}.journal"

    def build(self) -> Inspector:
        config, warnings = read_config(InspectorConfig, self.configuration, "test")
        assert warnings == []
        bus = self.core.bus()
        self.buses.append(bus)
        context = Context(name="com.linewatch.Inspector", thing="thing", work=self.work, bus=bus, topics=self.topics)
        return compose(config, context, self.predictor, self.captures)

    def start(self, *, models: bool = True) -> Inspector:
        self.inspector = self.build()
        self.inspector.start()
        if models:
            self.serve(serving(*self.packages))
            wait_until(self.ready, "Inspector to be ready")
        return self.inspector

    def stop(self) -> None:
        if self.inspector is not None:
            self.inspector.stop()
            self.inspector = None
        for bus in self.buses:
            bus.close()
        self.buses.clear()

    def close(self) -> None:
        self.core.away = False
        self.predictor.release()
        self.stop()
        self.camera.close()
        self.ring.close()

    def ready(self) -> bool:
        assert self.inspector is not None
        status = self.inspector.status()
        return status.inspector is not None and status.inspector.ready

    def serve(self, agent: AgentStatus) -> None:
        self.say(
            self.topics.status,
            Heartbeat(
                component=AGENT,
                station=STATION,
                version="1.0.0",
                state=ComponentState.READY,
                at=utc_now(),
                started_at=utc_now(),
                uid=os.getuid(),
                agent=agent,
            ),
        )

    def say(self, topic: str, message: Message) -> None:
        self.camera.publish(topic, encode(message))

    def write(self, level: int = GOOD, *, age_ms: float = 0.0, part_id: str | None = None) -> int:
        """A picture of one grey level, with a bright spot when it is not a good part; into the ring, not announced."""
        pixels = np.full((HEIGHT, WIDTH, 3), level, np.uint8)
        if level == BAD:
            pixels[8:16, 8:16] = 255
        late = int(age_ms * 1e6)
        return self.ring.write_picture(
            pixels.tobytes(),
            width=WIDTH,
            height=HEIGHT,
            stride=3 * WIDTH,
            pixel_format="BGR8",
            stamp=Stamp(time.monotonic_ns() - late, time.time_ns() - late),
            part_id=part_id,
        )

    def announced(self, sequence: int, *, age_ms: float = 0.0, epoch: int | None = None) -> FrameCaptured:
        epoch = self.ring.epoch if epoch is None else epoch
        late = int(age_ms * 1e6)
        return FrameCaptured(
            frame_id=frame_id(STATION, epoch, sequence),
            station=STATION,
            epoch=epoch,
            sequence=sequence,
            ring=str(self.ring.path),
            slot=sequence % self.slots,
            width=WIDTH,
            height=HEIGHT,
            stride=3 * WIDTH,
            pixel_format="BGR8",
            captured_at=utc_text(time.time_ns() - late),
            captured_monotonic_ns=time.monotonic_ns() - late,
        )

    def capture(self, level: int = GOOD, *, age_ms: float = 0.0, part_id: str | None = None) -> str:
        """What the camera does: write, then announce."""
        sequence = self.write(level, age_ms=age_ms, part_id=part_id)
        message = self.announced(sequence, age_ms=age_ms)
        self.say(self.topics.frames, message)
        return message.frame_id

    def fail_capture(self, reason: str, *, announce: bool = True, said_ns: int | None = None) -> str:
        stamp = Stamp.now()
        sequence = self.ring.write_failure(reason, stamp=stamp)
        name = frame_id(STATION, self.ring.epoch, sequence)
        message = FrameFailed(
            frame_id=name,
            station=STATION,
            epoch=self.ring.epoch,
            sequence=sequence,
            reason=reason,
            captured_at=utc_text(stamp.wall_ns),
            captured_monotonic_ns=stamp.monotonic_ns if said_ns is None else said_ns,
        )
        if announce:
            self.say(self.topics.frames, message)
        return name

    def messages(self) -> list[Verdict | InspectionStored]:
        return [decode(raw, VerdictMessage) for raw in self.core.on_topic(self.topics.verdicts)]

    def verdicts(self) -> list[Verdict]:
        return [message for message in self.messages() if isinstance(message, Verdict)]

    def stored(self) -> list[InspectionStored]:
        return [message for message in self.messages() if isinstance(message, InspectionStored)]

    def alerts(self) -> list[Alert]:
        return [decode(raw, Alert) for raw in self.core.on_topic(self.topics.alerts)]

    def alert_states(self) -> list[tuple[str, str]]:
        return [(str(alert.kind), str(alert.state)) for alert in self.alerts()]

    def verdict_of(self, name: str) -> Verdict:
        wait_until(lambda: any(verdict.frame_id == name for verdict in self.verdicts()), f"the verdict of {name}")
        return next(verdict for verdict in self.verdicts() if verdict.frame_id == name)

    def wait_for_verdicts(self, count: int) -> list[Verdict]:
        wait_until(lambda: len(self.verdicts()) >= count, f"{count} verdicts")
        return self.verdicts()

    def wait_for_rows(self, count: int) -> None:
        wait_until(lambda: len(self.ledger.latest(1000)) >= count, f"{count} rows")
