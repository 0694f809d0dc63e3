"""Puts the parts together; no part makes another."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from linewatch_common.bus import LocalBus
from linewatch_common.heartbeats import HeartbeatWatch
from linewatch_common.ledger import LEDGER_FILE, LedgerReader
from linewatch_common.messages import Alert, encode
from linewatch_common.ring import RingReader, ring_path
from linewatch_common.service import Context

from linewatch_inspector.agreement import agreement
from linewatch_inspector.alerts.board import Board
from linewatch_inspector.alerts.rules import (
    CameraSilent,
    DefectRate,
    DefectsInARow,
    DiskLow,
    FramesMissed,
    LatencyOverBudget,
    LedgerFailing,
    ModelMissing,
    ModelOrphaned,
    Rule,
)
from linewatch_inspector.alerts.watch import Watch
from linewatch_inspector.announcer import Announcer, Published
from linewatch_inspector.captures.choice import Choice
from linewatch_inspector.captures.sending import Capturer, Captures
from linewatch_inspector.commands import Commands
from linewatch_inspector.component import MEGABYTE, Inspector, Parts, hear_agent
from linewatch_inspector.config import InspectorConfig
from linewatch_inspector.fleet import FleetReporter, Sender, Tally
from linewatch_inspector.inbox import Inbox
from linewatch_inspector.inspection import Inspection
from linewatch_inspector.intake import Intake
from linewatch_inspector.journal import Journal, journal_path
from linewatch_inspector.judge import Judge, Rules
from linewatch_inspector.ledger_writer import LedgerWriter
from linewatch_inspector.plan import PlanKeeper
from linewatch_inspector.predictor import Predictor
from linewatch_inspector.recorder import Keeping, Recorder
from linewatch_inspector.resume import Past
from linewatch_inspector.storekeeper import Storekeeper

STORE_FOLDER = "store"
ALERTS_FILE = "alerts.json"
DAY_SECONDS = 86_400.0


def compose(config: InspectorConfig, context: Context, predictor: Predictor, captures: Captures) -> Inspector:
    """An Inspector that is ready to start. Does no I/O."""
    stopping = threading.Event()
    inbox = Inbox(config.station)

    def plan_changed() -> None:
        inbox.wake()
        context.beat_soon()  # Camera waits for a ready Inspector, the agent for the identifiers in use

    plans = PlanKeeper(plan_changed)
    folder = Path(config.ledger_folder) if config.ledger_folder else context.work
    board = Board(config.station, folder / ALERTS_FILE, _alert_publisher(context.bus, context.topics.alerts))
    watch = Watch(rules(config), board)
    heartbeats = HeartbeatWatch(hear_agent(plans, watch.wake))
    books = _books(config, context, folder)
    choice = Choice(config.capture_percent, config.capture_not_pass)
    capturer = Capturer(choice, captures, heartbeats, books.store)
    books.recorder.when_labelled(capturer.label)
    tally = Tally()

    def record(published: Published) -> None:
        books.recorder.record(published)
        watch.see(published.ended.verdict)
        tally.see(published)
        capturer.see(published.ended)

    announcer = Announcer(context.topics.verdicts, context.bus, books.journal, record, config.deadline_ms)
    past = Past(books.journal, books.writer, books.recorder.submit)
    intake = Intake(config.station, config.queue_length, past.ended_frames)
    ring = RingReader(ring_path(Path(config.shared_memory_folder), config.station))
    deciding = Rules(config.deadline_ms, config.segment_when)
    judge = Judge(deciding, ring=ring, plan=plans.adopt, predictor=predictor, stopping=stopping)
    reporting = Sender(context.thing, config.station, context.bus, config.fleet_health_seconds)
    parts = Parts(
        bus=context.bus,
        topics=context.topics,
        inbox=inbox,
        intake=intake,
        plans=plans,
        predictor=predictor,
        journal=books.journal,
        announcer=announcer,
        recorder=books.recorder,
        inspection=Inspection(
            inbox=inbox,
            intake=intake,
            ring=ring,
            judge=judge,
            announcer=announcer,
            stopping=stopping,
            adopt=plans.adopt,
        ),
        watch=watch,
        past=past,
        heartbeats=heartbeats,
        capturer=capturer,
        fleet=FleetReporter(reporting, tally, heartbeats, partial(agreement, LedgerReader(books.writer.path), choice)),
        commands=Commands(books.recorder.label),
        ledger=books.writer.path,
        store=books.store,
        disk_low_megabytes=config.disk_low_megabytes,
    )
    return Inspector(parts)


@dataclass(frozen=True, slots=True)
class _Books:
    """What keeps verdicts and pictures, in the order in which a verdict passes it."""

    journal: Journal
    writer: LedgerWriter
    recorder: Recorder
    store: Path


def _books(config: InspectorConfig, context: Context, folder: Path) -> _Books:
    store = folder / STORE_FOLDER
    journal = Journal(journal_path(Path(config.shared_memory_folder), config.station))
    writer = LedgerWriter(folder / LEDGER_FILE)
    recorder = Recorder(
        Keeping(context.name, store, config.store_pictures, config.ledger_days),
        writer=writer,
        keeper=Storekeeper(store, config.store_megabytes * MEGABYTE, config.store_days * DAY_SECONDS),
        journal=journal,
        bus=context.bus,
        topics=context.topics,
    )
    return _Books(journal, writer, recorder, store)


def rules(config: InspectorConfig) -> list[Rule]:
    """The alert rules with the configuration's numbers."""
    return [
        DefectsInARow(config.defects_in_a_row),
        DefectRate(config.defect_rate_percent, config.defect_rate_parts),
        LatencyOverBudget(config.latency_budget_ms),
        FramesMissed(),
        CameraSilent(config.camera_silent_seconds),
        ModelMissing(),
        ModelOrphaned(),
        DiskLow(config.disk_low_megabytes),
        LedgerFailing(),
    ]


def _alert_publisher(bus: LocalBus, topic: str) -> Callable[[Alert], None]:
    def publish(alert: Alert) -> None:
        bus.publish(topic, encode(alert))

    return publish
