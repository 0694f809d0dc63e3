"""The agent on the bus, as the other components meet it."""

import importlib
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from linewatch_agent.__main__ import build_component
from linewatch_agent.backends.dlr.backend import installed_runtime
from linewatch_agent.component import AgentComponent
from linewatch_agent.config import AgentConfig, validate
from linewatch_agent_api.client import AgentClient
from linewatch_common.clock import utc_now
from linewatch_common.errors import ConfigError
from linewatch_common.messages.base import Message, decode, encode
from linewatch_common.messages.models import ModelActivated, ModelMessage, ModelOffered, ModelProved, ModelRetired
from linewatch_common.messages.status import ComponentState, Heartbeat, InspectorStatus
from linewatch_common.service import Context
from linewatch_common.topics import Topics

from tests.fakes.bus import FakeCore
from tests.unit.agent.support import make_package, neo_package, offer_of, wait_until

TOPICS = Topics("line1")


@contextmanager
def _agent(core: FakeCore, work: Path, **settings: Any) -> Iterator[AgentComponent]:
    bus = core.bus()
    context = Context(name="com.linewatch.EdgeAgent", thing="thing", work=work, bus=bus, topics=TOPICS)
    component = build_component(AgentConfig(**settings), context)
    component.start()
    try:
        yield component
    finally:
        component.stop()
        bus.close()


def _sent(core: FakeCore, kind: type[Message]) -> list[Any]:
    messages = [decode(raw, ModelMessage) for raw in core.on_topic(TOPICS.models)]
    return [message for message in messages if isinstance(message, kind)]


def _offer(core: FakeCore, offer: ModelOffered, answer: type[Message]) -> Any:
    before = len(_sent(core, answer))
    core.deliver(TOPICS.models, encode(offer))
    wait_until(lambda: len(_sent(core, answer)) > before)
    return _sent(core, answer)[-1]


def _inspector_uses(*identifiers: str) -> bytes:
    status = InspectorStatus(
        ready=True, in_use=list(identifiers), ledger="", store="", outcomes={}, judged_sequence=0, judged_epoch=0
    )
    beat = Heartbeat(
        component="com.linewatch.Inspector",
        station="line1",
        version="1",
        state=ComponentState.READY,
        at=utc_now(),
        started_at=utc_now(),
        uid=0,
        inspector=status,
    )
    return encode(beat)


def test_extras_in_the_work_folder_are_seen_behind_all_else(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", sys.path[:])
    (folder / "work/extras").mkdir(parents=True)
    (folder / "work/extras/only_an_extra.py").write_text("VALUE = 7")
    (folder / "work/extras/linewatch_agent.py").write_text("raise ImportError('it must not come first')")
    with _agent(FakeCore(), folder / "work"):
        assert importlib.import_module("only_an_extra").VALUE == 7
        assert sys.path[-1] == str(folder / "work/extras")


def test_an_offered_model_serves_and_a_restart_brings_it_back(folder: Path) -> None:
    core, package = FakeCore(), make_package(folder / "p")
    with _agent(core, folder / "work") as agent:
        wait_until(lambda: agent.status().state is ComponentState.READY)
        assert _offer(core, offer_of(package, trial=True), ModelProved).golden_samples == 3
        _offer(core, offer_of(package, nonce="n2"), ModelActivated)
        status = agent.status().agent
        assert status is not None
        with AgentClient(status.endpoint) as client:
            assert [model.name for model in client.list()] == ["Tiny-1-0-0"]
    with _agent(core, folder / "work") as again:
        wait_until(lambda: again.status().state is ComponentState.READY)
        after = again.status().agent
        assert after is not None
        assert (after.roles, after.boot_id == status.boot_id) == (status.roles, False)


def test_a_replaced_model_is_retired_once_inspector_has_switched(folder: Path) -> None:
    core = FakeCore()
    with _agent(core, folder / "work"):
        _offer(core, offer_of(make_package(folder / "1")), ModelActivated)
        second = offer_of(make_package(folder / "2", version="2.0.0"), nonce="n2")
        assert _offer(core, second, ModelActivated).replaced == "Tiny-1-0-0"
        core.deliver(TOPICS.status, _inspector_uses("Tiny-2-0-0"))
        wait_until(lambda: bool(_sent(core, ModelRetired)))
    assert [message.identifier for message in _sent(core, ModelRetired)] == ["Tiny-1-0-0"]


def test_a_repeated_trial_is_answered_once_and_again(folder: Path) -> None:
    core, offer = FakeCore(), offer_of(make_package(folder / "p"), trial=True)
    with _agent(core, folder / "work"):
        first = _offer(core, offer, ModelProved)
        assert _offer(core, offer, ModelProved) == first  # the same latency: it did not run again


def test_rubbish_on_the_topic_harms_nobody(folder: Path) -> None:
    core = FakeCore()
    with _agent(core, folder / "work"):
        for raw in (b"", b"{", b"\xff" * 6000, b'{"schema": "linewatch.ModelOffered/1"}'):
            core.deliver(TOPICS.models, raw)
        core.deliver(TOPICS.models, encode(offer_of(make_package(folder / "p"))))
        wait_until(lambda: b"ModelActivated" in core.on_topic(TOPICS.models)[-1])


def test_a_broken_copy_shows_in_the_heartbeat(folder: Path) -> None:
    core = FakeCore()
    with _agent(core, folder / "work") as agent:
        _offer(core, offer_of(make_package(folder / "p")), ModelActivated)
        status = agent.status().agent
        assert status is not None
    (Path(status.roles["classifier"].folder) / "model.onnx").write_bytes(b"")
    with _agent(core, folder / "work") as again:
        wait_until(lambda: again.status().state is ComponentState.DEGRADED)
        assert "model.onnx" in again.status().reason


def _children() -> set[int]:
    return {int(pid) for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()}


@pytest.mark.skipif(installed_runtime() is None, reason="the extra dlr is not installed")
def test_a_neo_model_of_a_role_comes_back_by_itself_after_its_process_crashed(folder: Path) -> None:
    """Nobody may unload it, and its component sees it named in the heartbeat: without the agent the line is in error for good."""
    core, picture = FakeCore(), {"picture": np.full((1, 4, 4, 3), 51, np.uint8)}
    with _agent(core, folder / "work") as agent:
        known = _children()
        _offer(core, offer_of(neo_package(folder / "p")), ModelActivated)
        (pid,) = _children() - known
        status = agent.status().agent
        assert status is not None
        with AgentClient(status.endpoint) as client:
            os.kill(pid, signal.SIGSEGV)
            wait_until(lambda: agent.status().counters["models_reloaded"] == 1)
            assert client.predict("Tiny-1-0-0", picture)["score"].item() == pytest.approx(0.2)
        assert (agent.status().state, agent.status().counters["models_ended"]) == (ComponentState.READY, 1)


def test_the_legacy_socket_is_a_second_door(folder: Path) -> None:
    legacy = folder / "legacy.sock"
    with _agent(FakeCore(), folder / "work", unix_socket_name=str(legacy)), AgentClient(legacy) as client:
        assert client.list() == ()
        assert legacy.stat().st_mode & 0o777 == 0o660
        assert (folder / "work" / "agent.sock").stat().st_mode & 0o777 == 0o600


def test_a_work_folder_that_is_too_deep_is_said(folder: Path) -> None:
    work = folder / ("w" * 100)
    with pytest.raises(ConfigError, match="a unix socket takes 107"), _agent(FakeCore(), work):
        pass


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"unix_socket_name": "relative"}, "UnixSocketName: 'relative' is not an absolute path"),
        ({"unix_socket_name": "/" + "s" * 107}, "a unix socket takes 107"),
        ({"unix_socket_name": "/s", "unix_socket_group": "nobodys-group"}, "no group 'nobodys-group'"),
        ({"capture_data_batch_size": 30}, "CaptureDataBatchSize: 30 must be less"),
    ],
)
def test_configuration_that_cannot_work_is_refused(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        validate(AgentConfig(**settings))
