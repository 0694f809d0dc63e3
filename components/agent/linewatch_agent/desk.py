"""The agent on the bus: offers and withdrawals in, answers out."""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable

from linewatch_common.bus.port import LocalBus
from linewatch_common.errors import BusUnavailableError, MessageError
from linewatch_common.heartbeats import HeartbeatWatch
from linewatch_common.logs import Complaints
from linewatch_common.messages.base import Message, decode, encode
from linewatch_common.messages.models import ModelMessage, ModelOffered, ModelProved, ModelRefused, ModelRetired
from linewatch_common.topics import Topics

from linewatch_agent.counters import Counters
from linewatch_agent.roles import Roles

log = logging.getLogger(__name__)

INSPECTOR = "com.linewatch.Inspector"
# Offers are repeated until they are answered: when the queue is full, the newest message is dropped and counted.
MAX_QUEUED = 64
# How often is looked for what can be retired, and for what has ended.
TICK_SECONDS = 1.0
# A package that is being loaded is waited for; the runtimes send SIGKILL some seconds after SIGTERM.
STOP_SECONDS = 5.0
# A trial's offer is repeated while the golden set runs; its answer is kept for these.
KEPT_ANSWERS = 32


class ModelDesk:
    """Restores the models, then answers the topic `models`, all on one thread of its own."""

    def __init__(self, roles: Roles, bus: LocalBus, topics: Topics, counters: Counters) -> None:
        self._roles = roles
        self._bus = bus
        self._topics = topics
        self._counters = counters
        self._inbox: queue.Queue[bytes | None] = queue.Queue(MAX_QUEUED)
        self._beats = HeartbeatWatch()
        self._answers: dict[str, Message] = {}
        self._stopping = threading.Event()
        self._unreadable = Complaints(log, "models")
        self._thread = threading.Thread(target=self._work, name="models", daemon=True)
        self.restored = threading.Event()

    def start(self) -> None:
        """Raises as LocalBus.subscribe."""
        self._bus.subscribe(self._topics.status, self._beats.receive)
        self._bus.subscribe(self._topics.models, self._enqueue)
        self._thread.start()

    def stop(self) -> None:
        """End after the message at hand."""
        self._stopping.set()
        self._roles.stop()
        with contextlib.suppress(queue.Full):
            self._inbox.put_nowait(None)  # wakes the thread; a full queue does so too
        if self._thread.is_alive():
            self._thread.join(timeout=STOP_SECONDS)

    def _enqueue(self, raw: bytes) -> None:
        try:
            self._inbox.put_nowait(raw)
        except queue.Full:
            self._counters.add("messages_dropped")

    def _work(self) -> None:
        self._guarded(self._roles.restore)
        self.restored.set()
        due = time.monotonic() + TICK_SECONDS
        while not self._stopping.is_set():
            try:
                raw = self._inbox.get(timeout=max(0.0, min(due - time.monotonic(), TICK_SECONDS)))
            except queue.Empty:
                raw = None
            if raw is not None:
                self._guarded(lambda raw=raw: self._handle(raw))  # type: ignore[misc]  # bound to this turn's message
            if time.monotonic() >= due:
                self._guarded(self._roles.reload_due)
                self._guarded(self._retire)
                due = time.monotonic() + TICK_SECONDS

    def _handle(self, raw: bytes) -> None:
        message = decode(raw, ModelMessage)
        if isinstance(message, ModelOffered):
            self._publish(self._answer(message))
        elif isinstance(message, ModelRetired):
            self._roles.withdrawn(message)

    def _answer(self, offer: ModelOffered) -> Message:
        known = self._answers.get(offer.nonce)
        if known is not None:
            return known
        answer = self._roles.answer(offer)
        if isinstance(answer, ModelProved | ModelRefused):
            self._answers[offer.nonce] = answer
            while len(self._answers) > KEPT_ANSWERS:
                del self._answers[next(iter(self._answers))]
        return answer

    def _retire(self) -> None:
        beat = self._beats.latest(INSPECTOR)
        in_use = beat.inspector.in_use if beat is not None and beat.inspector is not None else None
        heard_at = time.monotonic() - self._beats.age(INSPECTOR)
        for message in self._roles.retire_due(in_use, heard_at):
            self._publish(message)

    def _publish(self, message: Message) -> None:
        try:
            self._bus.publish(self._topics.models, encode(message))
        except (BusUnavailableError, MessageError) as error:
            # Who waits for an answer offers again; the heartbeat carries the state.
            log.warning("answer not sent: %s", error)

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except MessageError as error:
            self._unreadable.note(error)
        except Exception:  # a thread's top: one bad message must not end the desk
            log.exception("models: a step failed")
