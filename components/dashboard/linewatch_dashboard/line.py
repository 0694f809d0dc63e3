"""What the page knows of the line; pure: messages and the time in, a StateMessage out."""

import msgspec
from linewatch_common.clock import utc_now
from linewatch_common.messages import (
    Alert,
    Heartbeat,
    ModelActivated,
    ModelMessage,
    ModelProved,
    ModelRefused,
    ModelRetired,
    ModelWaiting,
    Outcome,
    Verdict,
)
from linewatch_common.messages.alerts import ActiveAlert, AlertState
from linewatch_common.messages.status import AgentStatus, CameraStatus, InspectorStatus
from linewatch_common.names import AGENT, CAMERA, INSPECTOR

from linewatch_dashboard.health import Heartbeats
from linewatch_dashboard.order import place_of
from linewatch_dashboard.view import Counters, Feed, LoadedModel, ModelEvent, Reject, StateMessage

REJECTS_SHOWN = 8
# The ledger is asked every two seconds while a page is open, and not at all otherwise.
LEDGER_COUNTS_SECONDS = 5.0
# What was judged at all: the denominator of the yield. A missed or failed capture says nothing about the part.
JUDGED = (Outcome.PASS, Outcome.FAIL, Outcome.REVIEW, Outcome.LATE)


class Line:
    """The state of one line as its messages tell it. Times are monotonic seconds."""

    def __init__(self, station: str, stale_after_seconds: float) -> None:
        self._station = station
        self._stale_after = stale_after_seconds
        self._beats = Heartbeats()
        self._alerts: dict[str, ActiveAlert] = {}
        self._rejects: dict[str, Reject] = {}
        self._event: tuple[str, bool, float] | None = None
        self._ledger_outcomes: dict[str, int] = {}
        self._ledger_read_at = float("-inf")

    @property
    def inspector(self) -> InspectorStatus | None:
        """Inspector's own words in its last heartbeat: where ledger and store are."""
        heard = self._beats.latest(INSPECTOR)
        return heard.beat.inspector if heard else None

    def add_heartbeat(self, beat: Heartbeat, now: float) -> None:
        """A component lives; Inspector says which alerts are on, also those raised before this page began."""
        self._beats.add(beat, now)
        if beat.inspector is not None:
            self._alerts = {alert.kind: alert for alert in beat.inspector.alerts}

    def add_alert(self, alert: Alert) -> None:
        """An alert was raised, repeated or cleared."""
        if alert.state is AlertState.CLEARED:
            self._alerts.pop(alert.kind, None)
            return
        self._alerts[alert.kind] = ActiveAlert(
            kind=alert.kind, detail=alert.detail, since=alert.since, count=alert.count
        )

    def add_model_message(self, message: ModelMessage, now: float) -> None:
        """Something happened to a model; the last is kept as one line in words. Mere offers are not news."""
        words = _model_words(message)
        if words is not None:
            self._event = (*words, now)

    def add_verdict(self, verdict: Verdict) -> None:
        """Remember a part that was not found good."""
        if is_reject(verdict):
            self.add_rejects([reject_of(verdict)])

    def add_stored(self, frame_id: str) -> None:
        """The picture of an inspection can be asked for."""
        known = self._rejects.get(frame_id)
        if known is not None:
            self._rejects[frame_id] = _with_picture(known)

    def add_rejects(self, rejects: list[Reject]) -> None:
        """Rejects from messages or from the ledger; the youngest are kept, each once."""
        for reject in rejects:
            known = self._rejects.get(reject.frame_id)
            self._rejects[reject.frame_id] = _with_picture(reject) if known is not None and known.stored else reject
        youngest = sorted(self._rejects.values(), key=lambda reject: place_of(reject.frame_id), reverse=True)
        self._rejects = {reject.frame_id: reject for reject in youngest[:REJECTS_SHOWN]}

    def set_outcomes(self, outcomes: dict[str, int], now: float) -> None:
        """The ledger's own counts; for a while they go before those in Inspector's heartbeat, which are up to a beat older."""
        self._ledger_outcomes, self._ledger_read_at = dict(outcomes), now

    def rejects(self) -> list[Reject]:
        """The last rejects, the youngest first."""
        return list(self._rejects.values())

    def message(self, now: float, last_arrived: float | None, sequence: int, feed: Feed) -> StateMessage:
        """Everything the page shows beside the picture."""
        camera = self._camera()
        return StateMessage(
            station=self._station,
            at=utc_now(),
            server_ms=now * 1000,
            stale_after_ms=self._stale_after * 1000,
            age_ms=None if last_arrived is None else max(0.0, now - last_arrived) * 1000,
            sequence=sequence,
            paused=camera is not None and camera.paused,
            ended=camera is not None and camera.ended,
            source=camera.source if camera else "",
            health=self._beats.strip(now),
            models=self._models(now),
            model_event=self._model_event(now),
            alerts=sorted(self._alerts.values(), key=lambda alert: alert.since, reverse=True),
            rejects=self.rejects(),
            counters=counters_of(self._outcomes(now)),
            feed=feed,
        )

    def _camera(self) -> CameraStatus | None:
        heard = self._beats.latest(CAMERA)
        return heard.beat.camera if heard else None

    def _outcomes(self, now: float) -> dict[str, int]:
        inspector = self.inspector
        if inspector is None or now - self._ledger_read_at <= LEDGER_COUNTS_SECONDS:
            return self._ledger_outcomes
        return inspector.outcomes

    def _models(self, now: float) -> list[LoadedModel]:
        heard = self._beats.latest(AGENT)
        agent: AgentStatus | None = heard.beat.agent if heard and not heard.lost(now) else None
        judging = self._beats.latest(INSPECTOR)
        in_use = judging.beat.inspector.in_use if judging and not judging.lost(now) and judging.beat.inspector else []
        served, waiting = (agent.roles, agent.waiting) if agent else ({}, {})
        return [
            LoadedModel(
                role=role,
                name=_name_of(status.identifier, status.version),
                version=status.version,
                identifier=status.identifier,
                served=True,
                in_use=status.identifier in in_use,
                successor=waiting[role].identifier if role in waiting else "",
                successor_from=waiting[role].until if role in waiting else "",
            )
            for role, status in sorted(served.items())
        ]

    def _model_event(self, now: float) -> ModelEvent | None:
        if self._event is None:
            return None
        text, bad, at = self._event
        return ModelEvent(text=text, bad=bad, age_ms=max(0.0, now - at) * 1000)


def counters_of(outcomes: dict[str, int]) -> Counters:
    """Outcome counts with their total and yield."""
    judged = sum(outcomes.get(outcome, 0) for outcome in JUDGED)
    passed = outcomes.get(Outcome.PASS, 0)
    return Counters(
        outcomes={outcome.value: outcomes.get(outcome, 0) for outcome in Outcome},
        total=sum(outcomes.get(outcome, 0) for outcome in Outcome),
        missed=outcomes.get(Outcome.MISSED, 0),
        yield_percent=100 * passed / judged if judged else None,
    )


def is_reject(verdict: Verdict) -> bool:
    """Not found good: fail, review, error, and a late one that would have been such. LedgerReader.rejects counts the same."""
    judged = verdict.judged if verdict.outcome is Outcome.LATE else verdict.outcome
    return judged in (Outcome.FAIL, Outcome.REVIEW, Outcome.ERROR)


def reject_of(verdict: Verdict, *, stored: bool = False) -> Reject:
    """A verdict as an entry of the strip."""
    return Reject(
        frame_id=verdict.frame_id,
        part_id=verdict.part_id,
        outcome=verdict.outcome,
        judged=verdict.judged,
        score=verdict.score,
        reason=verdict.reason,
        defect_class=verdict.defects[0].defect_class if verdict.defects else None,
        box=verdict.defects[0].box if verdict.defects else None,
        captured_at=verdict.captured_at,
        stored=stored,
    )


def _with_picture(reject: Reject) -> Reject:
    return msgspec.structs.replace(reject, stored=True)


def _name_of(identifier: str, version: str) -> str:
    """The model's name: an identifier is `<name>-<version with dots as dashes>`."""
    return identifier.removesuffix("-" + version.replace(".", "-"))


def _model_words(message: ModelMessage) -> tuple[str, bool] | None:
    """The event in words and whether somebody should look."""
    if isinstance(message, ModelRefused):
        return f"{message.identifier} was refused: {message.reason}", True
    if isinstance(message, ModelActivated):
        instead = f" instead of {message.replaced}" if message.replaced else ""
        return f"{message.identifier} serves as {message.role}{instead}", False
    if isinstance(message, ModelWaiting):
        return f"{message.identifier} waits for the maintenance window, which opens at {message.until}", False
    if isinstance(message, ModelRetired):
        return f"{message.identifier} was retired: {message.reason}", False
    if isinstance(message, ModelProved):
        return f"{message.identifier} passed its golden set ({message.golden_samples} pictures)", False
    return None
