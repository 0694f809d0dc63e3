"""Which inspection the page shows now.

Inspector publishes a verdict first and stores its picture afterwards. The page waits a moment for the picture, so that both appear
together; a verdict whose picture does not come is shown without one, and the next of that outcome is not waited for (Inspector may
store, for example, only what did not pass). A picture is never shown beside another inspection's verdict, and
an older inspection never replaces a newer one.
"""

from collections import OrderedDict
from dataclasses import dataclass, replace

from linewatch_common.messages import Outcome, Verdict

from linewatch_dashboard.order import place_of

# Inspector writes the file within some 10 ms; a busy disk may take longer, and the operator must not wait long for the word.
PICTURE_GRACE_SECONDS = 0.6
MAX_WAITING = 64

NEVER_TAKEN = "no picture was judged"
NOT_STORED = "picture not stored"


@dataclass(frozen=True, slots=True)
class Shown:
    """One inspection on show. `path` is its file in the store, or None, and then `missing` says why; `arrived` in monotonic seconds."""

    sequence: int
    verdict: Verdict
    arrived: float
    path: str | None
    missing: str


@dataclass(slots=True)
class _Waiting:
    order: int
    verdict: Verdict
    arrived: float


class Timeline:
    """Pure: verdicts and stored files in, the inspection to show out. Times are monotonic seconds."""

    def __init__(self, grace: float = PICTURE_GRACE_SECONDS) -> None:
        self._grace = grace
        self._waiting: OrderedDict[str, _Waiting] = OrderedDict()
        self._order = 0
        self._shown_order = 0
        self._sequence = 0
        self._shown: Shown | None = None
        self._unstored: set[Outcome] = set()
        self.last_arrived: float | None = None

    @property
    def shown(self) -> Shown | None:
        """The inspection to show; call `expire` first."""
        return self._shown

    def add_verdict(self, verdict: Verdict, now: float) -> None:
        """A verdict came. One that a restarted Inspector repeats does not displace a younger one."""
        shown = self._shown
        if verdict.replayed and shown is not None and place_of(verdict.frame_id) <= place_of(shown.verdict.frame_id):
            return
        self.last_arrived = now
        self._order += 1
        waiting = _Waiting(self._order, verdict, now)
        if verdict.outcome is Outcome.MISSED:  # nobody could judge it, so nobody stores a picture
            self._show(waiting, None, NEVER_TAKEN)
            return
        self._waiting[verdict.frame_id] = waiting
        while len(self._waiting) > MAX_WAITING:
            self._waiting.popitem(last=False)

    def add_stored(self, frame_id: str, path: str) -> None:
        """The file of an inspection was written."""
        waiting = self._waiting.pop(frame_id, None)
        if waiting is not None:
            self._unstored.discard(waiting.verdict.outcome)
            self._show(waiting, path, "")
        elif self._shown is not None and self._shown.verdict.frame_id == frame_id and self._shown.path is None:
            self._unstored.discard(self._shown.verdict.outcome)
            self._sequence += 1
            self._shown = replace(self._shown, sequence=self._sequence, path=path, missing="")

    def add_past(self, verdict: Verdict, path: str | None, arrived: float) -> None:
        """The latest inspection of the ledger, for a page that was started after it; ignored when anything came since."""
        if self._order == 0:
            self._order += 1
            self.last_arrived = arrived
            self._show(_Waiting(self._order, verdict, arrived), path, "" if path else NOT_STORED)

    def expire(self, now: float) -> None:
        """Give up waiting for pictures that did not come in time."""
        late = [waiting for waiting in self._waiting.values() if now >= self._due(waiting)]
        if late:
            self._unstored.update(waiting.verdict.outcome for waiting in late)
            self._show(late[-1], None, NOT_STORED)

    def next_expiry(self) -> float | None:
        """When `expire` has something to do, in monotonic seconds, or None."""
        return min((self._due(waiting) for waiting in self._waiting.values()), default=None)

    def _due(self, waiting: _Waiting) -> float:
        return waiting.arrived + (0.0 if waiting.verdict.outcome in self._unstored else self._grace)

    def _show(self, waiting: _Waiting, path: str | None, missing: str) -> None:
        if waiting.order < self._shown_order:
            return
        self._shown_order = waiting.order
        self._sequence += 1
        self._shown = Shown(self._sequence, waiting.verdict, waiting.arrived, path, missing)
        for frame_id in [key for key, other in self._waiting.items() if other.order <= waiting.order]:
            del self._waiting[frame_id]
