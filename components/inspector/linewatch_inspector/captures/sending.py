"""The capturing thread: encodes and hands over, behind the verdict and behind the store. It never delays a part.

While the agent is away captures wait, PICTURES of them; beyond that a new one is dropped and counted. Labels are small and wait longer.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from linewatch_agent_api.client import AgentClient, Capture
from linewatch_agent_api.errors import AgentRefusedError, AlreadyExistsError, TooLargeError
from linewatch_common.captured import Stratum
from linewatch_common.clock import utc_now
from linewatch_common.errors import AgentUnavailableError, InputError, UnavailableError
from linewatch_common.heartbeats import HeartbeatWatch
from linewatch_common.logs import Complaints, Trouble
from linewatch_common.messages import LabelVerdict
from linewatch_common.names import AGENT
from linewatch_common.store import SUFFIX, StoredInspection, read_inspection

from linewatch_inspector.captures.choice import Choice
from linewatch_inspector.captures.making import of_inspection, of_label, of_stored
from linewatch_inspector.ended import Ended

log = logging.getLogger(__name__)

PICTURES = 8  # megabytes each
LABELS = 256  # more at once than people can type while an agent restarts
# An agent that starts again, or a spool that is full, is not asked in a loop.
RETRY_SECONDS = 1.0
IDLE_SECONDS = 5.0

# Statuses that tell of the agent's state and not of the capture.
_OF_THE_MOMENT = ("RESOURCE_EXHAUSTED", "NOT_FOUND", "FAILED_PRECONDITION")

T = TypeVar("T")


class Captures(Protocol):
    """Takes captures somewhere else. Called by one thread."""

    def capture(self, endpoint: str, capture: Capture) -> None:
        """Hand over a capture; one whose id was taken already is done.

        Raises AgentUnavailableError when trying again may help (agent away, spool full, model being replaced, no network without a
        spool), InputError when it is refused for good.
        """

    def close(self) -> None:
        """Let go of the connection."""


class AgentCaptures:
    """The edge agent on its unix socket."""

    def __init__(self) -> None:
        self._endpoint = ""
        self._client: AgentClient | None = None

    def capture(self, endpoint: str, capture: Capture) -> None:
        """See Captures."""
        if self._client is None or endpoint != self._endpoint:
            self.close()
            self._client, self._endpoint = AgentClient(endpoint), endpoint
        try:
            self._client.capture(capture)
        except AlreadyExistsError:
            return
        except TooLargeError:
            raise
        except AgentRefusedError as error:
            if error.code in _OF_THE_MOMENT:
                raise AgentUnavailableError(str(error)) from error
            raise

    def close(self) -> None:
        """See Captures."""
        if self._client is not None:
            self._client.close()
        self._client = None


class Capturer:
    """Any thread may call `see` and `label`; the counters may be read by any."""

    def __init__(self, choice: Choice, captures: Captures, heartbeats: HeartbeatWatch, store: Path) -> None:
        self._choice = choice
        self._captures = captures
        self._heartbeats = heartbeats
        self._store = store
        self._pictures: deque[tuple[Ended, Stratum]] = deque()
        self._labels: deque[tuple[LabelVerdict, str]] = deque()
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._held_up = Trouble(log, "capture")
        self._refused = Complaints(log, "capture given up")
        self.taken = 0
        self.dropped = 0

    def see(self, item: Ended) -> None:
        """A verdict is out; captured when the choice falls on it."""
        stratum = self._choice.stratum(item.verdict) if item.had_picture else None
        if stratum is not None:
            self._queue(self._pictures, (item, stratum), 0 if item.picture_given_up else PICTURES)

    def label(self, command: LabelVerdict) -> None:
        """The ledger took a person's word."""
        if self._choice.any:
            self._queue(self._labels, (command, utc_now()), LABELS)

    def start(self) -> None:
        """Begin, when captures are wanted."""
        if self._choice.any:
            self._thread = threading.Thread(target=self._run, name="capturing", daemon=True)
            self._thread.start()

    def stop(self, seconds: float) -> None:
        """End; what waits is dropped and counted: it was never promised."""
        self._stop.set()
        with self._changed:
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(seconds)
        self._captures.close()
        self.dropped += len(self._pictures) + len(self._labels)

    def _queue(self, waiting: deque[T], item: T, limit: int) -> None:
        with self._changed:
            if len(waiting) >= limit or self._stop.is_set():
                self.dropped += 1
                return
            waiting.append(item)
            self._changed.notify()

    def _run(self) -> None:
        while not self._stop.is_set():
            with self._changed:
                if not self._pictures and not self._labels:
                    self._changed.wait(IDLE_SECONDS)
            if not self._step():
                self._stop.wait(RETRY_SECONDS)

    def _step(self) -> bool:
        """Everything that waits, one after the other; False when the rest must wait a moment."""
        return self._drain(self._labels, self._send_label) and self._drain(self._pictures, self._send_picture)

    def _drain(self, waiting: deque[T], send: Callable[[T], None]) -> bool:
        while waiting and not self._stop.is_set():
            try:
                send(waiting[0])
                self._held_up.over()
            except UnavailableError as error:
                self._held_up.met(error)
                return False
            except InputError as error:
                self.dropped += 1
                self._refused.note(error)
            except Exception:  # a thread's top: a capture that breaks us must not hold up the others
                self.dropped += 1
                log.exception("capturing: an internal error")
            else:
                self.taken += 1
            with self._changed:
                waiting.popleft()
        return True

    def _send_picture(self, chosen: tuple[Ended, Stratum]) -> None:
        endpoint, models = self._agent()
        self._captures.capture(endpoint, of_inspection(*chosen, self._choice.percent, models))

    def _send_label(self, labelled: tuple[LabelVerdict, str]) -> None:
        command, at = labelled
        endpoint, models = self._agent()
        self._captures.capture(endpoint, of_label(command, models[0], at))
        for path in sorted(self._store.glob(f"[0-9]*/{command.frame_id}{SUFFIX}")):
            stored = self._readable(path)
            if stored and stored.verdict.models and self._choice.stratum(stored.verdict) is None:
                self._captures.capture(endpoint, of_stored(stored, models))

    def _readable(self, path: Path) -> StoredInspection | None:
        """None for a file that went meanwhile or that its disk does not give back: what comes after it must not wait for it."""
        try:
            return read_inspection(path)
        except (InputError, UnavailableError) as error:
            self.dropped += 1
            self._held_up.met(error)
            return None

    def _agent(self) -> tuple[str, list[str]]:
        """The agent's socket, and the models that it serves, at least one. Raises AgentUnavailableError while it is away."""
        beat = self._heartbeats.latest(AGENT)
        status = beat.agent if beat is not None else None
        if status is None or not status.roles:
            raise AgentUnavailableError("no agent with a model is heard")
        return status.endpoint, [served.identifier for _, served in sorted(status.roles.items())]
