"""From the bus's thread to the event loop."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from enum import Enum

# Two minutes of verdicts at 5 frames a second, and at 7 KB each at most 9 MB.
CAPACITY = 1280


class Source(Enum):
    """Which topic a message came from."""

    VERDICTS = "verdicts"
    ALERTS = "alerts"
    STATUS = "status"
    MODELS = "models"
    RESULTS = "command results"


class Inbox:
    """Bounded queue of raw messages; when it is full the oldest is dropped and counted, since the page shows the newest."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._lock = threading.Lock()
        self._items: deque[tuple[Source, bytes]] = deque(maxlen=capacity)
        self._wake: Callable[[], object] | None = None
        self.dropped = 0

    def handler(self, source: Source) -> Callable[[bytes], None]:
        """What to give to LocalBus.subscribe."""
        return lambda raw: self.put(source, raw)

    def put(self, source: Source, raw: bytes) -> None:
        """Any thread; never blocks."""
        with self._lock:
            self.dropped += len(self._items) == self._items.maxlen
            self._items.append((source, raw))
            wake = self._wake
        if wake is not None:
            wake()

    def drain(self) -> list[tuple[Source, bytes]]:
        """Everything queued, the oldest first."""
        with self._lock:
            items = list(self._items)
            self._items.clear()
        return items

    def wake_by(self, loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
        """From now on set `event` on `loop` with each message."""

        def wake() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)

        with self._lock:
            self._wake = wake
        event.set()

    def detach(self) -> None:
        """Wake nobody any more: the loop ends."""
        with self._lock:
            self._wake = None
