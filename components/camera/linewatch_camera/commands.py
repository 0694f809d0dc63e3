"""Commands from the bus: taken in order, each carried out once."""

import logging
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from linewatch_common.errors import MessageError
from linewatch_common.logs import Complaints
from linewatch_common.messages import (
    Command,
    CommandResult,
    LabelVerdict,
    PauseCapture,
    ResumeCapture,
    SetPartId,
    TriggerCapture,
    decode,
)
from linewatch_common.ring.layout import MAX_TEXT_BYTES, fits_text

log = logging.getLogger(__name__)

CameraCommand = TriggerCapture | PauseCapture | ResumeCapture | SetPartId

# A trigger that waits behind 32 others would show another part.
MOST_WAITING = 32
# A sender repeats a command within seconds when it misses the answer; this is minutes of parts.
ANSWERS_REMEMBERED = 512


@dataclass(frozen=True, slots=True)
class Request:
    """A command and when it came, CLOCK_MONOTONIC in nanoseconds."""

    command: CameraCommand
    received_ns: int


class CommandDesk:
    """Takes commands on the bus thread, hands them to the capture thread, remembers the answers."""

    def __init__(self, component: str, answer: Callable[[CommandResult], None]) -> None:
        self._component = component
        self._answer = answer
        self._queue: queue.Queue[Request | None] = queue.Queue(MOST_WAITING)
        self._answers: OrderedDict[str, CommandResult] = OrderedDict()
        self._refused = 0
        self._unreadable = Complaints(log, "command refused")
        self._counting = threading.Lock()

    @property
    def refused(self) -> int:
        """Commands that were unreadable or not carried out."""
        return self._refused

    def receive(self, raw: bytes) -> None:
        """Handler of the commands topic."""
        received_ns = time.monotonic_ns()
        try:
            command: Command = decode(raw, Command)
        except MessageError as error:
            self._count_refused()
            self._unreadable.note(error)
            return
        if isinstance(command, LabelVerdict):
            return  # Inspector's
        try:
            self._queue.put_nowait(Request(command, received_ns))
        except queue.Full:
            self.rejected(command.command_id, f"{MOST_WAITING} commands wait already")

    def next(self, timeout: float) -> Request | None:
        """The next new command, or None after `timeout` seconds or `wake`. A repeated one is answered here as it was before."""
        try:
            request = self._queue.get(timeout=max(timeout, 0.0)) if timeout > 0 else self._queue.get_nowait()
        except queue.Empty:
            return None
        if request is None:
            return None
        command = request.command
        known = self._answers.get(command.command_id)
        if known is not None:
            self._answer(known)
            return None
        part_id = command.part_id if isinstance(command, (TriggerCapture, SetPartId)) else None
        if not (fits_text(command.command_id) and fits_text(part_id)):
            self.rejected(command.command_id, f"command_id and part_id take at most {MAX_TEXT_BYTES} bytes of UTF-8")
            return None
        return request

    def accepted(self, command_id: str, *, frame_id: str | None = None, reason: str = "") -> None:
        """Answer that the command was carried out, now and whenever it is repeated."""
        result = self._result(command_id, accepted=True, frame_id=frame_id, reason=reason)
        self._keep(result)
        self._answer(result)

    def rejected(self, command_id: str, reason: str) -> None:
        """Answer that the command was not carried out; the same one may be sent again and succeed then."""
        self._count_refused()
        self._answer(self._result(command_id, accepted=False, reason=reason))

    def remember(self, command_id: str, frame_id: str) -> None:
        """A trigger that an earlier process carried out."""
        self._keep(self._result(command_id, accepted=True, frame_id=frame_id))

    def wake(self) -> None:
        """Make `next` return."""
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            return  # it returns with a command

    def _count_refused(self) -> None:
        """The bus thread and the capture thread both refuse."""
        with self._counting:
            self._refused += 1

    def _keep(self, result: CommandResult) -> None:
        self._answers[result.command_id] = result
        if len(self._answers) > ANSWERS_REMEMBERED:
            self._answers.popitem(last=False)

    def _result(
        self, command_id: str, *, accepted: bool, frame_id: str | None = None, reason: str = ""
    ) -> CommandResult:
        return CommandResult(
            command_id=command_id,
            component=self._component,
            accepted=accepted,
            reason=reason[:300],
            frame_id=frame_id,
        )
