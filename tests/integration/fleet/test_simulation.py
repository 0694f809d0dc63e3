"""The fleet in numbers, small: the processes of `python -m tools.fleet_simulation` with a few hundred devices."""

import dataclasses

import pytest

from tools.fleet_simulation import setting
from tools.fleet_simulation.__main__ import simulate
from tools.fleet_simulation.client import Step
from tools.fleet_simulation.figures import MAX_PEAK_MB, Run, as_markdown, called, problems

DEVICES = 400


@pytest.fixture(scope="module")
def run() -> Run:
    """One of each release."""
    return simulate(DEVICES, say=lambda _: None)


def test_the_good_release_goes_through_every_ring_although_some_devices_misbehave(run: Run) -> None:
    assert problems([run]) == []
    passed = [text.partition(":")[0] for _, text in run.good.lines if "passed" in text]
    assert passed == list(setting.ring_sizes(DEVICES))
    ring = run.status.shown["rings"][-1]
    assert sum(setting.kinds("wave-3", ring["devices"]).count(kind) for kind in setting.MIX) >= 2
    assert ring["silent"] + ring["elsewhere"] >= 2, "what misbehaves is seen"
    assert ring["reporting"] + ring["silent"] + ring["elsewhere"] == ring["devices"]


def test_the_bad_release_stops_at_the_canary_and_is_taken_back(run: Run) -> None:
    assert "BROKEN" in run.bad.lines[-1][1]
    assert "never touched: wave-1, wave-2, wave-3" in run.bad.lines[-1][1]
    assert run.bad.calls["greengrassv2:create_deployment"] == 2
    assert [ring["phase"] for ring in run.after.shown["rings"]] == ["rolled back", "", "", ""]


def test_status_costs_calls_for_rings_and_pages_not_for_devices(run: Run) -> None:
    assert sum(run.status.calls.values()) < DEVICES / 4
    assert "greengrassv2:list_installed_components" not in run.status.calls
    assert run.status.calls["s3:get_object"] < 40, "objects of many reports"


def test_quotas_hold_the_client_back_and_it_gets_through(run: Run) -> None:
    assert run.good.refused, "thirty-six devices asked one by one are over five a second"
    for quota in setting.QUOTAS:
        at_once = run.good.at_once.get(called(quota.operation, run.good), 0)
        assert at_once <= quota.rate + max(1.0, quota.rate) + 1, quota.operation


def test_what_is_not_as_promised_is_said(run: Run) -> None:
    slow = dataclasses.replace(run.status, cpu_seconds=21.0)
    fat = dataclasses.replace(run.bad, peak_mb=MAX_PEAK_MB + 1, exit_code=0)
    held = dataclasses.replace(run.good, exit_code=3)
    shown = {"rings": [{**run.after.shown["rings"][1], "phase": "rolled back", "components": {}}]}
    found = problems([dataclasses.replace(run, good=held, status=slow, bad=fat, after=Step(shown=shown))])
    for word in ("ended with 3", "21.0 s", "MB", "not 4", "stands at None", "touched by the bad"):
        assert any(word in line for line in found), word


def test_a_cost_that_bends_is_said(run: Run) -> None:
    runs = [
        dataclasses.replace(run, devices=devices, good=dataclasses.replace(run.good, cpu_seconds=cpu, calls={"x": 10}))
        for devices, cpu in ((1000, 5.0), (3000, 15.0), (10_000, 150.0))
    ]
    assert [line.partition(" bends")[0] for line in problems(runs) if "bends" in line] == ["CPU of a release"]
    assert "| 10,000 |" in as_markdown(runs)


def test_a_fleet_needs_more_than_two_canaries() -> None:
    with pytest.raises(ValueError, match="72"):
        setting.ring_sizes(72)
    assert sum(setting.ring_sizes(10_000).values()) == 10_000
