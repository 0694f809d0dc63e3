"""The capture thread: commands, deadlines and the source, one after the other."""

import logging
import threading
import time
from dataclasses import dataclass

from linewatch_common.backoff import Backoff
from linewatch_common.errors import InputError, StorageError, UnavailableError
from linewatch_common.messages import PauseCapture, ResumeCapture, SetPartId, TriggerCapture
from linewatch_common.ring import Stamp

from linewatch_camera.commands import CommandDesk, Request
from linewatch_camera.gate import InspectorGate
from linewatch_camera.output import FrameOutput
from linewatch_camera.pacing import Pacer
from linewatch_camera.sources.port import Picture, Source, SourceEnded, SourceFailure

log = logging.getLogger(__name__)

# How soon a change of Inspector's readiness or a mended source is noticed.
IDLE_SECONDS = 0.1
FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 0.1, 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureSettings:
    """How pictures are taken. `limit` 0 means no end."""

    station: str
    software_trigger: bool
    frames_per_second: float
    limit: int


class Capture:
    """Takes pictures until told to stop. `run` is the thread; the properties may be read from any."""

    def __init__(
        self, settings: CaptureSettings, source: Source, output: FrameOutput, desk: CommandDesk, gate: InspectorGate
    ) -> None:
        self._settings = settings
        self._source = source
        self._output = output
        self._desk = desk
        self._gate = gate
        self._pacer = Pacer(settings.frames_per_second)
        self._retry = Backoff(FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS)
        self._retry_at = 0.0
        self._stopping = threading.Event()
        self._next_part: str | None = None
        self.paused = False
        self.ended = False
        self.trouble = ""
        self.waiting = ""

    def run(self) -> None:
        """Until `stop`."""
        try:
            while not self._stopping.is_set():
                self._turn()
        finally:
            self._source.close()
            self._output.close()

    def stop(self) -> None:
        """Any thread: end soon."""
        self._stopping.set()
        self._desk.wake()

    def _turn(self) -> None:
        try:
            # First the ring: it remembers which triggers an earlier process carried out.
            ready = self._make_ready()
            request = self._desk.next(self._patience())
            if self._stopping.is_set():
                return
            if request is not None:
                self._carry_out(request)
            elif ready and self._patience() <= 0:
                self._take_freely()
        except Exception as error:  # the thread's top: a surprise in one turn must not leave a camera that does nothing
            log.exception("capture: unexpected")
            self._in_trouble(f"unexpected: {type(error).__name__}: {error}")

    def _patience(self) -> float:
        """Seconds until a picture is due without a command."""
        if not self._runs_freely() or time.monotonic() < self._retry_at:
            return IDLE_SECONDS
        return self._pacer.remaining()

    def _runs_freely(self) -> bool:
        free = not (self._settings.software_trigger or self.paused or self.ended)
        waiting = self._gate.hindrance() if free else ""
        if free and waiting != self.waiting:
            log.info("%s", waiting or "Inspector is ready: taking pictures")
            self._pacer.restart()
        self.waiting = waiting
        return free and not waiting

    def _make_ready(self) -> bool:
        """True when there is a ring to write to."""
        if self._output.writer is not None:
            return True
        if time.monotonic() < self._retry_at:
            return False
        try:
            triggered = self._output.open()
        except StorageError as error:
            self._in_trouble(str(error))
            return False
        for command_id, name in triggered:
            self._desk.remember(command_id, name)
        self._source.start(self._cursor())
        self._end_at_limit()
        self._out_of_trouble()
        return True

    def _cursor(self) -> int:
        """How far the source is."""
        return 0 if self._output.writer is None else self._output.writer.cursor

    def _take_freely(self) -> None:
        try:
            taken = self._source.read()
        except SourceEnded:
            self._end("the source has no further pictures")
            return
        except UnavailableError as error:
            self._in_trouble(str(error))
            self._pacer.restart()
            return
        self._out_of_trouble()
        self._pacer.taken()
        self._store(taken, None, None, "free-run")

    def _carry_out(self, request: Request) -> None:
        command = request.command
        match command:
            case TriggerCapture():
                self._trigger(command, request.received_ns)
            case PauseCapture():
                self.paused = True
                log.info("paused by command")
                self._desk.accepted(command.command_id)
            case ResumeCapture():
                self.paused = False
                self._pacer.restart()
                log.info("resumed by command")
                self._desk.accepted(command.command_id)
            case SetPartId():
                self._next_part = command.part_id
                self._desk.accepted(command.command_id)

    def _trigger(self, command: TriggerCapture, received_ns: int) -> None:
        refusal = self._refusal()
        if refusal:
            self._desk.rejected(command.command_id, refusal)
            return
        try:
            taken = self._source.read(received_ns)
        except SourceEnded:
            self._end("the source has no further pictures")
            self._desk.rejected(command.command_id, "the source has no further pictures")
            return
        except UnavailableError as error:
            self._in_trouble(str(error))
            taken = SourceFailure(reason=str(error), stamp=_stamp_of(received_ns), cursor=self._cursor())
        else:
            self._out_of_trouble()
        name = self._store(taken, command.part_id, command.command_id, "software")
        if name is not None:
            reason = taken.reason if isinstance(taken, SourceFailure) else ""
            self._desk.accepted(command.command_id, frame_id=name, reason=reason)

    def _refusal(self) -> str:
        """Why a trigger cannot be carried out now, or nothing."""
        if not self._settings.software_trigger:
            return "TriggerMode is free-run: triggers are not taken"
        if self.paused:
            return "capture is paused"
        if self.ended:
            return "the source has ended"
        if self._output.writer is None:
            return f"there is no ring to write to: {self.trouble}"
        return ""

    def _store(
        self, taken: Picture | SourceFailure, part_id: str | None, command_id: str | None, trigger: str
    ) -> str | None:
        """Write and announce; the frame's name, or None when the camera was stopped before the ring took it."""
        part_id = part_id or self._next_part or taken.part_id
        held_up = False
        while not self._stopping.is_set():
            try:
                name = self._output.put(taken, part_id=part_id, command_id=command_id, trigger=trigger)
            except StorageError as error:
                # The picture is kept: what was taken is not lost because the memory is full for a while.
                self._in_trouble(str(error))
                held_up = True
                self._stopping.wait(max(0.0, self._retry_at - time.monotonic()))
            except InputError as error:
                taken = SourceFailure(reason=str(error), stamp=taken.stamp, part_id=taken.part_id, cursor=taken.cursor)
            else:
                self._next_part = None
                if held_up:
                    self._out_of_trouble()
                self._end_at_limit()
                return name
        return None

    def _end_at_limit(self) -> None:
        writer, limit = self._output.writer, self._settings.limit
        if writer is not None and limit and writer.sequence >= limit:
            self._end(f"{writer.sequence} pictures are taken, Limit is {limit}")

    def _end(self, why: str) -> None:
        if not self.ended:
            log.info("%s: the end: %s", self._source.name, why)
        self.ended = True
        self._out_of_trouble()

    def _in_trouble(self, reason: str) -> None:
        # What stands in brackets may change all the time.
        if reason.partition(" (")[0] != self.trouble.partition(" (")[0]:
            log.warning("%s", reason)
        self.trouble = reason
        self._retry_at = time.monotonic() + self._retry.pause()

    def _out_of_trouble(self) -> None:
        if self.trouble:
            log.info("working again, after: %s", self.trouble)
        self.trouble = ""
        self._retry_at = 0.0
        self._retry.reset()


def _stamp_of(monotonic_ns: int) -> Stamp:
    """The stamp of a moment that is over."""
    return Stamp(monotonic_ns, time.time_ns() - (time.monotonic_ns() - monotonic_ns))
