"""Telling the others: frames and answers go out in order from a thread of their own, so that a slow bus never holds up a picture."""

import logging
import threading
from collections import deque

from linewatch_common.backoff import Backoff
from linewatch_common.bus.port import LocalBus
from linewatch_common.errors import BusUnavailableError, LinewatchError
from linewatch_common.messages import Message, encode

log = logging.getLogger(__name__)

# Far more than a ring has slots: an announcement older than that names a frame that is overwritten.
MOST_WAITING = 256
# A core that restarts is away for some seconds; its return should be noticed at once.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 1.0
# At the end: what the core takes at once; a core that is away would hold up the stop.
FLUSH_SECONDS = 1.0


class Announcer:
    """A bounded queue of messages; while the bus is away they wait, and the oldest is dropped (and counted) when it is full.

    A frame whose announcement was dropped still lies in the ring, where Inspector finds it by its number.
    """

    def __init__(self, bus: LocalBus) -> None:
        self._bus = bus
        self._waiting: deque[tuple[str, Message]] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="announcing", daemon=True)

    @property
    def dropped(self) -> int:
        """Messages that were never sent."""
        return self._dropped

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def announce(self, topic: str, message: Message) -> None:
        """Send `message` as soon as the bus takes it. Any thread; does not wait."""
        with self._changed:
            if len(self._waiting) >= MOST_WAITING:
                self._waiting.popleft()
                self._dropped += 1
            self._waiting.append((topic, message))
            self._changed.notify()

    def stop(self) -> None:
        """Send what the bus takes within FLUSH_SECONDS, and end."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(FLUSH_SECONDS)

    def _run(self) -> None:
        backoff = Backoff(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        while (item := self._next()) is not None:
            try:
                self._bus.publish(item[0], encode(item[1]))
                backoff.reset()
            except BusUnavailableError as error:
                log.debug("announcement waits: %s", error)
                if not self._put_back(item, backoff.pause()):
                    return
            except LinewatchError as error:
                self._dropped += 1
                log.error("announcement dropped: %s", error)  # noqa: TRY400 - the line says it all

    def _next(self) -> tuple[str, Message] | None:
        with self._changed:
            while not self._waiting:
                if self._stopping:
                    return None
                self._changed.wait()
            return self._waiting.popleft()

    def _put_back(self, item: tuple[str, Message], pause: float) -> bool:
        """Keep `item` at the front and wait; False when it is time to stop."""
        with self._changed:
            if len(self._waiting) >= MOST_WAITING:
                self._dropped += 1
            else:
                self._waiting.appendleft(item)
            return not (self._stopping or self._changed.wait_for(lambda: self._stopping, pause))
