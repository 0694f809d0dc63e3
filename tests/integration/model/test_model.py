"""A model component's steps, against an agent on a bus in this process."""

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from linewatch_common.clock import utc_now
from linewatch_common.errors import PackageError, UnavailableError
from linewatch_common.messages.base import Message, decode, encode
from linewatch_common.messages.models import (
    ModelActivated,
    ModelMessage,
    ModelOffered,
    ModelProved,
    ModelRefused,
    ModelRetired,
)
from linewatch_common.messages.status import AgentStatus, ComponentState, Heartbeat, RoleStatus
from linewatch_common.topics import Topics
from linewatch_model.__main__ import main
from linewatch_model.component import TICK_SECONDS, ModelComponent
from linewatch_model.lease import Lease
from linewatch_model.package import OwnPackage, verified_package
from linewatch_model.trial import Trial

from tests.fakes.bus import FakeCore
from tests.unit.agent.support import make_package, wait_until

TOPICS = Topics("line1")
NAME = "com.linewatch.model.Tiny"
Answer = Callable[[ModelOffered], Message]


@pytest.fixture
def package(tmp_path: Path) -> OwnPackage:
    return verified_package(make_package(tmp_path / "p"))


def _beat(offers: list[ModelOffered], state: ComponentState = ComponentState.READY, boot: str = "b") -> bytes:
    roles = {
        offer.role: RoleStatus(
            identifier=offer.identifier, version=offer.version, folder="", manifest_digest=offer.manifest_digest
        )
        for offer in offers
    }
    return encode(
        Heartbeat(
            component="com.linewatch.EdgeAgent",
            station="line1",
            version="1",
            state=state,
            at=utc_now(),
            started_at=utc_now(),
            uid=0,
            agent=AgentStatus(endpoint="", boot_id=boot, roles=roles),
        )
    )


@contextmanager
def _agent(core: FakeCore, answer: Answer) -> Iterator[list[ModelOffered]]:
    """Beats, and answers every offer; yields the offers."""
    offers: list[ModelOffered] = []
    stop = threading.Event()
    bus = core.bus()

    def on_message(raw: bytes) -> None:
        message = decode(raw, ModelMessage)
        if isinstance(message, ModelOffered):
            offers.append(message)
            core.deliver(TOPICS.models, encode(answer(message)))

    def beat() -> None:
        while not stop.wait(0.05):
            core.deliver(TOPICS.status, _beat(offers))

    bus.subscribe(TOPICS.models, on_message)
    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield offers
    finally:
        stop.set()
        thread.join()
        bus.close()


def _proved(offer: ModelOffered) -> ModelProved:
    return ModelProved(
        identifier=offer.identifier,
        manifest_digest=offer.manifest_digest,
        nonce=offer.nonce,
        latency_ms=1.0,
        golden_samples=3,
    )


def _activated(offer: ModelOffered) -> ModelActivated:
    return ModelActivated(
        identifier=offer.identifier,
        role=offer.role,
        version=offer.version,
        manifest_digest=offer.manifest_digest,
        nonce=offer.nonce,
    )


def _refused(offer: ModelOffered) -> ModelRefused:
    return ModelRefused(identifier=offer.identifier, nonce=offer.nonce, reason="golden picture 1 differs")


def test_a_trial_is_proved_by_the_agent(package: OwnPackage) -> None:
    core = FakeCore()
    with _agent(core, _proved) as offers:
        proof = Trial(package, core.bus(), TOPICS).run(NAME)
    assert proof is not None
    assert [offer.trial for offer in offers] == [True]


def test_without_an_agent_nothing_is_proved(package: OwnPackage) -> None:
    assert Trial(package, FakeCore().bus(), TOPICS, find_seconds=0.2).run(NAME) is None


def test_a_refused_trial_fails_with_the_agents_reason(package: OwnPackage) -> None:
    core = FakeCore()
    with _agent(core, _refused), pytest.raises(PackageError, match="refuses Tiny-1-0-0: golden picture 1 differs"):
        Trial(package, core.bus(), TOPICS).run(NAME)


def test_an_agent_that_never_answers_fails_the_trial(package: OwnPackage) -> None:
    core = FakeCore()
    stranger: Answer = lambda offer: _proved_with(offer, "another nonce")  # noqa: E731
    with _agent(core, stranger), pytest.raises(UnavailableError, match="did not answer"):
        Trial(package, core.bus(), TOPICS, answer_seconds=0.3).run(NAME)


def _proved_with(offer: ModelOffered, nonce: str) -> ModelProved:
    return ModelProved(
        identifier=offer.identifier,
        manifest_digest=offer.manifest_digest,
        nonce=nonce,
        latency_ms=1.0,
        golden_samples=3,
    )


@contextmanager
def _running(core: FakeCore, package: OwnPackage, lost_seconds: float = 6.0) -> Iterator[ModelComponent]:
    lease = Lease(package, NAME)
    component = ModelComponent(package, lease, NAME, core.bus(), TOPICS, lost_seconds=lost_seconds)
    component.start()
    try:
        yield component
    finally:
        component.stop()


def test_a_running_component_offers_and_withdraws_at_its_end(package: OwnPackage) -> None:
    core = FakeCore()
    with _agent(core, _activated) as offers, _running(core, package) as component:
        wait_until(lambda: bool(offers))
        assert offers[0].trial is False
        state = component.status().model
        assert state is not None
        assert (state.identifier, state.role) == ("Tiny-1-0-0", "classifier")
    last = decode(core.on_topic(TOPICS.models)[-1], ModelMessage)
    assert isinstance(last, ModelRetired)
    assert (last.identifier, last.role, last.by) == ("Tiny-1-0-0", "classifier", NAME)


def test_an_agent_that_still_restores_its_models_is_offered_nothing(package: OwnPackage, tmp_path: Path) -> None:
    """A model of one's own replaced this one and both components live: the agent's restart must not turn it round."""
    core = FakeCore()
    own = verified_package(make_package(tmp_path / "own", name="Own")).offer("com.linewatch.model.Own", trial=False)
    with _running(core, package) as component:
        wait_until(lambda: bool(_offers(core)))
        core.deliver(TOPICS.models, encode(_activated(_offers(core)[0])))
        wait_until(lambda: component.status().state is ComponentState.READY)
        _beat_until(core, _beat([own]), lambda: "is served by Own-1-0-0" in component.status().reason)
        offered = len(_offers(core))
        give_up = time.monotonic() + 3 * TICK_SECONDS
        _beat_until(core, _beat([], ComponentState.STARTING, "b2"), lambda: time.monotonic() > give_up)
        assert len(_offers(core)) == offered
        _beat_until(core, _beat([], boot="b2"), lambda: len(_offers(core)) > offered)  # it has no model for the role


def _offers(core: FakeCore) -> list[ModelOffered]:
    messages = [decode(raw, ModelMessage) for raw in core.on_topic(TOPICS.models)]
    return [message for message in messages if isinstance(message, ModelOffered)]


def _beat_until(core: FakeCore, beat: bytes, condition: Callable[[], bool]) -> None:
    def beaten() -> bool:
        core.deliver(TOPICS.status, beat)
        return condition()

    wait_until(beaten)


def test_without_an_agent_it_waits_and_says_so(package: OwnPackage) -> None:
    core = FakeCore()
    with _running(core, package) as component:
        wait_until(lambda: bool(core.on_topic(TOPICS.models)))
        status = component.status()
        assert (status.state, status.reason) == (ComponentState.STARTING, "waits for the edge agent")


def test_an_agent_that_fell_silent_is_said(package: OwnPackage) -> None:
    core = FakeCore()
    with _running(core, package, lost_seconds=0.5) as component:
        with _agent(core, _activated):
            wait_until(lambda: component.status().state is ComponentState.READY)
        wait_until(lambda: component.status().reason == "the edge agent is away")
        status = component.status()
    assert status.state is ComponentState.DEGRADED
    assert status.model is not None
    assert not status.model.active


def test_a_core_that_is_away_for_a_moment_does_not_end_it(package: OwnPackage) -> None:
    core = FakeCore()
    with _running(core, package) as component:
        core.away = True
        wait_until(lambda: component.status().state is ComponentState.STARTING)
        core.away = False
        wait_until(lambda: bool(core.on_topic(TOPICS.models)))


def test_a_refused_component_ends_with_the_reason_and_withdraws_nothing(package: OwnPackage) -> None:
    core = FakeCore()
    with _agent(core, _refused), _running(core, package) as component:
        wait_until(lambda: _status_fails(component))
        with pytest.raises(PackageError, match="golden picture 1 differs"):
            component.status()
    assert not any(isinstance(decode(raw, ModelMessage), ModelRetired) for raw in core.on_topic(TOPICS.models))


def _status_fails(component: ModelComponent) -> bool:
    try:
        component.status()
    except PackageError:
        return True
    return False


class Steps:
    """Runs a step as the recipe does; gives the exit code and what it printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def run(self, *arguments: str, **environ: str) -> tuple[int, str]:
        code = main(list(arguments), environ)
        return code, self._capsys.readouterr().out


@pytest.fixture
def steps(capsys: pytest.CaptureFixture[str]) -> Iterator[Steps]:
    before = logging.getLogger().handlers[:]
    yield Steps(capsys)
    logging.getLogger().handlers[:] = before  # a step sets up logging for its process, which here is pytest's


def test_install_without_a_runtime_verifies_digests_alone(package: OwnPackage, steps: Steps) -> None:
    code, output = steps.run("install", LINEWATCH_PACKAGE=str(package.folder))
    assert (code, "2 files verified" in output, "unproved" in output) == (0, True, True)


@pytest.mark.parametrize("step", ["install", "run", "--selfcheck"])
def test_a_changed_file_fails_every_step_with_one_line(package: OwnPackage, steps: Steps, step: str) -> None:
    (package.folder / "model.onnx").write_bytes(b"changed")
    code, output = steps.run(step, "--package", str(package.folder))
    [line] = output.splitlines()
    assert (code, "'model.onnx' was changed" in line) == (1, True)


def test_without_a_package_it_says_what_is_missing(steps: Steps) -> None:
    code, output = steps.run("run")
    assert (code, "set LINEWATCH_PACKAGE" in output) == (1, True)


def test_selfcheck_needs_no_numpy(package: OwnPackage) -> None:
    code = (
        "import sys; from linewatch_model.__main__ import main;"
        f"sys.exit(main(['--selfcheck', '--package', {str(package.folder)!r}]) or 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.startswith("OK linewatch_model: Tiny-1-0-0")) == (0, True)
