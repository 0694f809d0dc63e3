"""The camera as a component.

Threads: `capture` (capture.py) owns the source, the ring and the answers to commands; `announcing` (announcing.py) sends, in order, what
capture hands it; a live source has one more that drains the device (sources/live.py). The bus thread only puts commands into a bounded
queue and notes heartbeats. The main thread starts, stops, and reads counters, which only their owner changes.
"""

import logging
import threading

from linewatch_common.bus.port import LocalBus
from linewatch_common.heartbeats import HeartbeatWatch, Status
from linewatch_common.messages.status import CameraStatus, ComponentState
from linewatch_common.topics import Topics

from linewatch_camera.announcing import Announcer
from linewatch_camera.capture import Capture
from linewatch_camera.commands import CommandDesk
from linewatch_camera.output import FrameOutput
from linewatch_camera.sources.port import Source

log = logging.getLogger(__name__)

NAME = "com.linewatch.Camera"
# A live source's read ends within its read timeout; the runtime kills after 15 s.
STOP_SECONDS = 5.0


class Camera:
    """A `service.Component`."""

    def __init__(
        self,
        bus: LocalBus,
        topics: Topics,
        *,
        source: Source,
        output: FrameOutput,
        desk: CommandDesk,
        watch: HeartbeatWatch,
        announcer: Announcer,
        capture: Capture,
    ) -> None:
        self._bus = bus
        self._topics = topics
        self._source = source
        self._output = output
        self._desk = desk
        self._watch = watch
        self._announcer = announcer
        self._capture = capture
        self._thread = threading.Thread(target=capture.run, name="capture", daemon=True)

    def start(self) -> None:
        """See Component. Raises as LocalBus.subscribe."""
        self._bus.subscribe(self._topics.status, self._watch.receive)
        self._bus.subscribe(self._topics.commands, self._desk.receive)
        self._announcer.start()
        self._thread.start()

    def stop(self) -> None:
        """See Component."""
        self._capture.stop()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)
        self._announcer.stop()

    def status(self) -> Status:
        """See Component."""
        state, reason = self._state()
        return Status(state=state, reason=reason, counters=self._counters(), camera=self._camera_status())

    def _state(self) -> tuple[ComponentState, str]:
        capture = self._capture
        if not self._thread.is_alive():
            return ComponentState.DEGRADED, "the capture thread has ended: see the log"
        if self._output.writer is None and not capture.trouble:
            return ComponentState.STARTING, ""
        held_up = capture.trouble or capture.waiting
        if held_up:
            return ComponentState.DEGRADED, held_up
        at_rest = "the source has ended" if capture.ended else "paused by command" if capture.paused else ""
        return ComponentState.READY, at_rest

    def _counters(self) -> dict[str, int]:
        return {
            "captured": self._output.captured,
            "failed": self._output.failed,
            "announcements_dropped": self._announcer.dropped,
            "reconnects": self._source.reconnects,
            "frames_discarded": self._source.discarded,
            "commands_refused": self._desk.refused,
        }

    def _camera_status(self) -> CameraStatus | None:
        writer = self._output.writer
        if writer is None:
            return None
        return CameraStatus(
            ring=str(writer.path),
            epoch=writer.epoch,
            sequence=writer.sequence,
            source=self._source.name,
            paused=self._capture.paused or bool(self._capture.waiting),
            ended=self._capture.ended,
        )
