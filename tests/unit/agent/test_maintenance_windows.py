"""A device changes a model in its own maintenance window, and only then."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from linewatch_agent.active import ActiveFile
from linewatch_agent.config import AgentConfig, schedule_of, validate
from linewatch_agent.packages import PackageStore
from linewatch_agent.roles import Roles, RoleSettings
from linewatch_agent.trust import Trust
from linewatch_agent.waiting import OFFER_SECONDS
from linewatch_common.config import read_config
from linewatch_common.errors import ConfigError
from linewatch_common.messages.models import ModelActivated, ModelProved, ModelRefused, ModelRetired, ModelWaiting
from linewatch_common.windows import Schedule, Weekday, Window

from tests.unit.agent.support import make_package, offer_of
from tests.unit.agent.test_roles import NAME, PATIENCE, Bench

NIGHT = [Window(days=[Weekday.SAT], start="22:00", minutes=240)]
FRIDAY, OPENS = datetime(2026, 11, 27, 12, 0, tzinfo=UTC), datetime(2026, 11, 28, 22, 0, tzinfo=UTC)


class WindowBench(Bench):
    """Its device may change models on Saturday nights; it is Friday."""

    def __init__(self, work: Path, today: datetime = FRIDAY) -> None:
        super().__init__(work)
        self.today = today
        self.changes = 0
        settings = RoleSettings(
            component=NAME,
            root=work / "models",
            latency_budget_ms=5000,
            withdrawal_seconds=PATIENCE,
            schedule=Schedule(NIGHT, UTC, lambda: self.today),
        )
        self.roles = Roles(
            self.core.registry,
            PackageStore(work / "models", 100_000_000, Trust()),
            ActiveFile(work / "active.json"),
            settings,
            self.core.counters,
            clock=lambda: self.now,
            on_change=self._changed,
        )
        self.roles.restore()

    def _changed(self) -> None:
        self.changes += 1

    @property
    def waiting(self) -> dict[str, tuple[str, str, bool]]:
        return {role: (model.identifier, model.until, model.due) for role, model in self.roles.waiting().items()}

    def pass_time(self, seconds: float) -> list[ModelRetired]:
        self.now += seconds
        self.today += timedelta(seconds=seconds)
        return self.roles.retire_due(None, 0.0)


@pytest.fixture
def first(tmp_path: Path) -> Path:
    return make_package(tmp_path / "v1")


@pytest.fixture
def second(tmp_path: Path) -> Path:
    return make_package(tmp_path / "v2", version="2.0.0")


@pytest.fixture
def bench(tmp_path: Path, first: Path) -> WindowBench:
    """The first version serves."""
    made = WindowBench(tmp_path / "work")
    assert isinstance(made.roles.answer(offer_of(first)), ModelActivated), "a first model does not wait"
    return made


def test_a_new_version_is_proved_and_waits_and_what_runs_serves_on(bench: WindowBench, second: Path) -> None:
    offer = offer_of(second, nonce="n2")
    answer = bench.roles.answer(offer)
    assert answer == ModelWaiting(
        identifier="Tiny-2-0-0",
        role="classifier",
        version="2.0.0",
        manifest_digest=offer.manifest_digest,
        nonce="n2",
        until="2026-11-28T22:00:00Z",
    )
    assert (bench.serving, bench.loaded, bench.copies) == ({"classifier": "Tiny-1-0-0"}, ["Tiny-1-0-0"], ["Tiny-1-0-0"])
    assert bench.waiting == {"classifier": ("Tiny-2-0-0", "2026-11-28T22:00:00Z", False)}
    for path in second.iterdir():
        path.unlink()
    assert bench.roles.answer(offer) == answer, "a repeated offer is answered without another proof"


def test_it_is_due_when_the_window_opens_and_its_next_offer_is_activated(bench: WindowBench, second: Path) -> None:
    bench.roles.answer(offer_of(second, nonce="n2"))
    bench.pass_time((OPENS - FRIDAY).total_seconds() - 1)
    assert not bench.waiting["classifier"][2]
    changes = bench.changes
    bench.pass_time(1)
    assert bench.waiting["classifier"][2]
    assert bench.changes > changes, "the heartbeat says so at once"
    answer = bench.roles.answer(offer_of(second, nonce="n3"))
    assert isinstance(answer, ModelActivated)
    assert (answer.replaced, bench.waiting, bench.serving) == ("Tiny-1-0-0", {}, {"classifier": "Tiny-2-0-0"})


def test_inside_the_window_nothing_waits(bench: WindowBench, second: Path) -> None:
    bench.today = OPENS + timedelta(minutes=10)
    assert isinstance(bench.roles.answer(offer_of(second)), ModelActivated)


def test_a_trial_is_answered_at_any_time(bench: WindowBench, second: Path) -> None:
    assert isinstance(bench.roles.answer(offer_of(second, trial=True)), ModelProved)
    assert bench.waiting == {}


def test_a_bad_version_is_refused_before_it_waits(bench: WindowBench, tmp_path: Path) -> None:
    bad = make_package(tmp_path / "bad", version="2.0.0", golden_shift=0.1)
    assert isinstance(bench.roles.answer(offer_of(bad, nonce="n2")), ModelRefused)
    assert bench.waiting == {}


def test_a_rollback_to_what_runs_and_to_what_ran_before_never_waits(
    bench: WindowBench, first: Path, second: Path
) -> None:
    bench.roles.answer(offer_of(second, nonce="n2"))
    assert isinstance(bench.roles.answer(offer_of(first, nonce="n3")), ModelActivated)
    assert bench.waiting == {}, "what waited was taken back"
    bench.today = OPENS
    bench.roles.answer(offer_of(second, nonce="n4"))
    bench.today = OPENS + timedelta(days=2)
    again = WindowBench(bench.work, bench.today)  # the way back survives a restart
    assert isinstance(again.roles.answer(offer_of(first, nonce="n5")), ModelActivated)
    assert again.serving == {"classifier": "Tiny-1-0-0"}
    assert isinstance(again.roles.answer(offer_of(second, nonce="n6")), ModelWaiting), "the way forward waits as ever"


def test_after_a_restart_the_offer_waits_again(bench: WindowBench, second: Path) -> None:
    bench.roles.answer(offer_of(second, nonce="n2"))
    again = WindowBench(bench.work)
    assert (again.serving, again.waiting) == ({"classifier": "Tiny-1-0-0"}, {})
    assert isinstance(again.roles.answer(offer_of(second, nonce="n3")), ModelWaiting)


def test_without_a_model_that_can_be_restored_the_next_one_does_not_wait(bench: WindowBench, second: Path) -> None:
    (Path(bench.roles.statuses()["classifier"].folder) / "model.onnx").write_bytes(b"cut by a power failure")
    again = WindowBench(bench.work)
    assert isinstance(again.roles.answer(offer_of(second)), ModelActivated)


def _gone(identifier: str) -> ModelRetired:
    return ModelRetired(identifier=identifier, role="classifier", by="com.linewatch.model.Tiny", reason="")


def test_what_serves_stays_however_long_its_successor_waits(bench: WindowBench, second: Path) -> None:
    bench.roles.withdrawn(_gone("Tiny-1-0-0"))  # its component was replaced by the successor's
    bench.roles.answer(offer_of(second, nonce="n2"))
    assert bench.pass_time(10 * PATIENCE) == []
    bench.roles.withdrawn(_gone("Tiny-2-0-0"))
    assert bench.waiting == {}
    assert bench.pass_time(PATIENCE - 1) == [], "the patience begins when nobody stands behind the role any more"
    assert [retired.identifier for retired in bench.pass_time(2)] == ["Tiny-1-0-0"]


def test_what_was_restored_is_no_orphan_while_its_successor_waits(bench: WindowBench, second: Path) -> None:
    again = WindowBench(bench.work)
    again.roles.answer(offer_of(second))
    again.pass_time(PATIENCE + 1)
    assert again.roles.orphaned() == []
    again.roles.withdrawn(_gone("Tiny-2-0-0"))
    assert again.roles.orphaned() == ["Tiny-1-0-0"]


def test_one_that_nobody_offers_in_the_window_is_forgotten(bench: WindowBench, second: Path) -> None:
    bench.roles.answer(offer_of(second, nonce="n2"))
    bench.today = OPENS
    bench.pass_time(1)
    bench.pass_time(OFFER_SECONDS + 1)
    assert (bench.waiting, bench.serving) == ({}, {"classifier": "Tiny-1-0-0"})


def test_a_clock_that_was_set_moves_the_opening(bench: WindowBench, second: Path) -> None:
    bench.roles.answer(offer_of(second, nonce="n2"))
    bench.today += timedelta(days=7)
    bench.pass_time(1)
    assert bench.waiting["classifier"][1] == "2026-12-05T22:00:00Z"


def test_a_later_version_takes_the_waiting_place(bench: WindowBench, second: Path, tmp_path: Path) -> None:
    bench.roles.answer(offer_of(second, nonce="n2"))
    bench.roles.answer(offer_of(make_package(tmp_path / "v3", version="3.0.0"), nonce="n3"))
    assert bench.waiting["classifier"][0] == "Tiny-3-0-0"


def test_an_active_file_of_an_older_agent_is_read(bench: WindowBench) -> None:
    path = bench.work / "active.json"
    path.write_text(path.read_text().replace(',\n      "previous": null', ""))
    assert "previous" not in path.read_text()
    assert WindowBench(bench.work).serving == {"classifier": "Tiny-1-0-0"}


WEEKEND = {"days": ["sat", "sun"], "start": "22:00", "minutes": 240}


def test_windows_are_configured_in_the_fleets_notation() -> None:
    raw = {"MaintenanceWindows": [WEEKEND], "MaintenanceTimeZone": "Europe/Berlin"}
    config, warnings = read_config(AgentConfig, raw, "EdgeAgent")
    validate(config)
    now = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
    schedule = schedule_of(config)
    assert Schedule(schedule.windows, schedule.zone, lambda: now).closed_until() == datetime(
        2026, 11, 28, 21, 0, tzinfo=UTC
    )
    assert warnings == []
    assert schedule_of(AgentConfig()).closed_until() is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"MaintenanceTimeZone": "Mars/Base"}, "MaintenanceTimeZone: time zone 'Mars/Base' is not known"),
        ({"MaintenanceTimeZone": "../../etc/passwd"}, "MaintenanceTimeZone"),
        ({"MaintenanceWindows": [WEEKEND | {"start": "24:00"}]}, r"MaintenanceWindows\[0\].start"),
        ({"MaintenanceWindows": [WEEKEND | {"minutes": 5}]}, r"MaintenanceWindows\[0\].minutes"),
        ({"MaintenanceWindows": [WEEKEND | {"days": ["Samstag"]}]}, r"MaintenanceWindows\[0\].days"),
        ({"MaintenanceWindows": [WEEKEND | {"begin": "1"}]}, "begin"),
        ({"MaintenanceWindows": [WEEKEND] * 9}, "MaintenanceWindows"),
    ],
)
def test_windows_that_cannot_be_are_refused(change: dict[str, object], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        validate(read_config(AgentConfig, change, "EdgeAgent")[0])
