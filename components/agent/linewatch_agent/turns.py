"""Taking turns."""

import threading
from collections import deque


class FairLock:
    """A lock that is had in the order in which it was asked for, as a context manager.

    threading.Lock goes to whoever asks at the right moment, so that of many clients some wait for several turns.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._held = False
        self._waiting: deque[threading.Lock] = deque()

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        with self._guard:
            return len(self._waiting)

    def acquire(self) -> None:
        """Wait for it."""
        with self._guard:
            if not self._held:
                self._held = True
                return
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        # As long as those before it take.
        turn.acquire()

    def release(self) -> None:
        """Let the next one have it. Any thread may do it."""
        with self._guard:
            if self._waiting:
                self._take_next().release()  # handed over: nobody comes in between
            else:
                self._held = False

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def _take_next(self) -> threading.Lock:
        return self._waiting.popleft()


class WarmLock(FairLock):
    """A lock that goes to whoever asked last: the same few of equal threads work, and the others touch no memory."""

    def _take_next(self) -> threading.Lock:
        return self._waiting.pop()
