"""One rule a kind of alert. Pure: verdicts and facts in, the condition out. Each has its own hysteresis, so that none flickers."""

from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

from linewatch_common.messages import CameraStatus, Outcome, Verdict
from linewatch_common.messages.alerts import AlertKind
from linewatch_common.messages.status import HEARTBEAT_LOST_SECONDS

# At the start of a device everything starts at once; what is not there yet is not missing yet.
START_SECONDS = 15.0
# A model is switched within a second; an alert for that would teach people to ignore alerts.
MODEL_GRACE_SECONDS = 3.0
# No frame was missed for so long: the line is back.
MISSED_CLEAR_SECONDS = 10.0
LATENCY_PARTS = 20


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition that holds. `count` is its size (defects in a row, frames missed)."""

    detail: str
    count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known besides verdicts. `now` in monotonic seconds; ages in seconds, infinite for what was never heard or seen."""

    now: float
    running: float
    frame_age: float = float("inf")
    camera_age: float = float("inf")
    camera: CameraStatus | None = None
    agent_age: float = float("inf")
    model_problem: str = ""
    orphaned: tuple[str, ...] = ()
    ledger_problem: str = ""
    journal_problem: str = ""
    free_megabytes: float = float("inf")
    frames_given_up: int = 0


class Rule(Protocol):
    """Tells whether its kind of alert is on."""

    kind: AlertKind

    def see(self, verdict: Verdict, /) -> None:
        """A verdict was published."""

    def check(self, facts: Facts, /) -> Condition | None:
        """The condition while it holds."""


def judged_as(verdict: Verdict) -> Outcome:
    """The outcome; for a late verdict what it would have been."""
    return verdict.judged or verdict.outcome


class _Blind:
    """Base of the rules that look at facts only."""

    def see(self, _verdict: Verdict, /) -> None:
        """Nothing to learn from a verdict."""


@dataclass
class DefectsInARow:
    """Raised at `limit` rejects in a row; cleared by the next good part. What was not judged says nothing."""

    limit: int
    kind: AlertKind = AlertKind.DEFECTS_IN_A_ROW
    _row: int = 0

    def see(self, verdict: Verdict, /) -> None:
        outcome = judged_as(verdict)
        if outcome is Outcome.FAIL:
            self._row += 1
        elif outcome is Outcome.PASS:
            self._row = 0

    def check(self, _facts: Facts, /) -> Condition | None:
        if not 0 < self.limit <= self._row:
            return None
        return Condition(f"{self._row} defective parts in a row", self._row)


@dataclass
class DefectRate:
    """Raised when at least `percent` of the last `parts` judged parts are rejects; cleared below four fifths of that."""

    percent: float
    parts: int
    kind: AlertKind = AlertKind.DEFECT_RATE
    _last: deque[bool] = field(default_factory=deque)
    _rejects: int = 0
    _on: bool = False

    def see(self, verdict: Verdict, /) -> None:
        outcome = judged_as(verdict)
        if outcome not in (Outcome.PASS, Outcome.FAIL, Outcome.REVIEW):
            return
        self._last.append(outcome is Outcome.FAIL)
        self._rejects += outcome is Outcome.FAIL
        if len(self._last) > self.parts:
            self._rejects -= self._last.popleft()

    def check(self, _facts: Facts, /) -> Condition | None:
        rate = 100 * self._rejects / self.parts
        full = len(self._last) >= self.parts
        self._on = self.percent > 0 and full and rate >= (0.8 * self.percent if self._on else self.percent)
        if not self._on:
            return None
        return Condition(f"{rate:.0f} % of the last {self.parts} parts are defective", self._rejects)


@dataclass
class LatencyOverBudget:
    """Raised when half of the last 20 judged parts took longer than the budget; cleared when at most two did."""

    budget_ms: int
    kind: AlertKind = AlertKind.LATENCY_OVER_BUDGET
    _last: deque[bool] = field(default_factory=lambda: deque(maxlen=LATENCY_PARTS))
    _on: bool = False

    def see(self, verdict: Verdict, /) -> None:
        if "total" in verdict.timings_ms and not verdict.replayed and verdict.score is not None:
            self._last.append(verdict.timings_ms["total"] > self.budget_ms)

    def check(self, _facts: Facts, /) -> Condition | None:
        slow = sum(self._last)
        self._on = self.budget_ms > 0 and slow > (2 if self._on else LATENCY_PARTS // 2 - 1)
        if not self._on:
            return None
        return Condition(f"{slow} of the last {len(self._last)} parts took over {self.budget_ms} ms", slow)


@dataclass
class FramesMissed:
    """Raised by a missed frame; cleared when none was missed for a while."""

    kind: AlertKind = AlertKind.FRAMES_MISSED
    _count: int = 0
    _seen: int = 0
    _last: float = float("-inf")
    _reason: str = ""
    _given_up: int = 0

    def see(self, verdict: Verdict, /) -> None:
        if verdict.outcome is Outcome.MISSED:
            self._count += 1
            self._reason = verdict.reason

    def check(self, facts: Facts, /) -> Condition | None:
        if facts.frames_given_up > self._given_up:
            self._count += facts.frames_given_up - self._given_up
            self._given_up = facts.frames_given_up
            self._reason = "too long ago to list them; see gaps in the ledger"
        if self._count > self._seen:
            self._seen, self._last = self._count, facts.now
        if facts.now - self._last > MISSED_CLEAR_SECONDS:
            self._count = self._seen = 0
            return None
        plural = "" if self._count == 1 else "s"
        return Condition(f"{self._count} frame{plural} missed; the last: {self._reason}"[:300], self._count)


@dataclass
class CameraSilent(_Blind):
    """Raised when the camera's heartbeat is lost, or when it runs and no frame came for `seconds` (0: only the heartbeat counts)."""

    seconds: float
    kind: AlertKind = AlertKind.CAMERA_SILENT

    def check(self, facts: Facts, /) -> Condition | None:
        if facts.running < START_SECONDS:
            return None
        if facts.camera_age > HEARTBEAT_LOST_SECONDS:
            heard = "was never heard" if facts.camera is None else f"was last heard {facts.camera_age:.0f} s ago"
            return Condition(f"the camera component {heard}")
        resting = facts.camera is not None and (facts.camera.paused or facts.camera.ended)
        silent = min(facts.frame_age, facts.running)
        if self.seconds > 0 and not resting and silent > self.seconds:
            return Condition(f"no frame for {self.seconds:g} s")
        return None


@dataclass
class ModelMissing(_Blind):
    """Raised when a role has no model, a manifest cannot be read, or the agent is silent, for longer than a switch takes."""

    kind: AlertKind = AlertKind.MODEL_MISSING
    _since: float | None = None

    def check(self, facts: Facts, /) -> Condition | None:
        problem = facts.model_problem
        if not problem and facts.agent_age > HEARTBEAT_LOST_SECONDS:
            problem = "the edge agent is silent"
        if not problem or facts.running < START_SECONDS:
            self._since = None
            return None
        if self._since is None:
            self._since = facts.now
        return Condition(problem[:300]) if facts.now - self._since >= MODEL_GRACE_SECONDS else None


@dataclass
class ModelOrphaned(_Blind):
    """Raised while the agent serves a model that no component offers any more."""

    kind: AlertKind = AlertKind.MODEL_ORPHANED

    def check(self, facts: Facts, /) -> Condition | None:
        if not facts.orphaned:
            return None
        names = ", ".join(facts.orphaned)
        return Condition(f"served since a restart without an offer: {names}"[:300], len(facts.orphaned))


@dataclass
class DiskLow(_Blind):
    """Raised when less than `megabytes` are free, or shared memory refuses the journal; cleared with a tenth more."""

    megabytes: int
    kind: AlertKind = AlertKind.DISK_LOW
    _on: bool = False

    def check(self, facts: Facts, /) -> Condition | None:
        self._on = facts.free_megabytes < self.megabytes * (1.1 if self._on else 1.0)
        if self._on:
            return Condition(f"less than {self.megabytes} MB free: pictures are not stored", int(facts.free_megabytes))
        return Condition(facts.journal_problem[:300]) if facts.journal_problem else None


@dataclass
class LedgerFailing(_Blind):
    """Raised while the ledger refuses rows."""

    kind: AlertKind = AlertKind.LEDGER_FAILING

    def check(self, facts: Facts, /) -> Condition | None:
        return Condition(facts.ledger_problem[:300]) if facts.ledger_problem else None
