"""The health report: what it counts, when it begins anew, and that it never grows over its limit."""

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from linewatch_common.clock import utc_now
from linewatch_common.heartbeats import HeartbeatWatch, Status
from linewatch_common.ledger.reader import MAX_LABELS
from linewatch_common.messages import (
    AgentStatus,
    FleetHealth,
    InspectorStatus,
    LabelVerdict,
    ModelUse,
    RoleStatus,
    Verdict,
    WaitingModel,
    encode,
)
from linewatch_common.messages.alerts import ActiveAlert, AlertKind
from linewatch_common.messages.fleet import LATENCY_BOUNDS_MS, MAX_HEALTH_BYTES, SCORE_BINS
from linewatch_common.messages.status import ComponentState, Heartbeat
from linewatch_common.messages.verdicts import Outcome
from linewatch_common.names import AGENT
from linewatch_common.topics import fleet_health
from linewatch_inspector.announcer import Published
from linewatch_inspector.ended import Ended
from linewatch_inspector.fleet import MAX_WAITING, FleetReporter, Sender, Tally

from tests.fakes.bus import FakeCore
from tests.unit.inspector.line import BAD, GOOD, Line, wait_until
from tests.unit.inspector.packages import serving

OLD = [ModelUse(role="classifier", identifier="Surface-1-0-0", version="1.0.0")]
NEW = [ModelUse(role="classifier", identifier="Surface-1-1-0", version="1.1.0")]


def published(outcome: Outcome, score: float | None, total_ms: float | None) -> Published:
    now = utc_now()
    verdict = Verdict(
        inspection_id="i",
        frame_id="f",
        station="line1",
        outcome=outcome,
        captured_at=now,
        published_at=now,
        score=score,
    )
    return Published(Ended(verdict=verdict, monotonic_ns=None), total_ms)


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    made = Line(tmp_path, FleetHealthSeconds=0.2)
    yield made
    made.close()


def reports(line: Line) -> list[FleetHealth]:
    return [msgspec.json.decode(raw, type=FleetHealth) for topic, raw in line.core.to_cloud if topic == TOPIC]


TOPIC = fleet_health("thing")


def test_a_line_reports_what_it_judged_and_with_which_models(line: Line) -> None:
    line.start()
    for level in (GOOD, BAD, GOOD):
        line.capture(level)
    wait_until(lambda: bool(reports(line)) and sum(reports(line)[-1].outcomes.values()) == 3, "a report of three parts")
    last = reports(line)[-1]
    assert last.outcomes["pass"] == 2
    assert last.outcomes["fail"] == 1
    assert sum(last.scores) == sum(last.latency_ms) == 3
    assert {use.role for use in last.models} == {"classifier", "segmenter"}
    assert last.components[AGENT].version == "1.0.0"
    assert last.since <= last.at


def test_a_persons_word_on_a_drawn_part_is_reported(tmp_path: Path) -> None:
    line = Line(tmp_path, FleetHealthSeconds=0.2, CapturePercent=100)
    try:
        line.start()
        name = line.capture(BAD)
        wait_until(lambda: bool(line.stored()), "the part to be recorded")
        line.say(line.topics.commands, LabelVerdict(command_id="c1", frame_id=name, label="pass", operator="ann"))
        wait_until(lambda: bool(reports(line)) and bool(reports(line)[-1].labels), "a report of the label")
        assert reports(line)[-1].labels == {"failed": 1, "false_rejects": 1}
    finally:
        line.close()


def test_a_core_that_is_away_costs_reports_but_no_counts(line: Line) -> None:
    inspector = line.start()
    line.core.away = True
    wait_until(lambda: inspector.status().counters["health_reports_unsent"] > 0, "a report that could not be sent")
    line.core.away = False
    line.serve(serving(*line.packages))
    line.capture(GOOD)
    wait_until(lambda: bool(reports(line)) and reports(line)[-1].outcomes["pass"] == 1, "the next report")
    assert reports(line)[-1].sequence >= 1


def test_no_report_is_sent_where_it_is_switched_off(tmp_path: Path) -> None:
    line = Line(tmp_path, FleetHealthSeconds=0)
    try:
        inspector = line.start()
        line.capture(GOOD)
        wait_until(lambda: inspector.status().counters["pass"] == 1, "a verdict")
        assert line.core.to_cloud == []
    finally:
        line.close()


def test_the_counts_begin_anew_with_other_models() -> None:
    tally = Tally()
    tally.see(published(Outcome.PASS, 0.1, 9.0))
    first, outcomes, _, _ = tally.figures(OLD)
    assert outcomes["pass"] == 1, "what was judged before the first report counts"
    tally.see(published(Outcome.FAIL, 1.0, 5000.0))
    _, outcomes, latency, scores = tally.figures(OLD)
    assert (outcomes["pass"], outcomes["fail"], latency[-1], scores[-1]) == (1, 1, 1, 1)
    assert tally.figures([])[1]["fail"] == 1, "an agent that is away for a moment is no other model"
    time.sleep(0.001)
    since, outcomes, latency, scores = tally.figures(NEW)
    assert since > first
    assert sum(outcomes.values()) + sum(latency) + sum(scores) == 0


def test_a_latency_on_a_bound_counts_below_it() -> None:
    tally = Tally()
    for bound in LATENCY_BOUNDS_MS:
        tally.see(published(Outcome.MISSED, None, float(bound)))
    assert tally.figures(OLD)[2] == [*[1] * len(LATENCY_BOUNDS_MS), 0]


def test_the_longest_report_fits() -> None:
    huge = 10**15
    tally = Tally()
    heartbeats = HeartbeatWatch()
    name = "com.linewatch.model." + "N" * 64
    roles = {
        role: RoleStatus(identifier="I" * 100, version="999999.999999.999999", folder="/f", manifest_digest=DIGEST)
        for role in ("classifier", "segmenter", "inspector")
    }
    waiting = {
        f"{role}-{number}": WaitingModel(
            identifier="W" * 100, version="999999.999999.999999", manifest_digest=DIGEST, until="2026-11-28T22:00:00Z"
        )
        for number, role in enumerate(("classifier", "segmenter", "inspector") * 2)
    }
    agent = AgentStatus(endpoint="e", boot_id="b", roles=roles, waiting=waiting)
    for number in range(20):
        heartbeats.receive(encode(beat(f"{name}{number:02}")))
    heartbeats.receive(encode(beat(AGENT, agent)))
    status = Status(
        state=ComponentState.DEGRADED,
        reason="r" * 300,
        inspector=InspectorStatus(
            ready=True,
            in_use=["I" * 100],
            ledger="",
            store="",
            outcomes={},
            judged_sequence=0,
            judged_epoch=0,
            alerts=[ActiveAlert(kind=kind, detail="d", since=utc_now()) for kind in AlertKind],
        ),
    )
    reporter = FleetReporter(Sender("t" * 128, "line1", FakeCore().bus(), 0), tally, heartbeats)
    report = msgspec.structs.replace(
        reporter.report(status),
        outcomes={str(outcome): huge for outcome in Outcome},
        latency_ms=[10**9] * (len(LATENCY_BOUNDS_MS) + 1),
        scores=[10**9] * SCORE_BINS,
        labels=dict.fromkeys(("passed", "escapes", "failed", "false_rejects"), MAX_LABELS),
    )
    assert (len(report.models), len(report.waiting)) == (3, MAX_WAITING)
    assert len(encode(report)) <= MAX_HEALTH_BYTES


def test_a_model_that_waits_for_the_window_is_reported_until_it_is_in_use() -> None:
    heartbeats = HeartbeatWatch()
    reporter = FleetReporter(Sender("thing", "line1", FakeCore().bus(), 0), Tally(), heartbeats)

    def report(serves: str, waits: str, in_use: str) -> tuple[list[str], list[str]]:
        role = RoleStatus(identifier=serves, version="1", folder="/f", manifest_digest=DIGEST)
        heir = WaitingModel(identifier=waits, version="1", manifest_digest=DIGEST, until="2026-11-28T22:00:00Z")
        agent = AgentStatus(
            endpoint="e", boot_id="b", roles={"classifier": role}, waiting={"classifier": heir} if waits else {}
        )
        heartbeats.receive(encode(beat(AGENT, agent)))
        inspector = InspectorStatus(
            ready=True, in_use=[in_use], ledger="", store="", outcomes={}, judged_sequence=0, judged_epoch=0
        )
        made = reporter.report(Status(state=ComponentState.READY, inspector=inspector))
        return [use.identifier for use in made.models], [wait.identifier for wait in made.waiting]

    assert report("T-1", "", "T-1") == (["T-1"], [])
    assert report("T-1", "T-2", "T-1") == (["T-1"], ["T-2"])
    assert report("T-2", "", "T-1") == ([], ["T-2"]), "activated, and Inspector has not switched yet"
    assert report("T-2", "", "T-2") == (["T-2"], [])
    assert report("T-1", "T-2", "T-1") == (["T-1"], ["T-2"])
    assert report("T-1", "", "T-1") == (["T-1"], []), "taken back"


DIGEST = "sha256:" + "0" * 64


def beat(component: str, agent: AgentStatus | None = None) -> Heartbeat:
    return Heartbeat(
        component=component,
        station="line1",
        version="999999.999999.999999",
        state=ComponentState.DEGRADED,
        at=utc_now(),
        started_at=utc_now(),
        uid=0,
        agent=agent,
    )
