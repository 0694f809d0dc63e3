"""Publishing verdicts: journal, publish, mark, hand over to the recording thread. The only way out for a verdict.

When the bus is away the verdicts wait, in order, and go out when it is back, as `late` where the deadline is over by then. A verdict is
recorded when it is published, so the ledger holds what the plant was told.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

import msgspec
from linewatch_common.bus import LocalBus
from linewatch_common.clock import utc_now
from linewatch_common.errors import LinewatchError, StorageError
from linewatch_common.messages import Outcome, Verdict

from linewatch_inspector.ended import Ended, encoded, in_time
from linewatch_inspector.journal import Journal

log = logging.getLogger(__name__)

# A minute without a core ends the process (see bus/greengrass.py); this is an hour of five frames a second.
MAX_WAITING = 18_000
# The link is usually back within a second; asking more often would only fill the log of the core.
RETRY_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Published:
    """What the recording thread gets. `total_ms` is capture to the return of publish, None where the capture's time is unknown."""

    ended: Ended
    total_ms: float | None


class Announcer:
    """Used by the inspection thread alone; the counters may be read by any."""

    def __init__(
        self, topic: str, bus: LocalBus, journal: Journal, record: Callable[[Published], None], deadline_ms: int
    ) -> None:
        self._topic = topic
        self._bus = bus
        self._journal = journal
        self._record = record
        self._deadline_ms = deadline_ms
        self._waiting: deque[Ended] = deque()
        self._retry_at = 0.0
        self.bus_problem = ""
        self.journal_problem = ""
        self.unpublished = 0
        self.counts = {str(outcome): 0 for outcome in Outcome}

    @property
    def waiting(self) -> int:
        """Verdicts that wait for the bus."""
        return len(self._waiting)

    def announce(self, item: Ended) -> None:
        """Publish a verdict, or keep it until the bus is back."""
        verdict, raw = encoded(in_time(item.verdict, item.monotonic_ns, self._deadline_ms))
        self._journaled(lambda: self._journal.add(verdict.frame_id, raw, item.monotonic_ns))
        item = replace(item, verdict=verdict)
        if self._waiting or not self._publish(item, raw):
            self._keep(item)

    def replay(self, item: Ended) -> None:
        """A verdict of an earlier process that was never published; it is in the journal already."""
        self._keep(replace(item, verdict=msgspec.structs.replace(item.verdict, replayed=True)))
        self._retry_at = 0.0

    def flush(self) -> None:
        """Publish what waits, as far as the bus takes it; does nothing while the bus was away a moment ago."""
        while self._waiting and time.monotonic() >= self._retry_at:
            item = self._waiting[0]
            verdict = msgspec.structs.replace(item.verdict, published_at=utc_now())
            if verdict.outcome is not Outcome.LATE:
                verdict = in_time(verdict, item.monotonic_ns, self._deadline_ms)
            verdict, raw = encoded(verdict)
            if not self._publish(replace(item, verdict=verdict), raw):
                return
            self._waiting.popleft()

    def _publish(self, item: Ended, raw: bytes) -> bool:
        try:
            self._bus.publish(self._topic, raw)
        except LinewatchError as error:
            self._retry_at = time.monotonic() + RETRY_SECONDS
            if not self.bus_problem:
                log.warning("verdicts wait: %s", error)
            self.bus_problem = str(error)
            return False
        if self.bus_problem:
            log.info("verdicts go out again, %d waited", len(self._waiting))
            self.bus_problem = ""
        if not self.journal_problem:
            self._journaled(lambda: self._journal.published(item.verdict.frame_id))
        self._finish(item)
        return True

    def _finish(self, item: Ended) -> None:
        total_ms = None if item.monotonic_ns is None else (time.monotonic_ns() - item.monotonic_ns) / 1e6
        self.counts[item.verdict.outcome] += 1
        self._record(Published(item, total_ms))

    def _keep(self, item: Ended) -> None:
        # Pictures must not pile up while the bus is away: megabytes each.
        self._waiting.append(replace(item, picture=None, picture_given_up=item.picture is not None))
        if len(self._waiting) > MAX_WAITING:
            oldest = self._waiting.popleft()
            self.unpublished += 1
            reason = f"never published, the bus was away: {oldest.verdict.reason}"[:300]
            self._finish(replace(oldest, verdict=_never_published(oldest.verdict, reason)))

    def _journaled(self, write: Callable[[], None]) -> None:
        """The journal is a safety net: without it the line goes on, and an alert tells."""
        try:
            write()
        except StorageError as error:
            if not self.journal_problem:
                log.error("%s; verdicts go on, but a crash now would lose some", error)  # noqa: TRY400 - one clear line
            self.journal_problem = str(error)
            return
        if self.journal_problem:
            log.info("the journal works again")
            self.journal_problem = ""


def _never_published(verdict: Verdict, reason: str) -> Verdict:
    late = verdict.outcome in (Outcome.PASS, Outcome.FAIL, Outcome.REVIEW)
    return msgspec.structs.replace(
        verdict,
        reason=reason,
        outcome=Outcome.LATE if late else verdict.outcome,
        judged=verdict.outcome if late else verdict.judged,
    )
