"""The gate's judgement, its arithmetic, windows and component maps: without a call."""

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pytest
from linewatch_common.messages.fleet import LATENCY_BOUNDS_MS, FleetHealth
from linewatch_common.windows import Weekday, Window, next_opening
from scipy import stats

from model_build.fleet.configuration import Abort, Fleet, Gate, Ring, moment_text, read_fleet
from model_build.fleet.errors import FleetInputError
from model_build.fleet.gate import Evidence, judge
from model_build.fleet.health import Listed, Report, digest
from model_build.fleet.merging import differences, full_merge, released, request_components, restored
from model_build.fleet.records import Before, ComponentSpec, Counts, Decision, Deployed, DeviceTally, Tally
from model_build.fleet.statistics import abort_minimum, detectable_rate, difference, parts_needed, sequence, wilson

MODEL = "com.linewatch.model.SurfaceInspector"
START = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
GATE = Gate(watch_minutes=10, report_minutes=20, hold_minutes=60, minimum_parts=1000)
FAST = [0, 0, 0, 0, 1]


def _report(minutes: float = 11, **changes: Any) -> Report:
    at = moment_text(START + timedelta(minutes=minutes))
    report = Report(
        tag="t",
        received=at,
        at=at,
        since=moment_text(START + timedelta(minutes=1)),
        versions={MODEL: "1.1.0"},
        states={MODEL: "ready"},
        models=["SurfaceInspector-1-1-0"],
        outcomes={"pass": 950, "fail": 50},
        latency=[count * 1000 for count in FAST],
    )
    return msgspec.structs.replace(report, **changes)


def _seen(minutes: float = 12, reports: dict[str, Report] | None = None, **changes: Any) -> Evidence:
    before = DeviceTally(since="2026-11-20T00:00:00Z", tally=Tally(outcomes={"pass": 9500, "fail": 500}))
    devices = ["a", "b"]
    evidence: dict[str, Any] = {
        "now": START + timedelta(minutes=minutes),
        "started": START,
        "devices": devices,
        "release": {MODEL: "1.1.0"},
        "before": Before(previous=None, full_merges={}, unhealthy=[], health=dict.fromkeys(devices, before)),
        "counts": Counts(succeeded=2),
        "broken": {},
        "reports": reports or {"a": _report(), "b": _report()},
    }
    return Evidence(**{**evidence, **changes})


def test_healthy_devices_with_enough_parts_pass() -> None:
    assert judge(GATE, _seen()).decision == Decision.PASS


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"received": moment_text(START)}, "silent"),
        ({"at": moment_text(START - timedelta(minutes=3))}, "silent"),
        ({"received": moment_text(START + timedelta(minutes=6))}, "silent"),
        ({"versions": {MODEL: "1.0.0"}}, "1.0.0 instead of 1.1.0"),
        ({"versions": {}}, "missing instead of 1.1.0"),
        ({"states": {MODEL: "degraded"}}, f"{MODEL} degraded"),
        ({"models": ["SurfaceInspector-1-0-0"]}, "SurfaceInspector-1-1-0 not in use"),
        ({"unreadable": "no JSON"}, "unreadable report"),
    ],
)
def test_one_device_that_does_not_show_the_release_waits_and_then_fails(change: dict[str, Any], reason: str) -> None:
    def seen(minutes: float) -> Evidence:
        return _seen(
            minutes, {"a": _report(minutes - 0.5), "b": _report(**({"minutes": minutes - 0.5} | {}), **change)}
        )

    early, late = judge(GATE, seen(12)), judge(GATE, seen(21))
    assert (early.decision, late.decision) == (Decision.WAIT, Decision.FAIL)
    assert f"{reason}: 1 of 2 devices after 20 minutes (b)" in " ".join(late.reasons)


def test_a_large_ring_is_given_the_time_that_its_rollout_takes() -> None:
    seen = _seen(21, {"a": _report(20)})
    assert judge(GATE, seen).decision == Decision.FAIL
    assert judge(GATE, dataclasses.replace(seen, rollout=timedelta(minutes=2))).decision == Decision.WAIT
    fleet = Fleet(name="f", rings=[Ring(name="r", thing_group="g")], per_minute=50)
    assert fleet.rollout(fleet.rings[0], 5000) == timedelta(minutes=100)


def test_certain_failures_do_not_wait() -> None:
    assert judge(GATE, _seen(1, broken={"a": "X is BROKEN"})).decision == Decision.FAIL
    assert judge(GATE, _seen(1, counts=Counts(timed_out=1))).decision == Decision.FAIL
    tolerant = msgspec.structs.replace(GATE, failed_devices=0.5)
    assert judge(tolerant, _seen(counts=Counts(failed=1))).decision == Decision.PASS


WAITING = {"models": ["SurfaceInspector-1-0-0"], "states": {MODEL: "degraded"}}


def _waiting(minutes: float, opens: float) -> Evidence:
    """Device b waits for its own window, `opens` minutes after the start; a is done."""
    until = moment_text(START + timedelta(minutes=opens))
    late = _report(minutes - 0.5, waiting={"SurfaceInspector-1-1-0": until}, **WAITING)
    return _seen(minutes, {"a": _report(minutes - 0.5), "b": late})


def test_a_device_that_waits_for_its_own_window_is_neither_silent_nor_a_failure() -> None:
    waits = "waits for its maintenance window until 2026-11-22T22:00:00Z: 1 of 2 devices (b)"
    for minutes in (12, 21, 61, 700):  # past report_minutes and hold_minutes
        verdict = judge(GATE, _waiting(minutes, 720))
        assert (verdict.decision, verdict.reasons[0]) == (Decision.WAIT, waits)
        assert (verdict.figures["good"], verdict.figures["waiting"]) == (1, 1)
    assert judge(GATE, _waiting(724, 720)).decision == Decision.WAIT, "its next report tells of the takeover"
    later = _seen(725, {"a": _report(724), "b": _report(724)})
    assert judge(GATE, later).decision == Decision.PASS


def test_a_device_that_did_not_take_the_model_in_its_window_fails() -> None:
    verdict = judge(GATE, _waiting(726, 720))
    assert verdict.decision == Decision.FAIL
    assert verdict.reasons[0] == f"{MODEL} degraded: 1 of 2 devices after 20 minutes (b)"


@pytest.mark.parametrize("until", ["2027-06-01T00:00:00Z", "2026-11-22T09:00:00Z"])
def test_a_window_that_cannot_be_is_not_believed(until: str) -> None:
    report = _report(20.5, waiting={"SurfaceInspector-1-1-0": until}, **WAITING)
    assert judge(GATE, _seen(21, {"a": _report(20.5), "b": report})).decision == Decision.FAIL


def test_a_device_that_finds_new_windows_for_ever_is_held_in_the_end() -> None:
    assert judge(GATE, _waiting(8 * 1440 + 59, 9 * 1440)).decision == Decision.WAIT
    assert judge(GATE, _waiting(8 * 1440 + 60, 9 * 1440)).decision == Decision.HOLD


def test_devices_that_wait_are_tolerated_like_others_and_do_not_hide_failures() -> None:
    tolerant = msgspec.structs.replace(GATE, failed_devices=0.5, minimum_parts=0)
    assert judge(tolerant, _waiting(12, 720)).decision == Decision.PASS
    silent = dataclasses.replace(_waiting(21, 720), reports={"b": _waiting(21, 720).reports["b"]})
    assert judge(GATE, silent).decision == Decision.FAIL


def test_a_report_with_a_moment_that_is_none_stops_nobody() -> None:
    raw = msgspec.json.encode(
        FleetHealth(
            thing="b", station="s", at="2026-99-99T00:00:00Z", since=moment_text(START), sequence=0, components={}
        )
    )
    assert "2026-99-99" in digest("b", raw, Listed(tag="t", received=moment_text(START))).unreadable


def test_counts_of_a_device_whose_models_did_not_change_are_taken_since_the_deployment() -> None:
    since = "2026-11-20T00:00:00Z"
    report = _report(since=since, outcomes={"pass": 9500, "fail": 900}, latency=[0, 0, 10_400])
    verdict = judge(GATE, _seen(reports={"a": report, "b": report}))
    assert (verdict.figures["parts"], verdict.figures["defects"]) == (800, 800)


def test_the_defect_rate_is_judged_within_across_and_beyond_its_margin() -> None:
    def decision(defects: int, parts: int) -> Decision:
        report = _report(outcomes={"pass": parts - defects, "fail": defects}, latency=[parts])
        return judge(GATE, _seen(reports={"a": report, "b": report})).decision

    assert decision(50, 1000) == Decision.PASS
    assert decision(35, 650) == Decision.WAIT  # it might have moved by the margin
    assert decision(120, 1000) == Decision.FAIL
    assert decision(0, 1000) == Decision.FAIL


def test_few_parts_wait_and_are_held_in_the_end() -> None:
    report = _report(outcomes={"pass": 40, "fail": 2})
    assert judge(GATE, _seen(reports={"a": report, "b": report})).decision == Decision.WAIT
    later = _report(58, outcomes={"pass": 40, "fail": 2})
    held = judge(GATE, _seen(60, reports={"a": later, "b": later}))
    assert (held.decision, held.reasons) == (Decision.HOLD, ["84 of at least 1000 parts inspected"])
    unjudged = msgspec.structs.replace(GATE, minimum_parts=0)
    assert judge(unjudged, _seen(reports={"a": report, "b": report})).decision == Decision.PASS


def test_slow_and_lost_parts_fail_only_when_that_is_certain() -> None:
    def decision(**changes: Any) -> Decision:
        report = _report(**changes)
        return judge(GATE, _seen(reports={"a": report, "b": report})).decision

    slow = [0] * (len(LATENCY_BOUNDS_MS) + 1)
    slow[0], slow[-1] = 900, 100
    assert decision(latency=slow) == Decision.FAIL
    slow[0], slow[-1] = 945, 55
    assert decision(latency=slow) == Decision.WAIT
    assert decision(outcomes={"pass": 930, "fail": 50, "missed": 40}) == Decision.FAIL
    assert decision(outcomes={"pass": 941, "fail": 49, "missed": 10}) == Decision.PASS


def test_36_canary_devices_show_a_failure_of_8_percent() -> None:
    assert detectable_rate(36) == pytest.approx(0.08, abs=0.0005)
    assert 1 - stats.binom.pmf(0, 36, detectable_rate(36)) == pytest.approx(0.95)
    assert detectable_rate(0) == 1.0


@pytest.mark.parametrize(("found", "total"), [(0, 10), (1, 500), (250, 500), (500, 500)])
def test_intervals_are_those_of_scipy(found: int, total: int) -> None:
    theirs = stats.binomtest(found, total).proportion_ci(0.95, method="wilson")
    assert wilson(found, total, 0.95) == pytest.approx((theirs.low, theirs.high))


LOOKS = range(200, 8001, 200)


def _wrong_at_some_look(interval: Callable[[int, int], tuple[float, float]], share: float, runs: int) -> float:
    """How many of `runs` growing counts have a look whose interval misses the truth."""
    rng = np.random.default_rng(7)
    wrong = 0
    for _ in range(runs):
        found = rng.binomial(LOOKS.step, share, len(LOOKS)).cumsum()
        intervals = (interval(int(count), total) for count, total in zip(found, LOOKS, strict=True))
        wrong += any(not low <= share <= high for low, high in intervals)
    return wrong / runs


def test_looking_again_and_again_is_wrong_no_more_often_than_is_said() -> None:
    assert _wrong_at_some_look(lambda found, total: wilson(found, total, 0.95), 0.05, 300) > 0.2, "each look on its own"
    assert _wrong_at_some_look(lambda found, total: sequence(found, total, 0.05, 0.95), 0.05, 300) <= 0.05
    assert _wrong_at_some_look(lambda found, total: sequence(found, total, 0.01, 0.95), 0.05, 300) <= 0.05, (
        "a wrong guess"
    )
    assert _wrong_at_some_look(lambda found, total: sequence(found, total, 0.0, 0.95), 0.0, 1) == 0


def test_the_difference_to_what_was_before_holds_at_all_looks() -> None:
    rng = np.random.default_rng(8)
    wrong = 0
    for _ in range(300):
        old = int(rng.binomial(2000, 0.05))
        found = rng.binomial(LOOKS.step, 0.06, len(LOOKS)).cumsum()
        intervals = (
            difference((int(count), total), (old, 2000), 0.95) for count, total in zip(found, LOOKS, strict=True)
        )
        wrong += any(not low <= 0.01 <= high for low, high in intervals)
    assert wrong / 300 <= 0.05
    low, high = difference((50, 1000), (500, 10_000), 0.95)
    assert (low, high) == pytest.approx((-0.018, 0.0229), abs=0.0001)


def test_the_estimate_of_the_parts_that_decide_is_about_right() -> None:
    parts = parts_needed(0.05, 0.02, 0.95)
    low, high = difference((round(0.05 * parts), parts), (round(0.05 * parts), parts), 0.95)
    assert max(-low, high) == pytest.approx(0.02, rel=0.15)
    assert parts_needed(0.05, 0, 0.95) == 0


@pytest.mark.parametrize(("tolerated", "threshold"), [(0.0, 0.2), (0.01, 0.2), (0.02, 0.2), (0.05, 0.2), (0.1, 0.3)])
def test_a_large_ring_that_fails_as_tolerated_is_not_aborted(tolerated: float, threshold: float) -> None:
    least = abort_minimum(tolerated, threshold)
    rng = np.random.default_rng(9)
    ended = np.arange(1, 2001)
    failed = (rng.random((1000, 2000)) < tolerated).cumsum(axis=1)
    stopped = ((failed >= threshold * ended - 1e-9) & (ended >= least)).any(axis=1)
    assert stopped.mean() <= 0.02  # 1 % is asked; a thousand runs tell no better
    broken = (rng.random((200, 2000)) < 2 * threshold).cumsum(axis=1)
    assert ((broken >= threshold * ended) & (ended >= least) & (ended <= 100)).any(axis=1).mean() > 0.99


def test_the_default_abort_follows_what_a_ring_tolerates_and_a_file_goes_before_it() -> None:
    canary, wave = (
        Ring(name="canary", thing_group="c"),
        Ring(name="wave", thing_group="w", gate=Gate(failed_devices=0.02)),
    )
    fleet = Fleet(name="f", rings=[canary, wave])
    assert [(rule.percent, rule.minimum_devices) for ring in fleet.rings for rule in fleet.aborts_of(ring)] == [
        (20, 5),
        (20, 14),
    ]
    lax = msgspec.structs.replace(wave, gate=Gate(failed_devices=0.5))
    assert fleet.aborts_of(lax)[0].percent == 100
    own = msgspec.structs.replace(fleet, abort=[Abort(percent=50, minimum_devices=3)])
    assert own.aborts_of(wave) == own.abort
    assert msgspec.structs.replace(fleet, abort=[]).aborts_of(wave) == []


def test_windows_open_in_the_fleets_own_clock_also_over_midnight() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    night = [Window(start="22:00", minutes=240, days=[Weekday.SUN])]  # 2026-11-22 is a Sunday; 21:00 to 01:00 UTC
    assert next_opening(night, berlin, START) == datetime(2026, 11, 22, 21, 0, tzinfo=UTC)
    inside = datetime(2026, 11, 23, 0, 59, tzinfo=UTC)
    assert next_opening(night, berlin, inside) == inside
    assert next_opening(night, berlin, inside + timedelta(minutes=1)) == datetime(2026, 11, 29, 21, 0, tzinfo=UTC)
    assert next_opening([], berlin, START) == START
    spring = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)  # the day the clocks go forward
    assert next_opening(night, berlin, spring) == datetime(2026, 3, 29, 20, 0, tzinfo=UTC)


STANDING = {
    "com.example.Gateway": ComponentSpec(version="2.3.0", merge='{"Port":502}', run_with={"posixUser": "gw"}),
    MODEL: ComponentSpec(version="1.0.0", merge='{"Threshold":0.4}', run_with={"posixUser": "line"}),
}


def _before(**merges: Any) -> Before:
    previous = Deployed(
        deployment="d", revision="1", name="n", status="ACTIVE", job="j", created="", components=dict(STANDING)
    )
    return Before(previous=previous, full_merges={MODEL: merges}, unhealthy=[], health={})


def test_a_release_is_merged_into_what_stands_and_taken_out_again() -> None:
    ring = Ring(name="canary", thing_group="g", configuration={MODEL: {"Threshold": 0.6}})
    fleet = Fleet(name="f", rings=[ring], configuration={MODEL: {"Threshold": 0.5}})
    release = {MODEL: "1.1.0", "com.linewatch.New": "1.0.0"}
    components = released(_before(Threshold=0.4), release, fleet, ring)
    assert components["com.example.Gateway"] == STANDING["com.example.Gateway"]
    assert components[MODEL] == ComponentSpec(
        version="1.1.0", merge='{"Threshold":0.6}', reset=[""], run_with={"posixUser": "line"}
    )
    assert request_components(components)["com.linewatch.New"] == {
        "componentVersion": "1.0.0",
        "configurationUpdate": {"reset": [""]},
    }
    silent = msgspec.structs.replace(fleet, configuration={}, rings=[msgspec.structs.replace(ring, configuration={})])
    assert (
        released(_before(Threshold=0.4, Extra=1), release, silent, silent.rings[0])[MODEL].merge
        == '{"Extra":1,"Threshold":0.4}'
    )
    back = restored(_before(Threshold=0.4, Extra=1), release)
    assert back.keys() == STANDING.keys()
    assert back[MODEL].merge == '{"Extra":1,"Threshold":0.4}'
    assert back[MODEL].reset == [""]
    assert differences(STANDING, components) == [
        ("com.linewatch.New", "", "1.0.0"),
        (MODEL, '1.0.0 {"Threshold":0.4} {"posixUser":"line"}', '1.1.0 {"Threshold":0.6} {"posixUser":"line"}'),
    ]


def test_what_was_merged_is_followed_back_to_a_reset_or_to_the_components_arrival() -> None:
    def revision(**spec: Any) -> dict[str, ComponentSpec]:
        return {MODEL: ComponentSpec(version="1.0.0", **spec)}

    newest_first = [
        revision(merge='{"c":{"y":2}}', reset=["/a", "/c/x"]),
        revision(merge='{"a":1,"c":{"x":1}}'),
        revision(merge='{"b":1}', reset=[""]),
        revision(merge='{"long":"ago"}'),
    ]
    assert full_merge(newest_first, MODEL) == {"b": 1, "c": {"y": 2}}
    assert full_merge([revision(merge='{"b":1}'), {}, revision(merge='{"long":"ago"}')], MODEL) == {"b": 1}
    with pytest.raises(FleetInputError, match="not an object"):
        full_merge([revision(merge="[1]")], MODEL)


def _windowed(configuration: str) -> str:
    ring = '{"name":"a","thing_group":"g","configuration":{"com.linewatch.EdgeAgent":' + configuration + "}}"
    return '{"schema":"linewatch.Fleet/1","name":"p","rings":[' + ring + "]}"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"schema":"linewatch.Fleet/1","name":"p","rings":[]}', "length >= 1"),
        ('{"schema":"linewatch.Fleet/1","name":"p/q","rings":[{"name":"a","thing_group":"g"}]}', "regex"),
        ('{"schema":"linewatch.Fleet/1","name":"p","ring":[]}', "ring"),
        (
            '{"schema":"linewatch.Fleet/1","name":"p","rings":[{"name":"a","thing_group":"g"},{"name":"b","thing_group":"g"}]}',
            "twice",
        ),
        (
            '{"schema":"linewatch.Fleet/1","name":"p","rings":[{"name":"a","thing_group":"g"}],"gate":{"latency_ms":151}}',
            "151",
        ),
        (
            '{"schema":"linewatch.Fleet/1","name":"p","rings":[{"name":"a","thing_group":"g"}],"timezone":"Mars"}',
            "Mars",
        ),
        (
            _windowed('{"MaintenanceWindows":[{"start":"25:00","minutes":60}]}'),
            "EdgeAgent: MaintenanceWindows: .*start",
        ),
        (_windowed('{"MaintenanceTimeZone":"Mars"}'), "EdgeAgent: MaintenanceTimeZone: .*Mars"),
        (_windowed('{"MaintenanceTimeZone":7}'), "EdgeAgent: .*str"),
        ('{"schema":"linewatch.Fleet/1",', "truncated"),
    ],
)
def test_a_wrong_configuration_is_refused_with_file_and_field(text: str, reason: str) -> None:
    with pytest.raises(FleetInputError, match=rf"^plant\.json: .*{reason}"):
        read_fleet(text.encode(), "plant.json")
