"""What Inspector relies on when it hands over captures: the fake of its tests and the real agent keep to it alike."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from linewatch_agent_api.client import AgentClient, Auxiliary, AuxiliaryEncoding, Capture
from linewatch_common.errors import AgentUnavailableError, InputError
from linewatch_common.manifest import load_manifest
from linewatch_inspector.captures.sending import AgentCaptures, Captures

from tests.fakes.captures import FakeCaptures
from tests.unit.agent.support import make_package, running_core, short_folder


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
            yield Served(FakeCaptures(model), str(folder / "agent.sock"), model)
            return
        work = folder / "agent"
        work.mkdir()
        with running_core(work) as (_, socket), AgentClient(socket) as client:
            client.load(model, package)
            captures = AgentCaptures()
            yield Served(captures, str(socket), model)
            captures.close()


def capture(model: str, name: str = "line1-1-000001") -> Capture:
    item = Auxiliary("inspection.json", b'{"outcome":"fail"}', AuxiliaryEncoding.JSON)
    return Capture(model=model, capture_id=name, auxiliary_outputs=(item,))


def test_a_capture_that_was_taken_already_is_done(served: Served) -> None:
    served.captures.capture(served.endpoint, capture(served.model))
    served.captures.capture(served.endpoint, capture(served.model))
    if isinstance(served.captures, FakeCaptures):
        assert len(served.captures.taken) == 1


def test_a_model_that_nobody_serves_is_refused_for_good(served: Served) -> None:
    with pytest.raises(InputError):
        served.captures.capture(served.endpoint, capture("Nobody-1-0-0"))


def test_an_agent_that_is_away_may_be_asked_again(served: Served) -> None:
    if isinstance(served.captures, FakeCaptures):
        served.captures.away = True
    with pytest.raises(AgentUnavailableError):
        served.captures.capture(f"{served.endpoint}.gone", capture(served.model))
