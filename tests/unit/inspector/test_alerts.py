"""Each alert rule: when it is raised, when it is cleared, and that it does not flicker. And the board that publishes them."""

from pathlib import Path

import pytest
from linewatch_common.errors import BusUnavailableError, NotAuthorizedError
from linewatch_common.messages import Alert, CameraStatus, Outcome, Verdict
from linewatch_common.messages.alerts import AlertKind
from linewatch_inspector.alerts.board import Board
from linewatch_inspector.alerts.rules import (
    CameraSilent,
    Condition,
    DefectRate,
    DefectsInARow,
    DiskLow,
    Facts,
    FramesMissed,
    LatencyOverBudget,
    LedgerFailing,
    ModelMissing,
    ModelOrphaned,
    Rule,
)
from linewatch_inspector.alerts.watch import Watch

AT = "2026-11-22T10:00:00Z"
P, F, R, M, E = Outcome.PASS, Outcome.FAIL, Outcome.REVIEW, Outcome.MISSED, Outcome.ERROR
CALM = Facts(now=1000.0, running=1000.0, frame_age=0.0, camera_age=0.0, agent_age=0.0)


def verdict(outcome: Outcome, *, judged: Outcome | None = None, total: float = 10.0, replayed: bool = False) -> Verdict:
    return Verdict(
        inspection_id="f",
        frame_id="f",
        station="line1",
        outcome=outcome,
        judged=judged,
        captured_at=AT,
        published_at=AT,
        score=0.5,
        timings_ms={"total": total},
        reason="why",
        replayed=replayed,
    )


def facts(**changes: object) -> Facts:
    values = {name: getattr(CALM, name) for name in CALM.__slots__} | changes
    return Facts(**values)


def states(rule: Rule, outcomes: list[Outcome]) -> list[bool]:
    found = []
    for outcome in outcomes:
        rule.see(verdict(outcome))
        found.append(rule.check(CALM) is not None)
    return found


def test_defects_in_a_row() -> None:
    assert states(DefectsInARow(3), [F, F, P, F, F, F, F, P]) == [False] * 5 + [True, True, False]


def test_what_was_not_judged_neither_breaks_nor_lengthens_a_row() -> None:
    assert states(DefectsInARow(3), [F, M, E, R, F, M, F]) == [False] * 6 + [True]


def test_a_late_reject_counts_in_a_row() -> None:
    rule = DefectsInARow(2)
    for _ in range(2):
        rule.see(verdict(Outcome.LATE, judged=F))
    condition = rule.check(CALM)
    assert condition is not None
    assert condition.count == 2


def test_zero_turns_an_alert_off() -> None:
    assert not any(states(DefectsInARow(0), [F] * 50))
    assert not any(states(DefectRate(0.0, 10), [F] * 50))
    assert not any(states(LatencyOverBudget(0), [P] * 50))


def test_the_defect_rate_needs_a_full_window_and_clears_lower_than_it_is_raised() -> None:
    rule = DefectRate(50.0, 10)
    assert not any(states(rule, [F] * 9))
    assert states(rule, [F]) == [True]
    assert states(rule, [P] * 7) == [True] * 6 + [False]
    assert states(rule, [F]) == [False]  # 40 % again, which does not raise it


def test_latency_over_budget() -> None:
    rule = LatencyOverBudget(100)
    for _ in range(9):
        rule.see(verdict(P, total=101))
    assert rule.check(CALM) is None
    rule.see(verdict(P, total=5000, replayed=True))
    assert rule.check(CALM) is None
    rule.see(verdict(P, total=101))
    assert rule.check(CALM) is not None
    for _ in range(17):
        rule.see(verdict(P, total=10))
    assert rule.check(CALM) is not None
    rule.see(verdict(P, total=10))
    assert rule.check(CALM) is None


def test_missed_frames_are_told_until_none_was_missed_for_a_while() -> None:
    rule = FramesMissed()
    rule.see(verdict(M))
    rule.see(verdict(M))
    condition = rule.check(facts(now=100.0))
    assert condition is not None
    assert (condition.count, "why" in condition.detail) == (2, True)
    assert rule.check(facts(now=109.0)) is not None
    assert rule.check(facts(now=111.0)) is None
    rule.see(verdict(M))
    condition = rule.check(facts(now=112.0))
    assert condition is not None
    assert condition.count == 1


def test_frames_that_are_too_many_to_list_are_missed_frames() -> None:
    rule = FramesMissed()
    condition = rule.check(facts(frames_given_up=40_000))
    assert condition is not None
    assert condition.count == 40_000
    assert rule.check(facts(now=2000.0, frames_given_up=40_000)) is None


def camera(*, paused: bool = False, ended: bool = False) -> CameraStatus:
    return CameraStatus(ring="r", epoch=1, sequence=1, source="s", paused=paused, ended=ended)


@pytest.mark.parametrize(
    ("changes", "raised"),
    [
        ({"camera": camera()}, False),
        ({"camera": camera(), "camera_age": 5.9}, False),
        ({"camera": camera(), "camera_age": 6.1}, True),
        ({"camera_age": float("inf")}, True),
        ({"camera_age": float("inf"), "running": 3.0}, False),
        ({"camera": camera(), "frame_age": 29.0}, False),
        ({"camera": camera(), "frame_age": 31.0}, True),
        ({"camera": camera(), "frame_age": float("inf"), "running": 29.0}, False),
        ({"camera": camera(), "frame_age": float("inf"), "running": 31.0}, True),
        ({"camera": camera(paused=True), "frame_age": 31.0}, False),
        ({"camera": camera(ended=True), "frame_age": 31.0}, False),
        ({"camera": camera(ended=True), "frame_age": 31.0, "camera_age": 7.0}, True),
    ],
)
def test_a_silent_camera(changes: dict[str, object], raised: bool) -> None:
    assert (CameraSilent(30.0).check(facts(**changes)) is not None) is raised


def test_without_a_limit_only_the_heartbeat_tells_of_a_silent_camera() -> None:
    assert CameraSilent(0.0).check(facts(camera=camera(), frame_age=1e6)) is None


def test_a_missing_model_is_told_when_it_stays_missing() -> None:
    rule = ModelMissing()
    assert rule.check(facts(now=100.0, model_problem="no classifier")) is None
    assert rule.check(facts(now=102.0, model_problem="no classifier")) is None
    assert rule.check(facts(now=103.0, model_problem="no classifier")) == Condition("no classifier")
    assert rule.check(facts(now=104.0)) is None
    assert rule.check(facts(now=105.0, agent_age=7.0)) is None
    assert rule.check(facts(now=108.0, agent_age=7.0)) == Condition("the edge agent is silent")


def test_orphans_disk_and_ledger() -> None:
    assert ModelOrphaned().check(CALM) is None
    assert ModelOrphaned().check(facts(orphaned=("A-1-0-0",))) is not None
    assert LedgerFailing().check(CALM) is None
    assert LedgerFailing().check(facts(ledger_problem="full")) == Condition("full")
    disk = DiskLow(100)
    assert [disk.check(facts(free_megabytes=free)) is not None for free in (101, 99, 105, 111, 105)] == [
        False,
        True,
        True,
        False,
        False,
    ]
    assert DiskLow(100).check(facts(journal_problem="shm is full")) == Condition("shm is full")


class Plant:
    """Hears what the board says."""

    def __init__(self) -> None:
        self.heard: list[Alert] = []
        self.away = False

    def publish(self, alert: Alert) -> None:
        if self.away:
            raise BusUnavailableError("away")
        self.heard.append(alert)

    @property
    def states(self) -> list[str]:
        return [str(alert.state) for alert in self.heard]


KIND = AlertKind.DISK_LOW


def test_the_board_tells_each_change_once(tmp_path: Path) -> None:
    plant = Plant()
    board = Board("line1", tmp_path / "alerts.json", plant.publish)
    for condition in (None, Condition("a", 1), Condition("b", 2), None, None):
        board.update(KIND, condition)
    assert [(alert.state, alert.detail, alert.count) for alert in plant.heard] == [
        ("raised", "a", 1),
        ("cleared", "a", 1),
    ]
    assert plant.heard[0].since == plant.heard[1].since


def test_a_change_while_the_bus_is_away_is_told_later(tmp_path: Path) -> None:
    plant = Plant()
    board = Board("line1", tmp_path / "alerts.json", plant.publish)
    plant.away = True
    board.update(KIND, Condition("a"))
    plant.away = False
    board.update(KIND, Condition("a"))
    assert plant.states == ["raised"]


def test_a_topic_that_the_core_does_not_admit_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def refuse(_alert: Alert) -> None:
        raise NotAuthorizedError("the recipe's accessControl does not admit it")

    board = Board("line1", tmp_path / "alerts.json", refuse)
    for _ in range(3):
        board.update(KIND, Condition("a"))
    assert [record.getMessage() for record in caplog.records] == [
        "alerts are not told: the recipe's accessControl does not admit it"
    ]


def test_the_next_process_clears_what_the_last_one_raised_once_it_has_settled(tmp_path: Path) -> None:
    path = tmp_path / "alerts.json"
    first = Plant()
    Board("line1", path, first.publish).update(KIND, Condition("a"))
    second = Plant()
    board = Board("line1", path, second.publish)
    board.load()
    board.update(KIND, None, settled=False)
    board.update(KIND, Condition("a"), settled=False)
    assert second.states == []
    board.update(KIND, None, settled=True)
    assert second.states == ["cleared"]
    assert second.heard[0].since == first.heard[0].since
    third = Board("line1", path, Plant().publish)
    third.load()
    assert third.raised == []


@pytest.mark.parametrize("content", [b"", b"[]", b'{"no such kind": {}}', b"\xff"])
def test_alerts_that_cannot_be_read_are_forgotten(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "alerts.json"
    path.write_bytes(content)
    board = Board("line1", path, Plant().publish)
    board.load()
    assert board.raised == []


def test_the_watch_shows_every_verdict_to_every_rule(tmp_path: Path) -> None:
    plant = Plant()
    watch = Watch([DefectsInARow(2), FramesMissed()], Board("line1", tmp_path / "a.json", plant.publish))
    for outcome in (F, F, M):
        watch.see(verdict(outcome))
    watch.look(CALM)
    assert {str(alert.kind) for alert in plant.heard} == {"defects_in_a_row", "frames_missed"}
