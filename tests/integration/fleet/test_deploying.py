"""A release through its rings, and every way in which it can end, against the greengrassv2 fake with simulated devices."""

import json
import re
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from linewatch_common.windows import Weekday, Window

from model_build.fleet.configuration import moment_of
from model_build.fleet.errors import (
    CloudUnavailableError,
    CredentialsError,
    FleetInputError,
    ForeignRevisionError,
    HeldError,
    NotFoundError,
    RolledBackError,
    RunningAlreadyError,
)
from model_build.fleet.health import gather
from model_build.fleet.records import OPEN, Phase
from model_build.fleet.run import Deployer
from model_build.fleet.status import fleet_status
from tests.fakes.greengrassv2.fleet import Kind, Quality, Rule
from tests.integration.fleet.plant import FOREIGN, INSPECTOR, MODEL, NEW, OLD, Plant


def _deploy(fleet: Plant, release: dict[str, str] | None = None) -> list[str]:
    """As the command does it; what was said."""
    said: list[str] = []
    core = fleet.core()
    plan = core.plan(release or NEW)["plan"]
    fleet.deployer(core, said.append).deploy(plan)
    return said


def _phase(fleet: Plant) -> Phase:
    current = fleet.core().book.current()
    assert current is not None
    return current.phase


def _created(fleet: Plant) -> int:
    return fleet.backend.counts["CreateDeployment"]


def _restored(fleet: Plant) -> dict[str, Any]:
    """The canary's map after a rollback: the old versions, all that was merged before, and nothing of the release."""
    components = fleet.deployed("canary")
    assert components[FOREIGN] == {"componentVersion": "2.3.0", "configurationUpdate": {"merge": '{"Port":502}'}}
    assert components[INSPECTOR] == {"componentVersion": "1.0.0"}
    update = components[MODEL]["configurationUpdate"]
    assert (components[MODEL]["componentVersion"], update["reset"]) == ("1.0.0", [""])
    assert json.loads(update["merge"]) == {"Threshold": 0.4, "Extra": 1}
    return components


def _untouched(fleet: Plant, *rings: str) -> None:
    for ring in rings:
        assert fleet.versions(ring) == OLD
        assert fleet.deployed(ring)[MODEL]["configurationUpdate"] == {"merge": '{"Threshold":0.4,"Extra":1}'}


def test_a_good_release_reaches_every_ring_and_drops_nothing_of_others(fleet: Plant) -> None:
    said = _deploy(fleet)
    for ring in fleet.sizes:
        assert fleet.versions(ring) == {**OLD, **NEW}
        assert fleet.deployed(ring)[FOREIGN]["configurationUpdate"] == {"merge": '{"Port":502}'}
        assert fleet.deployed(ring)[MODEL]["configurationUpdate"] == {"merge": '{"Threshold":0.5}', "reset": [""]}
    assert [line.split(":")[0] for line in said if "passed" in line] == list(fleet.sizes)
    [entry] = fleet.core().book.history(5)
    assert (entry.phase, entry.by, entry.devices, entry.release) == (Phase.DONE, "anna", 20, NEW)


def test_somebody_elses_component_is_judged_by_greengrass_for_it_sends_no_reports(fleet: Plant) -> None:
    fleet.backend.add_component(FOREIGN, "2.4.0")
    fleet.backend.devices["line-001"].finished = frozenset({FOREIGN})
    _deploy(fleet, {FOREIGN: "2.4.0"})
    for ring in fleet.sizes:
        assert fleet.versions(ring) == {**OLD, FOREIGN: "2.4.0"}
        assert fleet.deployed(ring)[FOREIGN]["configurationUpdate"] == {"merge": '{"Port":502}', "reset": [""]}

    fleet.backend.add_component(FOREIGN, "2.5.0")
    fleet.backend.devices["line-000"].rules.append(Rule(Kind.BROKEN, FOREIGN, "2.5.0"))
    with pytest.raises(RolledBackError, match=rf"{FOREIGN} 2\.5\.0 is BROKEN: 1 of 4 devices \(line-000\)"):
        _deploy(fleet, {FOREIGN: "2.5.0"})
    assert fleet.versions("canary") == {**OLD, FOREIGN: "2.4.0"}


BRANCHES = [
    pytest.param(Kind.BROKEN, rf"{MODEL} 1\.1\.0 is BROKEN: 1 of 4 devices \(line-000\)", id="canary component BROKEN"),
    pytest.param(Kind.SILENT, r"silent: 1 of 4 devices after 6 minutes \(line-000\)", id="canary silent"),
    pytest.param(
        Kind.MUTE, r"silent: 1 of 4 devices after 6 minutes \(line-000\)", id="canary installs and says nothing"
    ),
    pytest.param(Kind.FAIL, r"the deployment did not succeed on 1 of 4 devices \(1 failed\)", id="installation fails"),
    pytest.param(
        Kind.SLOW, r"the deployment did not succeed on 1 of 4 devices \(1 timed out\)", id="installation never ends"
    ),
    pytest.param(Kind.FLAP, r"is (ERRORED|degraded)|degraded: 1 of 4|ERRORED: 1 of 4", id="component flaps"),
]


@pytest.mark.parametrize(("kind", "reason"), BRANCHES)
def test_a_bad_canary_device_stops_the_release_and_is_restored(fleet: Plant, kind: Kind, reason: str) -> None:
    fleet.misbehave("canary", 1, kind)
    with pytest.raises(RolledBackError, match=reason) as refused:
        _deploy(fleet)
    assert "never touched: wave-1, wave-2" in str(refused.value)
    assert refused.value.exit_code == 4
    _restored(fleet)
    _untouched(fleet, "wave-1", "wave-2")
    assert _phase(fleet) == Phase.ROLLED_BACK
    [entry] = fleet.core().book.history(5)
    assert entry.phase == Phase.ROLLED_BACK
    assert "canary" in entry.reason


def test_a_slow_model_is_refused_by_the_latency_gate(fleet: Plant) -> None:
    fleet.backend.qualities[(MODEL, NEW[MODEL])] = Quality(latency_ms=240.0)
    with pytest.raises(RolledBackError, match=r"\(100\.0%\) parts take over 150 ms, allowed 5\.0%"):
        _deploy(fleet)
    _restored(fleet)
    _untouched(fleet, "wave-1", "wave-2")


@pytest.mark.parametrize("rate", [0.16, 0.0])
def test_a_model_that_rejects_far_more_or_nothing_is_refused_by_the_defect_rate(fleet: Plant, rate: float) -> None:
    fleet.backend.qualities[(MODEL, NEW[MODEL])] = Quality(defect_rate=rate)
    with pytest.raises(RolledBackError, match=r"defect rate 5\.00% of \d+ parts before, .* allowed ±3\.00%"):
        _deploy(fleet)
    _restored(fleet)


def test_parts_that_are_lost_are_refused(fleet: Plant) -> None:
    fleet.backend.qualities[(MODEL, NEW[MODEL])] = Quality(lost_rate=0.2)
    with pytest.raises(RolledBackError, match=r"parts end late, missed or in error, allowed 1\.0%"):
        _deploy(fleet)
    _restored(fleet)


def test_what_is_inconclusive_is_held_and_a_person_decides(fleet: Plant) -> None:
    for thing in fleet.backend.groups["plant-a-canary"]:
        fleet.backend.devices[thing].parts_per_minute = 0.1
    with pytest.raises(
        HeldError, match=r"ring canary is held, the gate cannot decide: \d+ of at least 500 parts inspected"
    ) as held:
        _deploy(fleet)
    assert held.value.exit_code == 3
    assert _phase(fleet) == Phase.HELD
    assert fleet.versions("canary") == {**OLD, **NEW}
    _untouched(fleet, "wave-1", "wave-2")
    core = fleet.core(by="berta")
    current = core.book.current()
    assert current is not None
    core.accept_ring(current.plan, "canary", "seen at the line")
    fleet.deployer(core).deploy(current.plan)
    assert fleet.versions("wave-2") == {**OLD, **NEW}
    state = core.book.ring(current.plan, "canary")
    assert state is not None
    assert state.verdict is not None
    assert state.verdict.reasons == ["accepted by berta: seen at the line"]


def test_a_failure_in_a_later_ring_restores_every_ring_that_was_touched(fleet: Plant) -> None:
    fleet.misbehave("wave-1", 1, Kind.BROKEN)
    with pytest.raises(
        RolledBackError, match=r"ring wave-1 failed.*rolled back: wave-1, canary; never touched: wave-2"
    ):
        _deploy(fleet)
    _restored(fleet)
    assert fleet.versions("wave-1") == OLD
    _untouched(fleet, "wave-2")


def test_a_wave_tolerates_as_many_silent_devices_as_its_gate_says(fleet: Plant) -> None:
    fleet.configure(
        rings=[
            ring
            if ring.name == "canary"
            else msgspec.structs.replace(ring, gate=msgspec.structs.replace(fleet.fleet.gate, failed_devices=0.2))
            for ring in fleet.fleet.rings
        ]
    )
    fleet.misbehave("wave-1", 1, Kind.SILENT)
    assert any("silent: 1 of 6 devices, tolerated" in line for line in _deploy(fleet))


def test_a_foreign_revision_before_a_ring_is_started_is_left_alone(fleet: Plant) -> None:
    core = fleet.core()
    plan = core.plan(NEW)["plan"]
    assert fleet.ring(core, plan, "canary")["decision"] == "pass"
    assert _phase(fleet) in OPEN  # between two rings, too
    foreign = fleet.deploy_by_hand("wave-1", {}, {FOREIGN: "2.3.0"})
    created = _created(fleet)
    with pytest.raises(ForeignRevisionError, match=rf"ring wave-1: deployment {foreign} stands there") as stopped:
        core.start_ring(plan, "wave-1")
    assert stopped.value.exit_code == 5
    assert _created(fleet) == created
    assert core.roll_back(plan, "foreign")["rings"][0]["ring"] == "canary"
    _restored(fleet)
    assert fleet.versions("wave-1") == {FOREIGN: "2.3.0"}


def test_a_foreign_revision_during_a_ring_stops_it_and_is_not_rolled_over(fleet: Plant) -> None:
    core = fleet.core()
    plan = core.plan(NEW)["plan"]
    core.start_ring(plan, "canary")
    foreign = fleet.deploy_by_hand("canary", {}, {FOREIGN: "2.3.0"})
    for step in (core.poll_ring, core.judge_ring):
        with pytest.raises(ForeignRevisionError, match=foreign):
            step(plan, "canary")
    assert _phase(fleet) == Phase.FOREIGN
    answer = core.roll_back(plan, "asked for")
    assert (answer["status"], answer["rings"][0]["status"]) == ("foreign revision", "foreign revision")
    assert fleet.versions("canary") == {FOREIGN: "2.3.0"}
    assert _phase(fleet) not in OPEN


def test_throttling_is_waited_for_and_given_up_in_the_end_and_goes_on_later(fleet: Plant) -> None:
    fleet.backend.throttle("CreateDeployment", 3)
    core = fleet.core()
    plan = core.plan(NEW)["plan"]
    core.start_ring(plan, "canary")
    assert sum("ThrottlingException" in line for line in fleet.waits) == 3
    fleet.backend.throttle("DescribeJob", 10_000)
    with pytest.raises(
        CloudUnavailableError, match=r"describe_job: ThrottlingException: .*given up after 1\d\d s"
    ) as given_up:
        _deploy(fleet)
    assert given_up.value.exit_code == 8
    fleet.backend.unthrottle()
    _deploy(fleet)
    assert _created(fleet) == len(fleet.sizes) * 2 + 3


def test_expired_credentials_in_the_middle_are_named_and_the_same_command_goes_on(fleet: Plant) -> None:
    seen = [0]

    def expire(operation: str) -> None:
        seen[0] += operation == "DescribeJob"
        fleet.backend.expired = seen[0] == 6

    fleet.backend.on_call = expire
    with pytest.raises(CredentialsError, match="renew the credentials, then run the same command again") as refused:
        _deploy(fleet)
    assert refused.value.exit_code == 7
    assert _phase(fleet) in OPEN
    fleet.backend.on_call = lambda operation: None
    fleet.backend.expired = False
    _deploy(fleet)
    assert _phase(fleet) == Phase.DONE
    assert _created(fleet) == len(fleet.sizes) * 2


def test_a_try_that_died_after_the_call_is_adopted_not_repeated(fleet: Plant) -> None:
    core = fleet.core()
    plan = core.plan(NEW)["plan"]
    core.start_ring(plan, "canary")
    (fleet.state / "plans" / plan / "canary" / "state.json").unlink()
    created = _created(fleet)
    assert fleet.core().start_ring(plan, "canary")["status"] == "started"
    assert _created(fleet) == created
    assert fleet.ring(fleet.core(), plan, "canary")["decision"] == "pass"


def test_every_step_may_be_repeated(fleet: Plant) -> None:
    core = fleet.core()
    plan = core.plan(NEW)["plan"]
    assert core.plan(NEW)["plan"] == plan
    first = core.start_ring(plan, "canary")
    assert fleet.core().start_ring(plan, "canary") == first
    assert fleet.ring(core, plan, "canary")["decision"] == "pass"
    assert core.judge_ring(plan, "canary")["decision"] == "pass"
    created = _created(fleet)
    rows = core.roll_back(plan, "why")["rings"]
    assert core.roll_back(plan, "why")["rings"] == rows
    assert len(core.book.history(9)) == 1
    assert _created(fleet) == created + 1


def test_a_rollback_that_died_in_the_middle_is_finished_by_the_next_one(fleet: Plant) -> None:
    core = fleet.core()
    plan = core.plan(NEW)["plan"]
    for ring in ("canary", "wave-1"):
        assert fleet.ring(core, plan, ring)["decision"] == "pass"
    fleet.backend.on_call = lambda operation: setattr(fleet.backend, "expired", _created(fleet) == 6)
    with pytest.raises(CredentialsError):
        core.roll_back(plan, "why")
    fleet.backend.on_call = lambda operation: None
    fleet.backend.expired = False
    assert _phase(fleet) == Phase.ROLLING_BACK
    with pytest.raises(RunningAlreadyError, match="`fleet rollback` finishes taking it back"):
        core.plan({INSPECTOR: "1.1.0"})
    assert [row["ring"] for row in core.roll_back(plan, "why")["rings"]] == ["wave-1", "canary"]
    _restored(fleet)
    assert fleet.versions("wave-1") == OLD


def test_a_process_that_goes_on_after_somebody_took_the_plan_back_deploys_nothing_more(fleet: Plant) -> None:
    slow = fleet.core()
    plan = slow.plan(NEW)["plan"]
    assert fleet.ring(slow, plan, "canary")["decision"] == "pass"
    fleet.core(by="berta").roll_back(plan, "seen at the line")
    created = _created(fleet)
    steps: list[Callable[[], object]] = [
        lambda: slow.start_ring(plan, "wave-1"),
        lambda: slow.judge_ring(plan, "canary"),
        lambda: slow.finish(plan),
    ]
    for step in steps:
        with pytest.raises(RunningAlreadyError, match=r"is not under way any more \(plan \w+ is rolled back\)"):
            step()
    assert _created(fleet) == created
    assert len(slow.book.history(9)) == 1


def test_an_older_plan_is_not_taken_back_over_a_newer_one(fleet: Plant) -> None:
    _deploy(fleet)
    older = fleet.core().book.current()
    assert older is not None
    _deploy(fleet, {INSPECTOR: "1.1.0"})
    with pytest.raises(FleetInputError, match="is not the last one"):
        fleet.core().roll_back(older.plan, "too late")
    assert fleet.versions("canary")[MODEL] == NEW[MODEL]


def test_another_release_is_refused_while_one_is_under_way(fleet: Plant) -> None:
    core = fleet.core()
    core.plan(NEW)
    with pytest.raises(
        RunningAlreadyError, match=r"is planned since .*`fleet deploy --resume` goes on with it"
    ) as refused:
        core.plan({INSPECTOR: "1.1.0"})
    assert refused.value.exit_code == 6


def test_two_deployers_at_the_same_moment_get_one_fleet(fleet: Plant) -> None:
    releases: list[dict[str, str]] = [NEW, {INSPECTOR: "1.1.0"}]
    ends: list[str] = []

    def begin(release: dict[str, str]) -> None:
        try:
            ends.append(fleet.core().plan(release)["plan"])
        except RunningAlreadyError:
            ends.append("refused")

    threads = [threading.Thread(target=begin, args=(release,)) for release in releases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert ends.count("refused") == 1
    assert len(ends) == 2


def test_a_deployment_of_somebody_else_that_is_being_installed_is_waited_for(fleet: Plant) -> None:
    fleet.deploy_by_hand("wave-2", {})
    with pytest.raises(RunningAlreadyError, match=r"ring wave-2: deployment by hand is being installed on \d+ devices"):
        fleet.core().plan(NEW)


def test_what_cannot_be_deployed_is_refused_before_a_device_is_touched(fleet: Plant) -> None:
    created = _created(fleet)
    core = fleet.core()
    with pytest.raises(NotFoundError, match=rf"{MODEL} 9\.0\.0 is not published"):
        core.plan({MODEL: "9.0.0"})
    fleet.backend.components[fleet.backend.add_component(MODEL, "1.2.0")].ready_at = fleet.clock() + timedelta(hours=1)
    with pytest.raises(FleetInputError, match=rf"{MODEL} 1\.2\.0 is INITIATED, not DEPLOYABLE"):
        core.plan({MODEL: "1.2.0"})
    with pytest.raises(FleetInputError, match="nothing to deploy"):
        core.plan({})
    fleet.configure(
        rings=[*fleet.fleet.rings, msgspec.structs.replace(fleet.fleet.rings[0], name="more", thing_group="plant-z")]
    )
    with pytest.raises(NotFoundError, match="thing group plant-z does not exist"):
        core.plan(NEW)
    fleet.backend.groups["plant-z"] = [fleet.backend.groups["plant-a-canary"][0]]
    with pytest.raises(FleetInputError, match="line-000 is in rings canary and more"):
        core.plan(NEW)
    assert _created(fleet) == created
    assert core.book.current() is None


def test_a_ring_waits_for_its_maintenance_window(fleet: Plant) -> None:
    day, hour = fleet.clock().weekday(), fleet.clock().hour
    window = Window(days=[list(Weekday)[(day + 1) % 7]], start=f"{hour:02d}:30", minutes=60)
    fleet.configure(rings=[msgspec.structs.replace(fleet.fleet.rings[0], windows=[window]), *fleet.fleet.rings[1:]])
    core = fleet.core()
    plan = core.plan(NEW)["plan"]
    answer = core.start_ring(plan, "canary")
    assert answer["status"] == "waiting"
    assert fleet.versions("canary") == OLD
    fleet.sleep((moment_of(answer["until"]) - fleet.clock()).total_seconds())
    assert core.start_ring(plan, "canary")["status"] == "started"


def test_a_device_that_waits_for_its_own_window_holds_its_ring_and_is_no_failure(fleet: Plant) -> None:
    thing = fleet.backend.groups["plant-a-canary"][0]
    late = fleet.backend.devices[thing]
    late.opens, late.waits_with = fleet.clock() + timedelta(hours=9), [("SurfaceInspector", "1.0.0")]
    core = fleet.core()
    plan = core.plan(NEW)["plan"]
    core.start_ring(plan, "canary")
    fleet.until(lambda: core.poll_ring(plan, "canary"))
    fleet.sleep(4 * 3600)  # far past report_minutes and hold_minutes
    answer = core.judge_ring(plan, "canary")
    assert answer["decision"] == "wait"
    assert re.match(rf"waits for its maintenance window until \S+Z: 1 of 4 devices \({thing}\)", answer["reasons"][0])
    things = [each for group in fleet.backend.groups.values() for each in group]
    status = fleet_status(core, fleet.fleet, gather(core.reports, core.book.store, things, fleet.clock()))
    assert [(ring.waiting, ring.silent, ring.elsewhere) for ring in status.rings] == [(1, 0, 0), (0, 0, 0), (0, 0, 0)]
    fleet.sleep((late.opens - fleet.clock()).total_seconds())
    assert fleet.until(lambda: core.judge_ring(plan, "canary"))["decision"] == "pass"


def test_configuration_of_earlier_deployments_is_gathered_until_a_whole_reset(fleet: Plant) -> None:
    fleet.deploy_by_hand("canary", {MODEL: {"merge": '{"Later":{"a":1}}'}})
    fleet.deploy_by_hand("canary", {MODEL: {"merge": '{"Later":{"b":2}}', "reset": ["/Extra"]}})
    fleet.sleep(3600)
    core = fleet.core()
    plan = core.plan(NEW)["plan"]
    core.start_ring(plan, "canary")
    core.roll_back(plan, "why")
    update = fleet.deployed("canary")[MODEL]["configurationUpdate"]
    assert json.loads(update["merge"]) == {"Threshold": 0.4, "Later": {"a": 1, "b": 2}}
    assert update["reset"] == [""]


def test_a_first_deployment_to_empty_groups_is_taken_back_to_nothing(fleet: Plant) -> None:
    fleet.backend.deployments.clear()
    for device in fleet.backend.devices.values():
        device.executions.clear()
    fleet.misbehave("canary", 1, Kind.FAIL)
    with pytest.raises(RolledBackError):
        _deploy(fleet)
    assert fleet.versions("canary") == {}


def test_ctrl_c_while_waiting_loses_nothing(fleet: Plant) -> None:
    core = fleet.core()
    plan = core.plan(NEW)["plan"]
    waits = [0]

    def interrupted(seconds: float) -> None:
        waits[0] += 1
        if waits[0] in {2, 9}:
            raise KeyboardInterrupt
        fleet.sleep(seconds)

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            Deployer(core=fleet.core(), sleep=interrupted, say=print, progress=print).deploy(plan)
    Deployer(core=fleet.core(), sleep=interrupted, say=print, progress=print).deploy(plan)
    assert _phase(fleet) == Phase.DONE
    assert _created(fleet) == len(fleet.sizes) * 2
