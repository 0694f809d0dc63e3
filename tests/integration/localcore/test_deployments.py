"""Deployments: what goes well, what fails, and what is left after a failure and after a reboot, on both runtimes."""

import io
import json
import os
import queue
import signal
import zipfile
from pathlib import Path
from typing import Any

import pytest

from localcore.errors import IpcError
from localcore.testing import RunningCore, wait_until
from tests.integration.localcore.bundles import (
    ACCESS,
    WAIT,
    Bundle,
    connected,
    hard,
    is_alive,
    soft,
    token_of,
    wait_pid,
    wait_state,
)

A, B, C = "com.example.A", "com.example.B", "com.example.C"
BOTH = pytest.mark.parametrize("core", ["lite", "classic"], indirect=True)
BAD_INSTALL = "echo x >> attempts; echo 'the model is refused' >&2; exit 1"


def versions(core: RunningCore) -> dict[str, tuple[str, str]]:
    return {item.name: (item.version, item.state) for item in core.client.list_components()}


@BOTH
def test_every_install_runs_before_any_run(core: RunningCore, bundle: Bundle) -> None:
    shared = bundle.folder / "order"
    for name in (A, B, C):
        bundle.add(name, install=f"sleep 0.1; echo install >> {shared}", run=f"echo run >> {shared}; exec sleep 1000")
    assert bundle.deploy(core, A, B, C).succeeded
    assert shared.read_text().split() == ["install"] * 3 + ["run"] * 3


@BOTH
def test_what_runs_unchanged_is_left_alone_and_new_components_join(core: RunningCore, bundle: Bundle) -> None:
    bundle.add(A)
    bundle.add(B)
    assert bundle.deploy(core, A).succeeded
    pid = wait_pid(core, A)
    assert bundle.deploy(core, A, B).succeeded
    assert wait_pid(core, A) == pid
    assert versions(core) == {A: ("1.0.0", "RUNNING"), B: ("1.0.0", "RUNNING")}
    assert bundle.deploy(core, remove=[A]).succeeded
    assert versions(core) == {B: ("1.0.0", "RUNNING")}
    assert not is_alive(pid)
    assert not core.layout.artifacts(A, "1.0.0").exists()


@BOTH
def test_configuration_is_merged_reset_and_announced(core: RunningCore, bundle: Bundle) -> None:
    bundle.add(A, configuration={"rate": 5, "deep": {"a": 1, "b": 2}})
    bundle.add(A, "1.1.0", configuration={"rate": 9, "deep": {"a": 9, "new": 3}})
    assert bundle.deploy(core, A, configuration={A: {"merge": {"rate": 6, "deep": {"b": 7}}}}).succeeded
    events: queue.Queue[Any] = queue.Queue()
    with connected(core, token_of(core, A)) as client:
        client.subscribe_to_configuration_update(component_name=A, key_path=[], on_stream_event=events.put)
        pid = wait_pid(core, A)
        assert bundle.deploy(core, configuration={A: {"MERGE": {"rate": 8}}}).succeeded
        assert events.get(timeout=5).configuration_update_event.key_path == ["rate"]
        assert wait_pid(core, A) == pid
    assert bundle.deploy(core, f"{A}=1.1.0", configuration={A: {"reset": ["/deep/b", "/deep/a"]}}).succeeded
    configuration = core.client.component(A).configuration
    assert configuration == {"accessControl": ACCESS, "rate": 8, "deep": {"a": 9, "new": 3}}
    assert bundle.deploy(core, configuration={A: {"reset": [""]}}).succeeded
    assert core.client.component(A).configuration["rate"] == 9


def test_dependencies_come_along_in_their_newest_fitting_version(lite: RunningCore, bundle: Bundle) -> None:
    for version in ("1.0.0", "1.4.0", "2.0.0"):
        bundle.add(B, version)
    bundle.add(A, dependencies={B: soft(">=1.0.0 <2.0.0")})
    assert bundle.deploy(lite, A).succeeded
    assert versions(lite)[B] == ("1.4.0", "RUNNING")
    deployment = bundle.deploy(lite, f"{B}=2.0.0")
    assert deployment.status == "FAILED"
    assert deployment.detailed_status == "FAILED_NO_STATE_CHANGE"
    assert "com.example.B 2.0.0 does not satisfy '>=1.0.0 <2.0.0' of com.example.A" in deployment.cause
    assert versions(lite)[B] == ("1.4.0", "RUNNING")
    assert bundle.deploy(lite, remove=[A]).succeeded
    assert versions(lite) == {}


def test_lite_updates_beside_the_running_version(lite: RunningCore, bundle: Bundle) -> None:
    bundle.add(A)
    bundle.add(A, "1.1.0", install="cp token seen; sleep 0.2", configuration={"added": 1})
    assert bundle.deploy(lite, A).succeeded
    token, old = token_of(lite, A), wait_pid(lite, A)
    assert bundle.deploy(lite, f"{A}=1.1.0").succeeded
    assert (lite.layout.work(A) / "seen").read_text().strip() == token
    assert wait_pid(lite, A, old=old) != old
    assert lite.client.component(A).configuration["added"] == 1
    assert "replaced by a new version" in lite.output()


def test_classic_stops_before_install(classic: RunningCore, bundle: Bundle) -> None:
    bundle.add(A, run="echo $$ > pid; exec sleep 1000")
    bundle.add(A, "1.1.0", install="! kill -0 $(cat pid)")
    assert bundle.deploy(classic, A).succeeded
    wait_until((classic.layout.work(A) / "pid").exists, what="the pid")
    assert bundle.deploy(classic, f"{A}=1.1.0").succeeded


def test_a_failed_install_on_lite_leaves_a_broken_root(lite: RunningCore, bundle: Bundle) -> None:
    bundle.add(A)
    bundle.add(A, "1.1.0", install=BAD_INSTALL)
    bundle.add(A, "1.2.0")
    bundle.add(B)
    assert bundle.deploy(lite, A).succeeded
    old = wait_pid(lite, A)
    deployment = bundle.deploy(lite, f"{A}=1.1.0")
    assert (deployment.status, deployment.detailed_status) == ("FAILED", "FAILED_ROLLBACK_NOT_REQUESTED")
    assert deployment.cause == "com.example.A 1.1.0: install is broken: exit code 1"
    assert (lite.layout.work(A) / "attempts").read_text().split() == ["x"] * 3
    assert "the model is refused" in lite.log(A)
    component = lite.client.component(A)
    assert (component.version, component.state, component.left_running) == ("1.1.0", "BROKEN", "1.0.0")
    assert component.pids == (old,)

    unrelated = bundle.deploy(lite, B)
    assert "install is broken" in unrelated.cause
    assert is_alive(old)
    assert bundle.deploy(lite, f"{A}=1.2.0").succeeded
    assert versions(lite) == {A: ("1.2.0", "RUNNING"), B: ("1.0.0", "RUNNING")}
    assert not is_alive(old)


def test_after_a_refused_update_on_lite_nothing_brings_the_old_version_back(lite: RunningCore, bundle: Bundle) -> None:
    bundle.add(A)
    bundle.add(A, "1.1.0", install=BAD_INSTALL)
    bundle.add(B)
    assert bundle.deploy(lite, A, B).succeeded
    old = wait_pid(lite, A)
    assert bundle.deploy(lite, f"{A}=1.1.0").status == "FAILED"
    lite.restart_daemon()
    wait_state(lite, B, "RUNNING")
    assert not is_alive(old)
    component = lite.client.component(A)
    assert (component.state, component.pids) == ("BROKEN", ())
    assert bundle.deploy(lite, remove=[A]).succeeded
    assert versions(lite) == {B: ("1.0.0", "RUNNING")}


def test_a_killed_leftover_on_lite_does_not_come_back(lite: RunningCore, bundle: Bundle) -> None:
    bundle.add(A)
    bundle.add(A, "1.1.0", install=BAD_INSTALL)
    assert bundle.deploy(lite, A).succeeded
    old = wait_pid(lite, A)
    assert bundle.deploy(lite, f"{A}=1.1.0").status == "FAILED"
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: lite.client.component(A).pids == (), what="the end of the old process")
    wait_until(lambda: "is not restarted" in lite.output(), what="the reason in the log")
    assert lite.client.component(A).left_running is None


@pytest.mark.parametrize("bad", [{"install": BAD_INSTALL}, {"run": "exit 1"}])
def test_classic_rolls_back(classic: RunningCore, bundle: Bundle, bad: dict[str, str]) -> None:
    bundle.add(A, configuration={"rate": 5})
    bundle.add(A, "1.1.0", configuration={"added": 1}, **bad)  # type: ignore[arg-type]  # scripts by step
    bundle.add(B, dependencies={A: hard()})
    bundle.add(C)
    assert bundle.deploy(classic, A, B).succeeded
    deployment = bundle.deploy(classic, f"{A}=1.1.0", C, configuration={A: {"merge": {"rate": 6}}})
    assert (deployment.status, deployment.detailed_status) == ("FAILED", "FAILED_ROLLBACK_COMPLETE")
    assert versions(classic) == {A: ("1.0.0", "RUNNING"), B: ("1.0.0", "RUNNING")}
    assert classic.client.component(A).configuration == {"accessControl": ACCESS, "rate": 5}
    assert bundle.deploy(classic, C).succeeded


@BOTH
def test_a_reboot_brings_the_last_deployment_back(core: RunningCore, bundle: Bundle) -> None:
    bundle.add(A, install="echo x >> installs", configuration={"rate": 5})
    bundle.add(B, dependencies={A: hard()})
    assert bundle.deploy(core, B, configuration={A: {"merge": {"rate": 6}}}).succeeded
    before = core.client.deployments()
    core.restart_daemon()
    for name in (A, B):
        wait_state(core, name, "RUNNING")
    assert core.client.component(A).configuration["rate"] == 6
    assert core.client.deployments() == before
    again = core.client.about()["like"] == "classic"  # classic installs at each start, lite does not
    assert (core.layout.work(A) / "installs").read_text().split() == ["x"] * (2 if again else 1)


@BOTH
def test_a_power_cut_during_a_deployment(core: RunningCore, bundle: Bundle) -> None:
    bundle.add(A)
    bundle.add(A, "1.1.0", install="touch installing; sleep 1000")
    assert bundle.deploy(core, A).succeeded
    deployment = core.client.deploy(recipes=bundle.recipes, merge={A: "1.1.0"})
    wait_until((core.layout.work(A) / "installing").exists, what="the install")
    core.kill()
    core.start()
    if core.client.about()["like"] == "classic":
        wait_state(core, A, "RUNNING")
        assert versions(core)[A][0] == "1.0.0"
    else:
        status = core.client.status(deployment)
        assert (status.status, status.cause) == ("FAILED", "the core ended during the deployment")
    bundle.add(A, "1.2.0")
    assert bundle.deploy(core, f"{A}=1.2.0").succeeded


def zipped(**files: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return data.getvalue()


@BOTH
def test_artefacts_are_copied_and_unpacked_by_classic_only(core: RunningCore, bundle: Bundle) -> None:
    script = "cat {artifacts:path}/x.zip > copy; ls {artifacts:decompressedPath} > unpacked; exec sleep 1000"
    archive = zipped(inside="hello")
    bundle.add(A, run=script, files={"x.zip": archive}, unarchive="ZIP")
    assert bundle.deploy(core, A).succeeded
    (bundle.artifacts / A / "1.0.0" / "x.zip").write_bytes(b"rebuilt in place")
    work = core.layout.work(A)
    wait_until((work / "unpacked").exists, what="the listing")
    assert (work / "copy").read_bytes() == archive
    if core.client.about()["like"] == "classic":
        assert (core.layout.decompressed(A, "1.0.0") / "x" / "inside").read_text() == "hello"
    else:
        assert (work / "unpacked").read_text() == ""
        assert core.layout.decompressed(A, "1.0.0").is_dir()


@pytest.mark.parametrize("content", [b"not a zip", zipped(inside="x" * 1000)[:-30]])
def test_a_bad_archive_fails_before_classic_has_changed_anything(
    classic: RunningCore, bundle: Bundle, content: bytes
) -> None:
    assert_refused_update(classic, bundle, content)


def test_a_missing_artefact_fails_before_lite_has_changed_anything(lite: RunningCore, bundle: Bundle) -> None:
    assert_refused_update(lite, bundle, None)


def assert_refused_update(core: RunningCore, bundle: Bundle, content: bytes | None) -> None:
    bundle.add(A)
    assert bundle.deploy(core, A).succeeded
    pid = wait_pid(core, A)
    bundle.add(A, "1.1.0", files={"x.zip": content or b""}, unarchive="ZIP")
    if content is None:
        (bundle.artifacts / A / "1.1.0" / "x.zip").unlink()
    deployment = bundle.deploy(core, f"{A}=1.1.0")
    assert (deployment.status, deployment.detailed_status) == ("FAILED", "FAILED_NO_STATE_CHANGE")
    assert "com.example.A 1.1.0" in deployment.cause
    assert wait_pid(core, A) == pid


def test_an_install_that_takes_too_long_is_ended(lite: RunningCore, bundle: Bundle) -> None:
    bundle.add(A, install={"Script": "exec sleep 1000", "Timeout": 0.2})
    deployment = bundle.deploy(lite, A)
    assert "install is broken: it took longer than its 0.2 s" in deployment.cause


def test_lites_limits_fail_a_deployment(lite: RunningCore, bundle: Bundle) -> None:
    bundle.add(A, configuration={"text": "x" * 1100})
    bundle.add(B, run="exec sleep 1000 #" + "x" * 9000)
    bundle.add(C, configuration={"accessControl": {"s": {"p": {"operations": ["*"], "resources": ["a?"]}}}})
    for name, message in ((A, "a leaf of 1102 B"), (B, "over the limit of 8196"), (C, "'?' in resource 'a?'")):
        deployment = bundle.deploy(lite, name)
        assert deployment.status == "FAILED"
        assert message in deployment.cause
    for number in range(51):
        bundle.add(f"com.example.N{number}", run="true")
    deployment = bundle.deploy(lite, *(f"com.example.N{number}" for number in range(51)))
    assert "51 components are over the limit of 50" in deployment.cause
    assert versions(lite) == {}


def test_deployments_that_cannot_be_resolved(lite: RunningCore, bundle: Bundle, tmp_path: Path) -> None:
    bundle.add(A, dependencies={"com.example.None": soft()})
    assert "no local version of com.example.None" in bundle.deploy(lite, A).cause
    assert "no recipe com.example.B-1.0.0.json" in bundle.deploy(lite, B).cause
    (bundle.recipes / f"{B}-1.0.0.json").write_text(json.dumps({"ComponentName": C, "ComponentVersion": "1.0.0"}))
    assert "holds com.example.C 1.0.0" in bundle.deploy(lite, B).cause
    with pytest.raises(IpcError, match="not a folder"):
        lite.client.deploy(recipes=tmp_path / "none", merge={A: "1.0.0"})
    with pytest.raises(IpcError, match="deployment nope is not known"):
        lite.client.status("nope")
    assert versions(lite) == {}


def test_a_component_may_deploy_and_a_yaml_recipe_works(lite: RunningCore, bundle: Bundle) -> None:
    bundle.add(A)
    assert bundle.deploy(lite, A).succeeded
    (bundle.recipes / f"{B}-1.0.0.yaml").write_text(
        f"ComponentName: {B}\nComponentVersion: 1.0.0\nManifests:\n"
        f'  - Platform: {{os: linux, runtime: "*"}}\n    Lifecycle: {{run: {{Script: {json.dumps(WAIT)}}}}}\n'
    )
    with connected(lite, token_of(lite, A)) as client:
        response = client.create_local_deployment(
            recipe_directory_path=str(bundle.recipes), root_component_versions_to_add={B: "1.0.0"}
        )
        assert lite.client.wait(response.deployment_id).succeeded
        client.restart_component(component_name=B)
