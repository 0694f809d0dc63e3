"""Components over their life: start, crash, give up, stop, restart, dependencies."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from localcore.errors import IpcError
from localcore.memory import pss_bytes
from localcore.testing import RunningCore, running_core, wait_until
from tests.integration.localcore.bundles import (
    WAIT,
    Bundle,
    connected,
    hard,
    is_alive,
    soft,
    state_of,
    token_of,
    wait_pid,
    wait_state,
)

A, B, C = "com.example.A", "com.example.B", "com.example.C"
BOTH = pytest.mark.parametrize("core", ["lite", "classic"], indirect=True)
COUNT = 'echo x >> starts; test "$(wc -l < starts)" '  # succeeds or fails by the number of starts so far


def starts(core: RunningCore, name: str) -> int:
    path = core.layout.work(name) / "starts"
    return len(path.read_text().split()) if path.exists() else 0


@BOTH
def test_a_killed_component_is_back_with_a_new_token_and_broken_after_three_errors(
    core: RunningCore, bundle: Bundle
) -> None:
    bundle.add(A)
    assert bundle.deploy(core, A).succeeded
    first = wait_pid(core, A)
    old_token = token_of(core, A)
    os.kill(first, signal.SIGKILL)
    second = wait_pid(core, A, old=first)
    wait_until(lambda: token_of(core, A) != old_token, what="a new token")
    os.kill(second, signal.SIGTERM)  # not asked for by the core: an error as well
    third = wait_pid(core, A, old=second)
    assert core.client.component(A).errors_in_hour == 2
    os.kill(third, signal.SIGKILL)
    wait_state(core, A, "BROKEN")
    component = core.client.component(A)
    assert component.pids == ()
    assert component.reason == "killed by SIGKILL, 3 errors in an hour"
    assert "run failed: killed by SIGTERM (error 2 of 3 in an hour)" in core.log(A)


def test_max_errors_is_an_option(bundle: Bundle) -> None:
    bundle.add(A, run=f"{COUNT} -gt 4 || exit 7; exec sleep 1000")
    with running_core(max_errors=5) as core:
        assert bundle.deploy(core, A).succeeded
        assert starts(core, A) == 5
        assert state_of(core, A) == "RUNNING"


def test_exit_code_0_is_not_restarted(lite: RunningCore, bundle: Bundle) -> None:
    bundle.add(A, run="echo x >> starts")
    assert bundle.deploy(lite, A).succeeded
    assert state_of(lite, A) == "FINISHED"
    assert starts(lite, A) == 1


def test_a_run_that_fails_at_once_fails_the_deployment(lite: RunningCore, bundle: Bundle) -> None:
    bundle.add(A, run="echo x >> starts; exit 3")
    deployment = bundle.deploy(lite, A)
    assert (deployment.status, starts(lite, A)) == ("FAILED", 3)
    assert "com.example.A 1.0.0 is broken: exit code 3, 3 errors in an hour" in deployment.cause


def test_the_environment_of_a_script(lite: RunningCore, bundle: Bundle) -> None:
    bundle.add(A, run="env > env.new; pwd >> env.new; mv env.new env; exec sleep 1000")
    assert bundle.deploy(lite, A).succeeded
    path = lite.layout.work(A) / "env"
    wait_until(path.exists, what="the environment")
    lines = path.read_text().splitlines()
    found = dict(line.split("=", 1) for line in lines if "=" in line)
    assert found["AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT"] == str(lite.layout.socket)
    assert found["AWS_IOT_THING_NAME"] == "laptop"
    assert found["HOME"] == os.environ["HOME"]
    assert found["GGC_VERSION"]
    assert found["SVCUID"]
    assert lines[-1] == str(lite.layout.work(A))
    assert "PYTEST_CURRENT_TEST" not in found


def test_stop_ends_the_whole_group_with_sigterm_then_sigkill(lite: RunningCore, bundle: Bundle) -> None:
    """The shell ends at SIGTERM, its child ignores it: the lite must not leave the child behind."""
    bundle.add(A, run="(trap '' TERM; echo $$ > shell; exec sleep 1000) & trap 'echo bye; exit 0' TERM; wait")
    assert bundle.deploy(lite, A).succeeded
    leader = wait_pid(lite, A)
    members = [int(pid) for pid in subprocess.check_output(["pgrep", "-g", str(leader)], text=True).split()]
    assert len(members) == 2
    lite.client.stop(A)
    wait_state(lite, A, "FINISHED")
    assert not any(is_alive(pid) for pid in members)
    assert "bye" in lite.log(A)
    lite.client.restart(A)
    wait_pid(lite, A, old=leader)


def test_what_a_crashed_leader_leaves_behind_is_ended(lite: RunningCore, bundle: Bundle) -> None:
    bundle.add(A, run=f"if {COUNT} -gt 1; then exec sleep 1000; fi; sleep 1000 & echo $! > child; exit 1")
    assert bundle.deploy(lite, A).succeeded
    assert not is_alive(int((lite.layout.work(A) / "child").read_text()))


def test_no_component_outlives_a_killed_core(lite: RunningCore, bundle: Bundle) -> None:
    bundle.add(A, run="sleep 1000 & exec sleep 1000")
    bundle.add(B)
    assert bundle.deploy(lite, A, B).succeeded
    groups = [wait_pid(lite, name) for name in (A, B)]
    lite.kill()
    wait_until(lambda: not any(is_alive(pid) for pid in groups), what="the end of the components")
    lite.start()  # the socket and the lock that it left are no obstacle
    wait_state(lite, A, "RUNNING")


def test_a_guard_that_died_is_replaced(lite: RunningCore, bundle: Bundle) -> None:
    bundle.add(A)
    assert bundle.deploy(lite, A).succeeded
    (guard,) = (
        int(pid)
        for pid in subprocess.check_output(["pgrep", "-P", str(lite.pid)], text=True).split()
        if b"guard.py" in Path(f"/proc/{pid}/cmdline").read_bytes()
    )
    os.kill(guard, signal.SIGKILL)
    wait_until(lambda: not is_alive(guard), what="the guard's end")
    bundle.add(B)
    assert bundle.deploy(lite, B).succeeded
    groups = [wait_pid(lite, name) for name in (A, B)]
    lite.kill()
    wait_until(lambda: not any(is_alive(pid) for pid in groups), what="the end of the components")


def test_the_core_itself_ends_cleanly(lite: RunningCore, bundle: Bundle) -> None:
    bundle.add(A, run="trap 'echo bye; exit 0' TERM; sleep 1000 & wait")
    assert bundle.deploy(lite, A).succeeded
    pid = wait_pid(lite, A)
    assert lite.stop() == 0
    assert not is_alive(pid)
    assert "bye" in lite.log(A)
    assert not lite.layout.socket.exists()


def test_execv_keeps_pid_and_token(lite: RunningCore, bundle: Bundle) -> None:
    program = "import os; os.environ.get('AGAIN') or os.execve('/bin/sh', ['sh', '-c', os.environ['NEXT']], dict(os.environ, AGAIN='1'))"
    bundle.add(A, run=f'NEXT="{WAIT.replace(chr(34), "")}" exec python3.11 -c "{program}"')
    assert bundle.deploy(lite, A).succeeded
    token = token_of(lite, A)
    assert lite.client.component(A).errors_in_hour == 0
    environment = Path(f"/proc/{wait_pid(lite, A)}/environ").read_bytes().split(b"\0")
    assert f"SVCUID={token}".encode() in environment


def test_lite_refuses_the_fourth_restart_until_reset(lite: RunningCore, bundle: Bundle) -> None:
    bundle.add(A)
    assert bundle.deploy(lite, A).succeeded
    pid = wait_pid(lite, A)
    for _ in range(3):
        lite.client.restart(A)
        pid = wait_pid(lite, A, old=pid)
    with pytest.raises(IpcError, match="start limit"):
        lite.client.restart(A)
    wait_state(lite, A, "BROKEN")
    assert not is_alive(pid)
    lite.client.reset(A)
    lite.client.restart(A)
    wait_pid(lite, A, old=pid)


def test_classic_restarts_a_broken_component_by_hand(classic: RunningCore, bundle: Bundle) -> None:
    bundle.add(A, install="echo x >> installs", run="test -e good || exit 1; exec sleep 1000", configuration={"n": 1})
    bundle.deploy(classic, A, failure_policy="DO_NOTHING")
    wait_state(classic, A, "BROKEN")
    (classic.layout.work(A) / "good").touch()
    for _ in range(5):
        classic.client.restart(A)
        wait_state(classic, A, "RUNNING")
    assert (classic.layout.work(A) / "installs").read_text().split() == ["x", "x"]


def deploy_dependents(core: RunningCore, bundle: Bundle) -> dict[str, int]:
    bundle.add(A)
    bundle.add(B, dependencies={A: hard()})
    bundle.add(C, dependencies={A: soft()})
    assert bundle.deploy(core, B, C).succeeded
    return {name: wait_pid(core, name) for name in (A, B, C)}


def test_lite_leaves_hard_dependents_dead(lite: RunningCore, bundle: Bundle) -> None:
    pids = deploy_dependents(lite, bundle)
    os.kill(pids[A], signal.SIGKILL)
    wait_pid(lite, A, old=pids[A])
    wait_state(lite, B, "FINISHED")
    assert "HARD dependency com.example.A failed" in lite.client.component(B).reason
    assert wait_pid(lite, C) == pids[C]
    assert not is_alive(pids[B])


def test_classic_restarts_hard_dependents(classic: RunningCore, bundle: Bundle) -> None:
    pids = deploy_dependents(classic, bundle)
    os.kill(pids[A], signal.SIGKILL)
    wait_pid(classic, A, old=pids[A])
    wait_pid(classic, B, old=pids[B])
    assert wait_pid(classic, C) == pids[C]


@BOTH
def test_a_restart_by_hand_takes_hard_dependents_along(core: RunningCore, bundle: Bundle) -> None:
    pids = deploy_dependents(core, bundle)
    core.client.restart(A)
    wait_pid(core, A, old=pids[A])
    wait_pid(core, B, old=pids[B])
    assert wait_pid(core, C) == pids[C]


def test_lite_truncates_a_script_and_says_so(lite: RunningCore, bundle: Bundle) -> None:
    bundle.add(A, run="echo before; echo ${HOME}; exit 9")
    assert bundle.deploy(lite, A).succeeded
    assert "WARNING run: lite TRUNCATES this script at line 1: '{HOME}'" in lite.log(A)
    assert "stdout before" in lite.log(A)


def test_memory_counts_the_whole_group(lite: RunningCore, bundle: Bundle) -> None:
    hog = "import time; x = bytearray(b'x') * (32 << 20); print('ready', flush=True); time.sleep(1000)"
    bundle.add(A, run=f'python3.11 -c "{hog}" & wait')
    assert bundle.deploy(lite, A).succeeded
    wait_until(lambda: "ready" in lite.log(A), what="the child")
    (pid,) = lite.client.component(A).pids
    assert 32 << 20 < pss_bytes(pid) < 64 << 20
    assert pss_bytes(2**22 - 1) == 0


def test_update_state_errored_counts_as_an_error(lite: RunningCore, bundle: Bundle) -> None:
    bundle.add(A)
    assert bundle.deploy(lite, A).succeeded
    pid = wait_pid(lite, A)
    with connected(lite, token_of(lite, A)) as client:
        client.update_state(state="ERRORED")
        wait_pid(lite, A, old=pid)
    assert lite.client.component(A).errors_in_hour == 1


@BOTH
def test_only_classic_ends_a_run_at_its_timeout(core: RunningCore, bundle: Bundle) -> None:
    bundle.add(A, run={"Script": "trap 'exit 0' TERM; echo x >> starts; sleep 1000 & wait", "Timeout": 0.8})
    assert bundle.deploy(core, A).succeeded
    if core.client.about()["like"] == "classic":
        wait_state(core, A, "BROKEN")
        assert starts(core, A) == 3
        assert "run took longer than its 0.8 s" in core.client.component(A).reason
    else:
        assert "WARNING recipe: lifecycle step run: Timeout is ignored" in core.log(A)


def test_output_without_line_ends_and_of_any_bytes_reaches_the_log(lite: RunningCore, bundle: Bundle) -> None:
    bundle.add(A, run=r"head -c 200000 /dev/zero | tr '\0' y; printf '\377end'")
    assert bundle.deploy(lite, A).succeeded
    assert json.dumps(lite.log(A)[-5:-1]) == '"\\ufffdend"'
