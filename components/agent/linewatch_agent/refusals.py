"""Log lines about refused requests, so that one wrong client does not fill the log."""

import logging
import threading
import time
from collections.abc import Callable

from linewatch_common.logs import capped

log = logging.getLogger(__name__)

# A client that goes on being refused is named this often.
PAUSE_SECONDS = 10.0


class RefusalLog:
    """One line for the first refusal of a kind, then one in PAUSE_SECONDS that counts those between. Safe for concurrent use."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kinds: dict[tuple[str, str], tuple[float, int]] = {}  # last line, refusals since

    def note(self, request: int, call: str, status: str, message: str) -> None:
        """The request of that number was refused with `status`; calls and statuses are few, the message is the client's."""
        now = self._clock()
        with self._lock:
            last, since = self._kinds.get((call, status), (float("-inf"), 0))
            if now - last < PAUSE_SECONDS:
                self._kinds[call, status] = last, since + 1
                return
            self._kinds[call, status] = now, 0
        more = f" ({since} more before)" if since else ""
        log.warning("request %d: %s refused: %s: %s%s", request, call, status, capped(message, 400), more)
