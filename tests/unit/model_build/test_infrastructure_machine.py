"""The state machine's definition: the checked-in file, its structure, and what one chapter's history can cost."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from model_build.infrastructure import smoke
from model_build.infrastructure.bundle import BUNDLES, first_party
from model_build.infrastructure.commands import MACHINE
from model_build.infrastructure.machine import MAX_HISTORY_EVENTS, MAX_TURNS, definition, text

TEMPLATE = Path("model_build/infrastructure/template.yaml")
STATES: dict[str, dict[str, Any]] = definition()["States"]
# By Step Functions' documentation: a state is entered and exited; a task is scheduled, started, and fails or succeeds.
STATE_EVENTS, TASK_EVENTS = 2, 3


def successors(state: dict[str, Any]) -> Iterator[str]:
    """Every state that can come next."""
    yield from (state[key] for key in ("Next", "Default") if key in state)
    for other in (*state.get("Choices", []), *state.get("Catch", [])):
        yield other["Next"]


def cost(state: dict[str, Any]) -> int:
    """The most events that one visit of a state leaves."""
    tries = 1 + sum(retry["MaxAttempts"] for retry in state.get("Retry", []))
    return STATE_EVENTS + (TASK_EVENTS * tries if state["Type"] == "Task" else 0)


def test_the_file_is_what_the_table_says_and_the_same_from_run_to_run() -> None:
    assert MACHINE.read_bytes() == text() == text()


def test_the_file_names_no_partition_of_its_own() -> None:
    assert re.findall(r"arn:aws[a-z-]*:", text().decode()) == [], "another partition refuses a state machine that does"


def test_every_state_is_reached_and_every_way_ends() -> None:
    seen: set[str] = set()
    waiting = [definition()["StartAt"]]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += successors(STATES[name])
    assert seen == set(STATES)
    for name, state in STATES.items():
        assert (state["Type"] in {"Succeed", "Fail"}) == (not list(successors(state))), name


def test_every_task_is_tried_again_has_a_timeout_and_a_way_out() -> None:
    for name, state in STATES.items():
        if state["Type"] != "Task":
            continue
        assert state["Retry"], name
        assert [catch["ErrorEquals"] for catch in state["Catch"]][-1] == ["States.ALL"], name
        if state["Resource"].startswith("${"):
            assert state["TimeoutSeconds"] > 300, name


def test_a_chapter_ends_long_before_its_history_is_full() -> None:
    loop = [
        "StartRing",
        "Started",
        "PollRing",
        "Installed",
        "JudgeRing",
        "Judged",
        "Wait",
        "Turn",
        "HistoryFull",
        "Entry",
    ]
    turn = sum(cost(STATES[name]) for name in loop)
    everything_once = sum(cost(state) for state in STATES.values()) + 20 * sum(
        cost(STATES[name])
        for name in ("NameRing", "KeepRing", "NextRing", "MoreRings")  # a fleet has at most 20 rings
    )
    looks = 3600 // STATES["WaitForBuild"]["Seconds"]
    build = looks * sum(cost(STATES[name]) for name in ("WaitForBuild", "LookAtBuild", "Built"))
    assert MAX_TURNS * turn + everything_once + build < MAX_HISTORY_EVENTS


def test_the_template_fills_in_every_variable_and_names_every_handler() -> None:
    template = TEMPLATE.read_text()
    wanted = set(re.findall(r"\$\{(\w+)\}", text().decode()))
    block = template[template.index("DefinitionSubstitutions:") : template.index("Role: !GetAtt ReleaseRole.Arn")]
    assert wanted == set(re.findall(r"^\s+(\w+): !", block, re.MULTILINE))
    from model_build.infrastructure import functions

    for handler in re.findall(r"Handler: model_build\.infrastructure\.functions\.(\w+)", template):
        assert callable(getattr(functions, handler))


def test_calls_of_the_state_machine_are_what_sagemaker_takes() -> None:
    from tests.fakes.botocore_checks import check_request

    parameters = json.loads(json.dumps(STATES["Build"]["Parameters"]))
    parameters["ProcessingJobName"] = "linewatch-" + "x" * 53
    del parameters["ProcessingJobName.$"]
    application = parameters["AppSpecification"]
    application["ContainerArguments"] = ["--release", "x"]
    del application["ContainerArguments.$"]
    application["ImageUri"] = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/jobs@sha256:" + "a" * 64
    parameters["RoleArn"] = "arn:aws:iam::123456789012:role/job"
    parameters["Environment"] = dict.fromkeys(parameters["Environment"], "x")
    check_request("sagemaker", "CreateProcessingJob", parameters)


def test_the_template_and_the_state_machine_are_clean_under_cfn_lint(tmp_path: Path) -> None:
    inline = {"Type": "AWS::StepFunctions::StateMachine", "Properties": {"RoleArn": "arn:aws:iam::123456789012:role/x"}}
    filled = text().decode().replace("${Partition}", "aws")
    filled = re.sub(r"\$\{\w+\}", "arn:aws:lambda:eu-central-1:123456789012:function:x", filled)
    inline["Properties"]["DefinitionString"] = filled  # type: ignore[index]  # a dictionary of objects
    path = tmp_path / "machine.json"
    path.write_text(json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": {"Machine": inline}}))
    command = [
        str(Path(sys.executable).with_name("cfn-lint")),
        "--regions",
        "eu-central-1",
        "us-gov-west-1",
        "--",
        str(TEMPLATE),
        str(path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("bundle", "missing", "modules"),
    [
        ("functions", {"numpy", "scipy"}, ["functions"]),
        ("drift", set(), ["functions", "drifting", "retraining"]),
    ],
)
def test_the_functions_need_nothing_that_their_zip_does_not_hold(
    tmp_path: Path, bundle: str, missing: set[str], modules: list[str]
) -> None:
    names = [name for name, _ in first_party(BUNDLES[bundle])]
    assert names == sorted(set(names), key=names.index)
    for name, path in first_party(BUNDLES[bundle]):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(path.read_bytes())
    code = (
        "import sys, importlib.util as u\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "class Only:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] in {missing | {'cv2', 'cryptography', 'tqdm', 'components', 'linewatch_vision'}!r}:\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Only())\n"
        f"for name in {modules!r}:\n"
        "    f = __import__('model_build.infrastructure.' + name, fromlist=['x'])\n"
        f"    assert f.__file__.startswith({str(tmp_path)!r}), f.__file__\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_smoke_test_of_an_account_is_asked_for_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    def never(service: str) -> Any:
        raise AssertionError(service)

    for environ in ({}, {"LINEWATCH_AWS_SMOKE": "1"}):
        assert smoke.main(environ, never) == 2
    assert "LINEWATCH_AWS_SMOKE=yes" in capsys.readouterr().err
