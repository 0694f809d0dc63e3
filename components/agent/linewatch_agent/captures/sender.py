"""The thread that sends complete segments, oldest first, and tries again for as long as it takes."""

import logging
import threading
from collections.abc import Callable

from linewatch_common.backoff import Backoff
from linewatch_common.errors import CorruptStateError, UnavailableError

from linewatch_agent.captures.pushes import Destination, RefusedLinesError, push_of
from linewatch_agent.captures.segments import Segment
from linewatch_agent.captures.spool import Spool
from linewatch_agent.captures.timing import Timing

log = logging.getLogger(__name__)


class Sender:
    """Sends what `spool` holds to `destination`. `changed` guards the spool.

    `on_delivered` is called without it, with the segment, how many of its captures could be read, and the
    places of those among them that the destination refused for good.
    """

    def __init__(
        self,
        spool: Spool,
        destination: Destination,
        changed: threading.Condition,
        on_delivered: Callable[[Segment, int, frozenset[int]], None],
        timing: Timing,
    ) -> None:
        self._spool = spool
        self._destination = destination
        self._changed = changed
        self._on_delivered = on_delivered
        self._idle_seconds = timing.idle
        self._backoff = Backoff(timing.first_pause, timing.longest_pause)
        self._failing = False
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="capture-sender", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Send what can be sent at once, for at most `seconds`."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout=max(0.0, seconds))

    def _run(self) -> None:
        try:
            self._send_until_stopped()
        finally:
            self._destination.close()

    def _send_until_stopped(self) -> None:
        while True:
            with self._changed:
                segment = self._spool.next()
                if segment is None and self._stopping:
                    return
                idle = segment is None and not self._changed.wait(self._idle_seconds)
            if segment is None:
                if idle:
                    self._expire()
            elif not self._sent(segment):
                with self._changed:
                    self._spool.put_back()
                    if self._changed.wait_for(lambda: self._stopping, self._backoff.pause()):
                        return

    def _sent(self, segment: Segment) -> bool:
        """False when it is to be tried again."""
        refused: frozenset[int] = frozenset()
        try:
            content = segment.content()
            self._destination.store(push_of(content, self._destination))
        except CorruptStateError as error:
            log.error("captures: %d lost: %s", len(segment.ids), error)  # noqa: TRY400 - the line says it all
            self._on_delivered(segment, 0, frozenset())
            return True
        except RefusedLinesError as error:
            log.error("captures: %d lost: %s", len(error.places), error)  # noqa: TRY400 - the line says it all
            refused = error.places
        except UnavailableError as error:
            # Once for an outage, however many tries it lasts.
            log.log(logging.DEBUG if self._failing else logging.WARNING, "captures wait: %s", error)
            self._failing = True
            return False
        except Exception:  # a thread's top: a defect must not end sending, and must not lose the captures
            log.exception("captures: %d wait", len(segment.ids))
            return False
        self._on_delivered(segment, len(content.captures), refused)
        self._went_well()
        return True

    def _expire(self) -> None:
        try:
            self._destination.expire()
        except UnavailableError as error:
            log.debug("captures: %s", error)  # the next push says it
        except Exception:  # a thread's top: a defect must not end sending
            log.exception("captures: what is too old stays")

    def _went_well(self) -> None:
        if self._failing:
            log.info("captures are stored again")
        self._failing = False
        self._backoff.reset()
