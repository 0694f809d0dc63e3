"""What Inspector relies on when it hands over captures: the fake of its tests and the real agent keep to it alike."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from linewatch_agent_api.channels import MAX_MESSAGE_BYTES
from linewatch_agent_api.client import AgentClient, Auxiliary, AuxiliaryEncoding, Capture
from linewatch_common.errors import AgentUnavailableError, InputError
from linewatch_common.manifest import load_manifest
from linewatch_common.messages import LabelVerdict
from linewatch_inspector.captures.making import of_label
from linewatch_inspector.captures.sending import AgentCaptures, Captures

from tests.fakes.captures import FakeCaptures
from tests.unit.agent.support import make_package, running_core, short_folder

BUFFER_BYTES = 1_000_000


@dataclass(frozen=True)
class Served:
    captures: Captures
    endpoint: str
    model: str


@pytest.fixture(params=["fake", "agent"])
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    with short_folder() as folder:
        package = make_package(folder / "package", name="Tiny", role="classifier")
        model = load_manifest(package).identifier
        if request.param == "fake":
            fake = FakeCaptures(model)
            fake.largest = BUFFER_BYTES
            yield Served(fake, str(folder / "agent.sock"), model)
            return
        work = folder / "agent"
        work.mkdir()
        with (
            running_core(work, capture_buffer_mb=BUFFER_BYTES // 1_000_000) as (_, socket),
            AgentClient(socket) as client,
        ):
            client.load(model, package)
            captures = AgentCaptures()
            yield Served(captures, str(socket), model)
            captures.close()


def capture(model: str, name: str = "line1-1-000001", picture: bytes = b"") -> Capture:
    item = Auxiliary("inspection.json", b'{"outcome":"fail"}', AuxiliaryEncoding.JSON)
    inputs = (Auxiliary("picture.png", picture, AuxiliaryEncoding.NONE),) if picture else ()
    return Capture(model=model, capture_id=name, auxiliary_inputs=inputs, auxiliary_outputs=(item,))


def test_a_capture_that_was_taken_already_is_done(served: Served) -> None:
    served.captures.capture(served.endpoint, capture(served.model))
    served.captures.capture(served.endpoint, capture(served.model))
    if isinstance(served.captures, FakeCaptures):
        assert len(served.captures.taken) == 1


def test_a_model_that_nobody_serves_at_the_moment_may_be_asked_for_again(served: Served) -> None:
    """One model replaces another within the two seconds between two heartbeats that name what is served."""
    with pytest.raises(AgentUnavailableError):
        served.captures.capture(served.endpoint, capture("Nobody-1-0-0"))


def test_what_never_fits_is_refused_for_good_and_the_next_is_taken(served: Served) -> None:
    with pytest.raises(InputError, match="capture buffer full"):
        served.captures.capture(served.endpoint, capture(served.model, picture=bytes(BUFFER_BYTES)))
    served.captures.capture(served.endpoint, capture(served.model))


def test_an_agent_that_is_away_may_be_asked_again(served: Served) -> None:
    if isinstance(served.captures, FakeCaptures):
        served.captures.away = True
    with pytest.raises(AgentUnavailableError):
        served.captures.capture(f"{served.endpoint}.gone", capture(served.model))


@pytest.mark.parametrize("command_id", ["c1", "shift/7", "ä" * 128, "../../x", "a\nb"])
def test_a_label_is_taken_whatever_its_command_is_called(served: Served, command_id: str) -> None:
    name = f"{'s' * 32}-999999999999-{10**18 - 1}"
    command = LabelVerdict(command_id=command_id, frame_id=name, label="fail", operator="ann")
    made = of_label(command, served.model, "2026-11-22T10:00:00.000000Z")
    served.captures.capture(served.endpoint, made)
    other = LabelVerdict(command_id=f"{command_id}."[-128:], frame_id=name, label="fail", operator="ann")
    assert of_label(other, served.model, "").capture_id != made.capture_id


@pytest.fixture
def slow_agent() -> Iterator[Served]:
    """It does nothing with what it takes for an hour, so its buffer of 1 MB fills up."""
    with short_folder() as folder:
        package = make_package(folder / "package", name="Tiny", role="classifier")
        model = load_manifest(package).identifier
        settings = {"capture_buffer_mb": 1, "capture_data_push_period_seconds": 3600}
        with running_core(folder, **settings) as (_, socket), AgentClient(socket) as client:
            client.load(model, package)
            captures = AgentCaptures()
            yield Served(captures, str(socket), model)
            captures.close()


def test_a_full_agent_may_be_asked_again(slow_agent: Served) -> None:
    slow_agent.captures.capture(slow_agent.endpoint, capture(slow_agent.model, "first", bytes(600_000)))
    with pytest.raises(AgentUnavailableError, match="capture buffer full"):
        slow_agent.captures.capture(slow_agent.endpoint, capture(slow_agent.model, "second", bytes(600_000)))


def test_an_agent_that_cannot_send_now_may_be_asked_again() -> None:
    """Without a spool it takes nothing while there is no network: a person's word waits for it."""
    with short_folder() as folder:
        package = make_package(folder / "package", name="Tiny", role="classifier")
        model = load_manifest(package).identifier
        settings = {"capture_spool": False, "capture_data_destination": "StreamManager"}
        with running_core(folder, **settings) as (_, socket), AgentClient(socket) as client:
            client.load(model, package)
            captures = AgentCaptures()
            with pytest.raises(AgentUnavailableError, match="capture"):
                captures.capture(str(socket), capture(model))
            captures.close()


def test_what_no_request_holds_is_refused_for_good() -> None:
    captures = AgentCaptures()
    with pytest.raises(InputError, match="fit a request"):
        captures.capture("/nowhere/agent.sock", capture("Tiny-1-0-0", picture=bytes(MAX_MESSAGE_BYTES)))
    captures.close()
