"""`python -m model_build fleet` as a fleet manager types it."""

import argparse
import dataclasses
import io
import json
import re

import msgspec
import pytest
from rich.console import Console

from model_build.__main__ import main
from model_build.fleet import actions
from model_build.fleet.actions import Desk
from model_build.fleet.errors import InterruptedDeploymentError, RolledBackError
from model_build.fleet.voice import Voice
from tests.fakes.greengrassv2.fleet import Kind
from tests.integration.fleet.conftest import set_environment
from tests.integration.fleet.plant import NEW, OLD, Plant

RELEASE = [f"{name}={version}" for name, version in NEW.items()]


@pytest.fixture
def places(fleet: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plant's state as the command expects it: below the fleet's name."""
    set_environment(monkeypatch, fleet.url, "http://127.0.0.1:9")
    root = fleet.folder / "root"
    monkeypatch.setenv("LINEWATCH_FLEET_STATE", str(root))
    monkeypatch.setenv("LINEWATCH_FLEET_HEALTH", str(fleet.health))
    fleet.state = root / "fleets" / fleet.fleet.name
    file = fleet.folder / "plant-a.json"
    file.write_bytes(msgspec.json.encode(fleet.fleet))
    assert main(["fleet", "configure", str(file)]) == 0


def _desk(fleet: Plant) -> tuple[Desk, io.StringIO, io.StringIO]:
    """A desk whose waiting lets the plant's time run, what it answers, and what it says meanwhile."""
    out, said = io.StringIO(), io.StringIO()
    voice = Voice(Console(file=said, width=200))
    return Desk(core=fleet.core(), out=Console(file=out, width=200), voice=voice, sleep=fleet.sleep), out, said


def _options(*release: str, **changes: object) -> argparse.Namespace:
    values = {"release": list(release), "resume": False, "accept": "", "dry_run": False, "json": True, **changes}
    return argparse.Namespace(**values)


def test_the_dry_run_shows_the_plan_and_the_exact_calls_and_changes_nothing(
    fleet: Plant, places: None, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    created = fleet.backend.counts["CreateDeployment"]
    assert main(["fleet", "deploy", "--group", "plant-a", *RELEASE, "--dry-run", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [ring["name"] for ring in shown["rings"]] == list(fleet.sizes)
    assert shown["rings"][0]["detectable"] == pytest.approx(1 - 0.05 ** (1 / 4), abs=1e-4)
    assert fleet.backend.counts["CreateDeployment"] == created
    assert not (fleet.state / "current.json").exists()
    for call in shown["calls"]:
        fleet.greengrass.create_deployment(**call["parameters"])
    assert fleet.versions("wave-2") == {**OLD, **NEW}


def test_people_get_tables_before_during_and_after(
    fleet: Plant, places: None, capsys: pytest.CaptureFixture[str]
) -> None:
    desk, out, said = _desk(fleet)
    actions.deploy(_options(*RELEASE), desk)
    assert json.loads(out.getvalue())["status"] == "done"
    assert "canary: passed" in said.getvalue()
    assert "wave-2: passed" in said.getvalue()
    capsys.readouterr()
    assert main(["fleet", "status", "--group", "plant-a"]) == 0
    assert main(["fleet", "diff", "--group", "plant-a"]) == 0
    assert main(["fleet", "history", "--group", "plant-a"]) == 0
    text = capsys.readouterr().out
    for expected in ("canary", "wave-1", "passed", '1.1.0 {"Threshold":0.5}', "SurfaceInspector 1.1.0", "done"):
        assert expected in text
    assert re.search(r"  [45]\.\d\d%  ", text), "the defect rate, unabridged"
    assert main(["fleet", "status", "--group", "plant-a", "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert [(ring["devices"], ring["reporting"]) for ring in status["rings"]] == [(4, 4), (6, 6), (10, 10)]


def test_status_reads_stored_health_and_asks_no_device(fleet: Plant, places: None) -> None:
    assert main(["fleet", "status", "--group", "plant-a", "--refresh"]) == 0
    before = fleet.backend.counts.copy()
    assert main(["fleet", "status", "--group", "plant-a"]) == 0
    made = fleet.backend.counts - before
    assert made["ListInstalledComponents"] == made["GetCoreDevice"] == 0
    assert sum(made.values()) <= 5 * len(fleet.sizes)


def test_a_refused_release_says_why_to_programs_and_by_its_exit_code(fleet: Plant, places: None) -> None:
    fleet.misbehave("canary", 1, Kind.BROKEN)
    desk, out, _ = _desk(fleet)
    with pytest.raises(RolledBackError, match="BROKEN"):
        actions.deploy(_options(*RELEASE), desk)
    said = json.loads(out.getvalue())
    assert (said["status"], said["exit_code"]) == ("failed", 4)
    assert "BROKEN" in said["reason"]
    assert main(["fleet", "rollback", "--group", "plant-a"]) == 1


def test_ctrl_c_and_resume_and_a_rollback_of_what_ended_well(fleet: Plant, places: None) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    desk, _, _ = _desk(fleet)
    with pytest.raises(InterruptedDeploymentError, match="--resume` goes on here"):
        actions.deploy(_options(*RELEASE), dataclasses.replace(desk, sleep=interrupt))
    assert main(["fleet", "deploy", "--group", "plant-a", "com.linewatch.Inspector=1.1.0"]) == 6
    actions.deploy(_options(resume=True), desk)
    actions.rollback(argparse.Namespace(reason="asked for", dry_run=False, json=True), desk)
    assert {ring: fleet.versions(ring) for ring in fleet.sizes} == dict.fromkeys(fleet.sizes, OLD)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["status", "--group", "plant-z"], "plant-z/fleet.json does not exist: `fleet configure FILE` stores a fleet"),
        (["status", "--group", "../x"], "--group ../x"),
        (["deploy", "--group", "plant-a"], "nothing to deploy"),
        (["deploy", "--group", "plant-a", "X"], "want NAME=VERSION"),
        (["deploy", "--group", "plant-a", "--resume"], "no deployment is under way"),
        (["rollback", "--group", "plant-a"], "nothing to take back"),
        (["diff", "--group", "plant-a"], "nothing was deployed yet"),
    ],
)
def test_mistakes_get_a_clear_line(
    places: None, capsys: pytest.CaptureFixture[str], words: list[str], reason: str
) -> None:
    assert main(["fleet", *words]) == 1
    assert reason in capsys.readouterr().err
