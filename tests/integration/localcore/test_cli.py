"""The command line as a person or a script uses it."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from localcore.errors import CoreStartError
from localcore.testing import RunningCore, running_core, wait_until
from tests.integration.localcore.bundles import Bundle, wait_pid

A = "com.example.A"
TIMEOUT_S = 30


def run(*arguments: str, root: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "localcore", *(("--root", str(root)) if root else ()), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


def error_line(result: subprocess.CompletedProcess[str]) -> str:
    """The one line on stderr."""
    (line,) = result.stderr.strip().splitlines()
    return line


def test_a_session(lite: RunningCore, bundle: Bundle) -> None:
    bundle.add(A, run="echo hello; exec sleep 1000", configuration={"rate": 5})
    root = lite.root
    change = bundle.folder / "change.json"
    change.write_text(json.dumps({A: {"merge": {"rate": 6}}}))
    folders = ("-r", str(bundle.recipes), "-a", str(bundle.artifacts))
    created = run("deployment", "create", *folders, "-m", f"{A}=1.0.0", "-c", str(change), "--wait", root=root)
    assert created.returncode == 0, created.stderr
    (deployment,) = re.findall(r"Deployment Id: (\S+)", created.stdout)

    status = run("deployment", "status", "-i", deployment, "--json", root=root)
    assert json.loads(status.stdout)["status"] == "SUCCEEDED"
    assert deployment in run("deployment", "list", root=root).stdout

    (component,) = json.loads(run("component", "list", "--json", root=root).stdout)
    assert (component["name"], component["state"], component["configuration"]["rate"]) == (A, "RUNNING", 6)
    assert component["pids"] == [wait_pid(lite, A)]
    assert component["pss_bytes"] > 0
    table = run("component", "list", root=root).stdout
    assert re.search(rf"{A} +1.0.0 +RUNNING +{component['pids'][0]} ", table)
    details = run("component", "details", "-n", A, root=root).stdout
    assert "State: RUNNING" in details
    assert '"rate": 6' in details

    assert re.fullmatch(r"\S+Z stdout hello", run("logs", "-n", A, "--lines", "1", root=root).stdout.strip())
    assert run("component", "restart", "-n", A, root=root).returncode == 0
    wait_pid(lite, A, old=component["pids"][0])
    assert run("component", "stop", "-n", A, root=root).returncode == 0
    assert run("component", "reset", "-n", A, root=root).returncode == 0


def test_a_failed_deployment_has_exit_code_1_and_its_cause(lite: RunningCore, bundle: Bundle) -> None:
    bundle.add(A, install="exit 4")
    folders = ("-r", str(bundle.recipes), "-a", str(bundle.artifacts))
    result = run("deployment", "create", *folders, "-m", f"{A}=1.0.0", "--wait", root=lite.root)
    assert result.returncode == 1
    assert error_line(result).endswith("com.example.A 1.0.0: install is broken: exit code 4")


def test_publish_subscribe_and_follow(lite: RunningCore, bundle: Bundle) -> None:
    bundle.add(A, run="sleep 1; echo later; exec sleep 1000")
    assert bundle.deploy(lite, A).succeeded
    command = [sys.executable, "-m", "localcore", "--root", str(lite.root)]
    sub = [*command, "pubsub", "sub", "-t", "lab/#", "--count", "1"]
    with (
        subprocess.Popen(sub, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as subscriber,
        subprocess.Popen([*command, "logs", "-n", A, "--follow"], stdout=subprocess.PIPE, text=True) as follower,
    ):
        assert subscriber.stderr
        assert subscriber.stderr.readline() == "subscribed to lab/#\n"
        assert run("pubsub", "pub", "-t", "lab/x", "-m", "grüße", root=lite.root).returncode == 0
        output, _ = subscriber.communicate(timeout=TIMEOUT_S)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z lab/x grüße\n", output)
        assert follower.stdout
        assert any(line.endswith("stdout later\n") for line in iter(follower.stdout.readline, ""))
        follower.send_signal(signal.SIGINT)
        assert follower.wait(TIMEOUT_S) == 130
    assert run("pubsub", "sub", "-t", "lab/x", "--count", "1", "--timeout", "0.2", root=lite.root).returncode == 1


def test_a_subscriber_notices_that_the_core_is_gone(lite: RunningCore) -> None:
    command = [sys.executable, "-m", "localcore", "--root", str(lite.root), "pubsub", "sub", "-t", "x"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as subscriber:
        assert subscriber.stderr
        subscriber.stderr.readline()
        lite.kill()
        _, errors = subscriber.communicate(timeout=TIMEOUT_S)
        assert subscriber.returncode == 3
        assert errors.startswith("localcore: ")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("component", "list"), 3, "no core is up on"),
        (("pubsub", "pub", "-t", "a", "-m", "b"), 3, "start one with `python -m localcore up`"),
        (("deployment", "create"), 1, "nothing to deploy"),
        (("deployment", "create", "-m", "A"), 1, "'A' is not NAME=VERSION"),
        (("deployment", "create", "-m", "A=1.0.0", "-c", "{"), 1, "--config {"),
        (("logs", "-n", "A"), 3, "no core's root"),
        (("up", "--max-errors", "0"), 1, "max-errors: 0 is not"),
        (("up", "--mqtt", "nowhere"), 1, "'nowhere' is not HOST:PORT"),
        (("up", "--config", "/none"), 1, "--config /none"),
        (("up", "--thing", "a/b"), 1, "is no thing name"),
    ],
)
def test_errors_are_one_clear_line(tmp_path: Path, arguments: tuple[str, ...], code: int, message: str) -> None:
    result = run(*arguments, root=tmp_path / "none")
    assert result.returncode == code
    assert error_line(result).startswith("localcore: ")
    assert message in error_line(result)


def test_a_socket_path_that_is_too_long_is_refused(tmp_path: Path) -> None:
    root = tmp_path / ("x" * 100)
    result = run("up", root=root)
    assert result.returncode == 1
    assert re.search(r"a socket path of \d+ bytes is over the limit of 107", error_line(result))


def test_one_root_has_one_core_of_one_kind(lite: RunningCore) -> None:
    assert "another core runs on this root" in error_line(run("up", root=lite.root))
    lite.stop()
    assert "was made with --like lite" in error_line(run("up", "--like", "classic", root=lite.root))


def test_a_corrupt_state_is_told_and_not_overwritten(lite: RunningCore) -> None:
    lite.stop()
    lite.layout.state.write_text('{"schema": 1}')
    result = run("up", root=lite.root)
    assert result.returncode == 1
    assert "state.json: not a core's state" in error_line(result)
    assert lite.layout.state.read_text() == '{"schema": 1}'


def test_options_come_from_a_file_and_the_command_line_wins(tmp_path: Path) -> None:
    config = tmp_path / "core.json"
    config.write_text(json.dumps({"like": "classic", "thing": "from-file"}))
    with running_core(like="lite") as core:
        core.stop()
        core._arguments[:] = ["--config", str(config), "--like", "lite"]
        core.start()
        about = core.client.about()
    assert (about["like"], about["thing"]) == ("lite", "from-file")


def test_help_is_quick_and_needs_no_sdk() -> None:
    program = """
import sys, localcore.cli
try:
    localcore.cli.main(["--help"])
except SystemExit:
    print([name for name in ("awsiot", "rich", "asyncio") if name in sys.modules])
"""
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=TIMEOUT_S, check=True
    )
    assert result.stdout.splitlines()[-1] == "[]"
    assert "a first run" in result.stdout
    for command in ("deployment", "component", "pubsub"):
        assert run(command, "--help").returncode == 0
    assert run().returncode == 2


def test_ctrl_c_ends_the_core_and_its_components(bundle: Bundle) -> None:
    with running_core() as core:
        bundle.add(A)
        assert bundle.deploy(core, A).succeeded
        pid = wait_pid(core, A)
        os.kill(core.pid, signal.SIGINT)
        wait_until(lambda: not Path(f"/proc/{pid}").exists(), what="the component's end")
        assert core.stop() == 0


def test_a_core_that_cannot_start_is_told_by_the_test_helper(tmp_path: Path) -> None:
    core = RunningCore(tmp_path / "r", ["--thing", "a/b"])
    with pytest.raises(CoreStartError, match="is no thing name"):
        core.start()
