"""An in-memory core behind the LocalBus port; tests/contract/test_bus.py holds it to the same contract as GreengrassBus."""

import copy
import logging
import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any

from linewatch_common.bus.port import MessageHandler
from linewatch_common.errors import BusUnavailableError, MessageError
from linewatch_common.messages.base import MAX_MESSAGE_BYTES

log = logging.getLogger(__name__)


class FakeCore:
    """Delivers to every bus made by `bus()`, each on a thread of its own and in order."""

    def __init__(self) -> None:
        self.published: list[tuple[str, bytes]] = []
        self.to_cloud: list[tuple[str, bytes]] = []
        self.away = False
        self._lock = threading.Lock()
        self._buses: list[FakeBus] = []

    def bus(self, configuration: Mapping[str, Any] | None = None) -> "FakeBus":
        """A component's link, with its merged configuration."""
        made = FakeBus(self, dict(configuration or {}))
        with self._lock:
            self._buses.append(made)
        return made

    def deliver(self, topic: str, payload: bytes) -> None:
        with self._lock:
            self.published.append((topic, payload))
            buses = list(self._buses)
        for bus in buses:
            bus.enqueue(topic, payload)

    def on_topic(self, topic: str) -> list[bytes]:
        """Everything published on `topic` so far."""
        with self._lock:
            return [payload for name, payload in self.published if name == topic]


class FakeBus:
    """A LocalBus on a FakeCore."""

    def __init__(self, core: FakeCore, configuration: dict[str, Any]) -> None:
        self._core = core
        self._configuration = configuration
        self._handlers: list[tuple[str, MessageHandler]] = []
        self._inbox: queue.Queue[tuple[str, bytes] | None] = queue.Queue()
        self._dead: str | None = None
        self.away = False  # this link alone
        self.resets: list[str] = []
        self._thread = threading.Thread(target=self._deliver, name="fake-bus", daemon=True)
        self._thread.start()

    @property
    def dead(self) -> str | None:
        return self._dead

    def kill(self, reason: str) -> None:
        """Make the link dead, as a refused token does."""
        self._dead = reason

    def publish(self, topic: str, payload: bytes) -> None:
        self._check(topic, payload)
        self._core.deliver(topic, payload)

    def publish_to_cloud(self, topic: str, payload: bytes) -> None:
        self._check(topic, payload)
        self._core.to_cloud.append((topic, payload))

    def subscribe(self, topic: str, handler: MessageHandler) -> None:
        self._check(topic, b"")
        self._handlers.append((topic, handler))

    def configuration(self) -> Mapping[str, Any]:
        self._check("configuration", b"")
        return copy.deepcopy(self._configuration)

    def watch_configuration(self, on_change: Callable[[], None]) -> None:
        """No deployment changes it here."""

    def reset(self, reason: str) -> None:
        self.resets.append(reason)

    def close(self) -> None:
        self._inbox.put(None)
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=5)

    def enqueue(self, topic: str, payload: bytes) -> None:
        self._inbox.put((topic, payload))

    def _check(self, topic: str, payload: bytes) -> None:
        if len(payload) > MAX_MESSAGE_BYTES:
            raise MessageError(f"{topic}: {len(payload)} bytes, at most {MAX_MESSAGE_BYTES} can be sent")
        if self._core.away or self.away:
            raise BusUnavailableError("no link to the core")

    def _deliver(self) -> None:
        while (item := self._inbox.get()) is not None:
            for topic, handler in list(self._handlers):
                if topic == item[0]:
                    self._call(topic, handler, item[1])

    def _call(self, topic: str, handler: MessageHandler, payload: bytes) -> None:
        try:
            handler(payload)
        except Exception:  # a callback's top: the port promises that the next message is delivered
            log.exception("fake bus: handler of %s failed", topic)
