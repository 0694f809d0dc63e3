"""The component: subscribes, starts its threads in order, tells its state, stops them in the reverse order."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from linewatch_common.bus import LocalBus
from linewatch_common.errors import StorageError
from linewatch_common.heartbeats import HeartbeatWatch, Status
from linewatch_common.messages import Heartbeat, InspectorStatus
from linewatch_common.messages.status import ComponentState
from linewatch_common.names import AGENT, CAMERA
from linewatch_common.topics import Topics

from linewatch_inspector.alerts.rules import Facts
from linewatch_inspector.alerts.watch import Watch
from linewatch_inspector.announcer import Announcer
from linewatch_inspector.captures.sending import Capturer
from linewatch_inspector.commands import Commands
from linewatch_inspector.fleet import FleetReporter
from linewatch_inspector.inbox import Inbox
from linewatch_inspector.inspection import Inspection
from linewatch_inspector.intake import Intake
from linewatch_inspector.journal import Journal
from linewatch_inspector.plan import PlanKeeper
from linewatch_inspector.predictor import Predictor
from linewatch_inspector.recorder import Recorder
from linewatch_inspector.resume import Past

# The frame in hand ends within its deadline; rows take a moment on a slow disk. The runtimes kill after 15 s or more.
STOP_SECONDS = 5.0
MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Everything that works together, put together by `__main__`."""

    bus: LocalBus
    topics: Topics
    inbox: Inbox
    intake: Intake
    plans: PlanKeeper
    predictor: Predictor
    journal: Journal
    announcer: Announcer
    recorder: Recorder
    inspection: Inspection
    watch: Watch
    past: Past
    heartbeats: HeartbeatWatch
    capturer: Capturer
    fleet: FleetReporter
    commands: Commands
    ledger: Path
    store: Path
    disk_low_megabytes: int


class Inspector:
    """See service.Component."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._started = time.monotonic()
        self._free_megabytes = float("inf")
        self._frames_given_up = 0
        self._ring_epoch: int | None = None

    def start(self) -> None:
        """Raises CorruptStateError for a damaged ledger."""
        parts = self._parts
        self._started = time.monotonic()
        parts.past.read_journal()
        parts.announcer.journal_problem = parts.past.journal_problem
        parts.recorder.when_open(parts.past.begin_run)
        try:
            parts.recorder.open()
        except StorageError as error:
            parts.recorder.problem = str(error)
        for item in parts.past.unpublished():
            parts.announcer.replay(item)
        parts.recorder.start()
        parts.bus.subscribe(parts.topics.status, parts.heartbeats.receive)
        parts.bus.subscribe(parts.topics.frames, parts.inbox.receive)
        parts.bus.subscribe(parts.topics.commands, parts.commands.receive)
        parts.watch.start(self.facts, self._tick)
        parts.inspection.start()
        parts.capturer.start()
        parts.fleet.start(self.status)

    def stop(self) -> None:
        """The frame in hand is finished; rows that the ledger does not take stay in the journal."""
        parts = self._parts
        parts.fleet.stop(STOP_SECONDS)
        ended = parts.inspection.stop(STOP_SECONDS)
        parts.watch.stop(STOP_SECONDS)
        if ended and not parts.announcer.waiting:
            parts.past.end_run()
        parts.recorder.stop(STOP_SECONDS)
        parts.capturer.stop(STOP_SECONDS)
        parts.predictor.close()
        parts.journal.close()

    def status(self) -> Status:
        """What the next heartbeat says."""
        parts = self._parts
        epoch, sequence = parts.inspection.judged
        ready = parts.plans.ready and parts.recorder.ledger_open
        reason = self._reason()
        state = ComponentState.READY if ready else ComponentState.STARTING
        return Status(
            state=ComponentState.DEGRADED if reason and (ready or self._settled()) else state,
            reason=reason,
            counters=self._counters(),
            inspector=InspectorStatus(
                ready=ready,
                in_use=parts.plans.in_use,
                ledger=str(parts.ledger),
                store=str(parts.store),
                outcomes=dict(parts.recorder.outcomes),
                judged_sequence=sequence,
                judged_epoch=epoch,
                alerts=parts.watch.active,
            ),
        )

    def facts(self) -> Facts:
        """What the alert rules look at."""
        parts = self._parts
        camera = parts.heartbeats.latest(CAMERA, within_seconds=float("inf"))
        agent = parts.heartbeats.latest(AGENT, within_seconds=float("inf"))
        now = time.monotonic()
        return Facts(
            now=now,
            running=now - self._started,
            frame_age=now - parts.inspection.last_frame,
            camera_age=parts.heartbeats.age(CAMERA),
            camera=camera.camera if camera else None,
            agent_age=parts.heartbeats.age(AGENT),
            model_problem=parts.plans.problem,
            orphaned=tuple(agent.agent.orphaned) if agent and agent.agent else (),
            ledger_problem=parts.recorder.problem,
            journal_problem=parts.announcer.journal_problem,
            free_megabytes=self._free_megabytes,
            frames_given_up=self._frames_given_up,
        )

    def _reason(self) -> str:
        parts = self._parts
        problems = (
            parts.plans.problem,
            parts.recorder.problem,
            parts.announcer.bus_problem,
            parts.announcer.journal_problem,
        )
        return "; ".join(problem for problem in problems if problem)[:300]

    def _settled(self) -> bool:
        """Whether what is away now should have been there long ago."""
        return time.monotonic() - self._started > STOP_SECONDS

    def _counters(self) -> dict[str, int]:
        parts = self._parts
        return {
            **parts.announcer.counts,
            "queued": parts.intake.waiting,
            "found_in_ring": parts.intake.found,
            "duplicates": parts.intake.duplicates,
            "queue_overflows": parts.intake.overflowed,
            "messages_dropped": parts.inbox.dropped,
            "messages_unreadable": parts.inbox.unreadable + parts.intake.untrue,
            "verdicts_waiting": parts.announcer.waiting,
            "verdicts_unpublished": parts.announcer.unpublished,
            "rows_pending": parts.recorder.rows_pending,
            "rows_lost": parts.recorder.rows_lost,
            "labels_dropped": parts.recorder.labels_dropped,
            "pictures_stored": parts.recorder.pictures_stored,
            "pictures_dropped": parts.recorder.pictures_dropped,
            "pictures_deleted": parts.recorder.pictures_deleted,
            "internal_errors": parts.inspection.internal_errors,
            "captures_taken": parts.capturer.taken,
            "captures_dropped": parts.capturer.dropped,
            "health_reports_sent": parts.fleet.sent,
            "health_reports_unsent": parts.fleet.unsent,
        }

    def _tick(self) -> None:
        """The watching thread, several times a second: files and disks, beside the hot path."""
        parts = self._parts
        parts.plans.refresh()
        epoch = parts.intake.epoch
        if epoch is not None and epoch != self._ring_epoch:
            self._ring_epoch = epoch
            parts.past.ring_seen(epoch)
        while parts.intake.given_up:
            epoch, frames, first = parts.intake.given_up.pop(0)
            self._frames_given_up += frames
            parts.past.frames_given_up(epoch, frames, first)
        self._look_at_disk()

    def _look_at_disk(self) -> None:
        try:
            self._free_megabytes = shutil.disk_usage(self._parts.ledger.parent).free / MEGABYTE
        except OSError:
            return  # the ledger's own failure tells
        self._parts.recorder.store_paused = self._free_megabytes < self._parts.disk_low_megabytes


def hear_agent(plans: PlanKeeper, wake: Callable[[], None]) -> Callable[[Heartbeat], None]:
    """For HeartbeatWatch: a beat of the agent tells which models it serves."""

    def on_beat(beat: Heartbeat) -> None:
        if beat.component == AGENT and beat.agent is not None:
            plans.hear(beat.agent)
            wake()

    return on_beat
