"""The device's health report to the fleet: what the line did, counted here, and sent to AWS IoT Core once a minute.

A thread of its own, because the core may take seconds over a message to the cloud. Offline, the core spools what it was given; a report
that is lost all the same costs nothing, the next one holds its counts too.
"""

import bisect
import logging
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from linewatch_common.bus import LocalBus
from linewatch_common.clock import utc_now
from linewatch_common.errors import LinewatchError
from linewatch_common.heartbeats import HeartbeatWatch, Status
from linewatch_common.logs import Trouble
from linewatch_common.messages import AgentStatus, ComponentHealth, FleetHealth, ModelUse, Outcome, encode
from linewatch_common.messages.fleet import LATENCY_BOUNDS_MS, MAX_HEALTH_BYTES, SCORE_BINS, ModelWait
from linewatch_common.names import AGENT
from linewatch_common.topics import fleet_health

from linewatch_inspector.announcer import Published

log = logging.getLogger(__name__)

# A station has seven components; more would be strangers on the status topic, and a report has its limit.
MAX_COMPONENTS = 12
MAX_REASON = 250
MAX_WAITING = 3  # there are three roles


class Tally:
    """Counts of one set of models. Any thread may call it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._models: tuple[str, ...] = ()
        self._begin()

    def see(self, published: Published) -> None:
        """A verdict went out."""
        verdict = published.ended.verdict
        with self._lock:
            self._outcomes[verdict.outcome] += 1
            if published.total_ms is not None:
                self._latency[bisect.bisect_left(LATENCY_BOUNDS_MS, published.total_ms)] += 1
            if verdict.score is not None:
                self._scores[min(int(verdict.score * SCORE_BINS), SCORE_BINS - 1)] += 1

    def figures(self, models: Sequence[ModelUse]) -> tuple[str, dict[str, int], list[int], list[int]]:
        """Since when, outcomes, latencies, scores; all begin anew when `models` are others than at the last call."""
        names = tuple(sorted(model.identifier for model in models))
        with self._lock:
            if names and names != self._models:
                if self._models:
                    self._begin()
                self._models = names
            return self._since, dict(self._outcomes), list(self._latency), list(self._scores)

    def _begin(self) -> None:
        self._since = utc_now()
        self._outcomes = {str(outcome): 0 for outcome in Outcome}
        self._latency = [0] * (len(LATENCY_BOUNDS_MS) + 1)
        self._scores = [0] * SCORE_BINS


@dataclass(frozen=True, slots=True)
class Sender:
    """Who reports, and how often. `seconds` 0 sends nothing."""

    thing: str
    station: str
    bus: LocalBus
    seconds: float


class FleetReporter:
    """Makes a report of the tally and the heartbeats, and sends it. `agreement` gives FleetHealth.labels since a moment."""

    def __init__(
        self,
        sender: Sender,
        tally: Tally,
        heartbeats: HeartbeatWatch,
        agreement: Callable[[str], dict[str, int]] = lambda _since: {},
    ) -> None:
        self._sender = sender
        self._agreement = agreement
        self._tally = tally
        self._heartbeats = heartbeats
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._sequence = 0
        self._away = Trouble(log, "health report not sent")
        self._waits: list[ModelWait] = []
        self.sent = 0
        self.unsent = 0

    def start(self, status: Callable[[], Status]) -> None:
        """Begin; `status` is called on the reporting thread."""
        if self._sender.seconds <= 0:
            return
        self._thread = threading.Thread(target=self._run, args=(status,), name="fleet", daemon=True)
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """End; waits up to `seconds`."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(seconds)

    def report(self, status: Status) -> FleetHealth:
        """The report of this moment."""
        in_use = set(status.inspector.in_use) if status.inspector else set()
        agent = self._agent()
        models = [use for use in _served(agent) if use.identifier in in_use]
        self._waits = _waits(agent, in_use, self._waits)
        since, outcomes, latency, scores = self._tally.figures(models)
        beats = sorted(self._heartbeats.all_latest().items())[:MAX_COMPONENTS]
        return FleetHealth(
            thing=self._sender.thing,
            station=self._sender.station,
            at=utc_now(),
            since=since,
            sequence=self._sequence,
            components={name: ComponentHealth(version=beat.version, state=beat.state) for name, beat in beats},
            models=models,
            waiting=list(self._waits),
            outcomes=outcomes,
            latency_ms=latency,
            scores=scores,
            labels=self._agreement(since),
            alerts=[str(alert.kind) for alert in status.inspector.alerts] if status.inspector else [],
            reason=status.reason[:MAX_REASON],
        )

    def _agent(self) -> AgentStatus | None:
        beat = self._heartbeats.latest(AGENT)
        return None if beat is None else beat.agent

    def _run(self, status: Callable[[], Status]) -> None:
        # After a deployment a whole ring starts at once; the first report's random moment spreads them all.
        wait = random.uniform(0.2, 1.0) * self._sender.seconds  # noqa: S311 - spreads load, guards nothing
        while not self._stop.wait(wait):
            wait = self._sender.seconds
            try:
                self._send(self.report(status()))
            except Exception:  # a thread's top: the next report must go out
                log.exception("fleet: an internal error")

    def _send(self, report: FleetHealth) -> None:
        self._sequence += 1
        raw = encode(report)
        if len(raw) > MAX_HEALTH_BYTES:
            self._failed(f"the health report is {len(raw)} bytes long, at most {MAX_HEALTH_BYTES} are sent")
            return
        try:
            self._sender.bus.publish_to_cloud(fleet_health(self._sender.thing), raw)
        except LinewatchError as error:
            self._failed(str(error))
            return
        self.sent += 1
        if self._away.over():
            log.info("health reports go out again")

    def _failed(self, problem: str) -> None:
        self.unsent += 1
        self._away.met(problem)


def _served(agent: AgentStatus | None) -> list[ModelUse]:
    roles = agent.roles if agent else {}
    return [
        ModelUse(role=role, identifier=served.identifier, version=served.version)
        for role, served in sorted(roles.items())
    ]


def _waits(agent: AgentStatus | None, in_use: set[str], before: Sequence[ModelWait]) -> list[ModelWait]:
    """What waits for the device's window; also, after `before`, what was activated and is not in use yet: its gate must not take fright."""
    if agent is None:
        return []
    served = {status.identifier for status in agent.roles.values()} - in_use
    switching = {wait.role: wait for wait in before if wait.identifier in served}
    waiting = {
        role: ModelWait(role=role, identifier=model.identifier, until=model.until)
        for role, model in agent.waiting.items()
    }
    return [wait for _, wait in sorted((switching | waiting).items())][:MAX_WAITING]
