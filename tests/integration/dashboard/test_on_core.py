"""The page as a process on a core: real IPC, its own recipe's rights, a changed port, a stop."""

import json
import shlex
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from linewatch_common.messages import Command, CommandResult, Heartbeat, InspectionStored, Outcome, decode, encode
from linewatch_common.messages.status import ComponentState
from linewatch_common.store import StoredInspection, inspection_path, write_inspection
from linewatch_common.topics import Topics
from linewatch_dashboard.packing import unpack
from linewatch_inspector.ledger_writer import AddPart, LedgerWriter, SetStoredPath
from websockets.sync.client import connect

from localcore.testing import RunningCore, running_core, wait_until
from tests.integration.dashboard.bench import picture
from tests.unit.dashboard.messages import frame, inspector_beat, verdict

PAGE = "com.linewatch.Dashboard"
TOPICS = Topics("line1")
RECIPE = Path(__file__).parents[3] / "recipes" / f"{PAGE}.json"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


class Core:
    """A core with the page of the checkout; the test is in Inspector's place."""

    def __init__(self, core: RunningCore, folder: Path) -> None:
        self.core = core
        self.folder = folder
        self.beats: list[Heartbeat] = []

    def heard(self, topic: str, payload: bytes) -> None:
        if topic == TOPICS.status:
            beat = decode(payload, Heartbeat)
            if beat.component == PAGE:
                self.beats.append(beat)
            return
        command = decode(payload, Command)
        result = CommandResult(command_id=command.command_id, component="com.linewatch.Inspector", accepted=True)
        threading.Thread(target=self.core.client.publish, args=(TOPICS.command_results, encode(result))).start()

    def deploy(self, **configuration: Any) -> None:
        """The page with its recipe's rights and defaults, run from the checkout."""
        recipe = json.loads(RECIPE.read_text())
        recipe["Manifests"] = [
            {
                "Platform": {"os": "linux", "runtime": "*"},
                "Lifecycle": {"run": {"Script": f"exec {shlex.quote(sys.executable)} -m linewatch_dashboard run"}},
                "Artifacts": [],
            }
        ]
        recipe["ComponentDependencies"] = {}
        recipes, artifacts = self.folder / "recipes", self.folder / "artifacts"
        for folder in (recipes, artifacts):
            folder.mkdir(exist_ok=True)
        version = recipe["ComponentVersion"]
        (recipes / f"{PAGE}-{version}.json").write_text(json.dumps(recipe))
        deployment = self.core.client.deploy(
            merge={PAGE: version},
            configuration={PAGE: {"merge": configuration}},
            recipes=recipes,
            artifacts=artifacts,
        )
        assert self.core.client.wait(deployment, timeout_s=60).succeeded


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Core]:
    with running_core(like="lite") as core:
        made = Core(core, tmp_path)
        with core.client.subscribe(TOPICS.status, made.heard), core.client.subscribe(TOPICS.commands, made.heard):
            yield made


def test_an_inspection_goes_from_the_bus_to_a_viewer_and_a_label_back(line: Core, tmp_path: Path) -> None:
    port = free_port()
    line.deploy(Port=port)
    wait_until(lambda: answers(port), 30, "the page")
    ledger, store = LedgerWriter(tmp_path / "ledger.db"), tmp_path / "store"
    ledger.open()
    judged = verdict(1, Outcome.FAIL, part_id="p-1")
    path = inspection_path(store, judged)
    size = write_inspection(path, StoredInspection(judged, picture(90)))
    ledger.write([AddPart(judged, 20.0), SetStoredPath(judged.frame_id, str(path))])
    ledger.close()
    with connect(f"ws://127.0.0.1:{port}/live") as viewer:
        line.core.client.publish(TOPICS.status, encode(inspector_beat(str(tmp_path / "ledger.db"), str(store))))
        line.core.client.publish(TOPICS.verdicts, encode(judged))
        stored = InspectionStored(inspection_id=frame(1), frame_id=frame(1), path=str(path), size_bytes=size)
        line.core.client.publish(TOPICS.verdicts, encode(stored))
        message: str | bytes = ""
        while not isinstance(message, bytes) or not unpack(message)[1].picture:
            message = viewer.recv(timeout=30)
    header, pictures = unpack(message)
    assert (header.verdict, pictures.picture) == (judged, picture(90))
    answer = httpx.post(f"http://127.0.0.1:{port}/api/inspection/{frame(1)}/label", json={"label": "pass"}, timeout=30)
    assert answer.json()["accepted"] is True


def test_a_changed_port_takes_effect_and_a_stop_ends_the_process(line: Core) -> None:
    first, second = free_port(), free_port()
    line.deploy(Port=first)
    wait_until(lambda: answers(first), 30, "the page")
    line.deploy(Port=second)
    wait_until(lambda: answers(second), 30, "the page on its new port")
    assert not answers(first)
    wait_until(lambda: line.beats[-1].state is ComponentState.READY, 30, "a ready heartbeat")
    line.core.client.stop(PAGE)
    wait_until(lambda: not answers(second), 30, "the end")
    wait_until(lambda: line.core.client.component(PAGE).pids == (), 30, "the process's end")
    assert "did not stop" not in line.core.log(PAGE)
    assert "Traceback" not in line.core.log(PAGE)
