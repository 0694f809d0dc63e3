"""A role's model whose runtime has ended comes back by itself; a fake runtime behind our own port ends when it is told to."""

from pathlib import Path

import numpy as np
import pytest
from linewatch_agent.backends.openvino_backend import OpenVinoBackend
from linewatch_agent.backends.port import Net
from linewatch_agent.dataplane import DataPlane
from linewatch_agent.errors import NoMemoryError, NotLoadableError, RuntimeEndedError
from linewatch_agent.folders import Format
from linewatch_agent.metrics import Metrics
from linewatch_agent.outage import FIRST_PAUSE, LONGEST_PAUSE, STEADY_SECONDS
from linewatch_agent.roots import ModelRoots
from linewatch_agent.tensors import SentTensor, Tensors
from linewatch_common.messages.models import ModelActivated, ModelRefused, ModelRetired

from tests.unit.agent.support import make_package, model_folder, offer_of
from tests.unit.agent.test_roles import PATIENCE, Bench

PICTURE = np.full((1, 4, 4, 3), 51, np.uint8)


class MortalNet:
    """A net whose runtime has ended as soon as `ended` says why."""

    def __init__(self, net: Net, outside_bytes: int) -> None:
        self.inputs, self.outputs, self.outside_bytes = net.inputs, net.outputs, outside_bytes
        self._net = net
        self.ended = ""

    def predict(self, inputs: Tensors) -> Tensors:
        if self.ended:
            raise RuntimeEndedError(self.ended)
        return self._net.predict(inputs)


class MortalBackend:
    """Loads nets that may end; `refuses` is raised instead where it is set."""

    name = "mortal"

    def __init__(self) -> None:
        self.nets: list[MortalNet] = []
        self.refuses: Exception | None = None
        self.refused = 0
        self.outside_bytes = 0
        self._real = OpenVinoBackend()

    def load(self, path: Path) -> Net:
        if self.refuses is not None:
            self.refused += 1
            raise self.refuses
        self.nets.append(MortalNet(self._real.load(path), self.outside_bytes))
        return self.nets[-1]


@pytest.fixture
def backend() -> MortalBackend:
    return MortalBackend()


@pytest.fixture
def bench(tmp_path: Path, backend: MortalBackend) -> Bench:
    """One role is served."""
    bench = Bench(tmp_path / "work", backends={Format.ONNX: backend})
    assert isinstance(bench.roles.answer(offer_of(make_package(tmp_path / "p"))), ModelActivated)
    return bench


def counted(bench: Bench) -> tuple[int, int]:
    counts = bench.core.counters.snapshot()
    return counts["models_ended"], counts["models_reloaded"]


def score(bench: Bench, name: str = "Tiny-1-0-0") -> float:
    answer = plane(bench).predict(name, [SentTensor(PICTURE.tobytes(), "picture")])
    return round(float(answer["score"].item()), 5)


def plane(bench: Bench) -> DataPlane:
    metrics = Metrics(bench.core.counters, bench.registry)
    return DataPlane(bench.registry, bench.core.captures, bench.core.counters, metrics, ModelRoots(bench.work))


def test_it_is_loaded_again_from_our_own_copy(bench: Bench, backend: MortalBackend, tmp_path: Path) -> None:
    recorded, status = (bench.work / "active.json").read_bytes(), bench.roles.statuses()
    (tmp_path / "p/model.onnx").unlink()
    backend.nets[-1].ended = "crashed"
    with pytest.raises(RuntimeEndedError, match="crashed; the agent loads it again for the role 'classifier'"):
        score(bench)
    bench.roles.reload_due()
    assert (score(bench), len(backend.nets)) == (0.2, 2)
    assert (bench.roles.statuses(), (bench.work / "active.json").read_bytes()) == (status, recorded)
    assert (bench.roles.problems(), counted(bench)) == ("", (1, 1))
    assert bench.registry.get("Tiny-1-0-0").role == "classifier", "no client may drop it"


def test_what_lives_is_left_alone(bench: Bench, backend: MortalBackend) -> None:
    bench.roles.reload_due()
    assert (len(backend.nets), counted(bench)) == (1, (0, 0))


def test_one_that_keeps_ending_is_loaded_ever_more_seldom(bench: Bench, backend: MortalBackend) -> None:
    """Each load takes the processor from the line's other models."""
    seconds, said = 1800, 0
    for _ in range(seconds):
        backend.nets[-1].ended = "crashed"
        bench.roles.reload_due()
        said += "role classifier: Tiny-1-0-0 has ended: crashed" in bench.roles.problems()
        bench.now += 1
    assert seconds / LONGEST_PAUSE < len(backend.nets) < 25
    assert said > 0.9 * seconds, "while it is down the heartbeat says so"
    bench.now += LONGEST_PAUSE
    bench.roles.reload_due()
    assert score(bench) == 0.2
    for pause in (STEADY_SECONDS, FIRST_PAUSE):  # it served for long: the pauses begin anew
        bench.now += pause
        backend.nets[-1].ended = "crashed"
        bench.roles.reload_due()
    bench.now += FIRST_PAUSE
    bench.roles.reload_due()
    assert score(bench) == 0.2


def test_one_that_served_for_long_is_loaded_at_once_each_time(bench: Bench, backend: MortalBackend) -> None:
    for _ in range(20):
        backend.nets[-1].ended = "crashed"
        bench.roles.reload_due()
        assert score(bench) == 0.2
        bench.now += STEADY_SECONDS


@pytest.mark.parametrize("reason", [NotLoadableError("no library"), ArithmeticError("no idea")])
def test_one_that_cannot_be_loaded_is_tried_again(bench: Bench, backend: MortalBackend, reason: Exception) -> None:
    backend.nets[-1].ended, backend.refuses = "crashed", reason
    for _ in range(600):
        bench.roles.reload_due()
        bench.now += 1
    problem = bench.roles.problems()
    assert problem.startswith("role classifier: Tiny-1-0-0 has ended and cannot be loaded again: ")
    assert problem.endswith(str(reason))
    assert 5 < backend.refused < 20
    assert (bench.serving, counted(bench)) == ({"classifier": "Tiny-1-0-0"}, (1, 0))
    with pytest.raises(RuntimeEndedError):
        score(bench)
    backend.refuses = None
    bench.now += LONGEST_PAUSE
    bench.roles.reload_due()
    assert (score(bench), bench.roles.problems(), counted(bench)) == (0.2, "", (1, 1))


def test_a_damaged_copy_is_not_loaded_and_the_next_offer_repairs_it(
    bench: Bench, backend: MortalBackend, tmp_path: Path
) -> None:
    """Its component offers once the heartbeat no longer names it."""
    (Path(bench.roles.statuses()["classifier"].folder) / "model.onnx").write_bytes(b"a bad sector")
    backend.nets[-1].ended = "crashed by SIGBUS"
    bench.roles.reload_due()
    assert (bench.serving, bench.loaded, len(backend.nets)) == ({}, [], 1)
    assert "role classifier: Tiny-1-0-0 is not restored" in bench.roles.problems()
    assert isinstance(bench.roles.answer(offer_of(tmp_path / "p", nonce="n2")), ModelActivated)
    assert (score(bench), bench.roles.problems()) == (0.2, "")
    assert Bench(bench.work).serving == {"classifier": "Tiny-1-0-0"}


def test_an_offer_of_it_is_answered_as_active_only_when_it_answers(
    bench: Bench, backend: MortalBackend, tmp_path: Path
) -> None:
    backend.nets[-1].ended, backend.refuses = "crashed", NotLoadableError("no library")
    refused = bench.roles.answer(offer_of(tmp_path / "p", nonce="n2"))
    assert isinstance(refused, ModelRefused)
    assert (refused.reason, bench.serving) == ("no library", {"classifier": "Tiny-1-0-0"})
    backend.refuses = None
    assert isinstance(bench.roles.answer(offer_of(tmp_path / "p", nonce="n3")), ModelActivated)
    assert (score(bench), bench.roles.problems(), counted(bench)) == (0.2, "", (1, 1))


def test_its_memory_is_kept_for_it(bench: Bench, backend: MortalBackend, tmp_path: Path) -> None:
    """Of a budget of 1 GB: it fits although it counts already, and no client takes its place while it is down."""
    backend.outside_bytes = 600_000_000
    bench.roles.answer(offer_of(make_package(tmp_path / "v2", version="2.0.0"), nonce="n2"))
    backend.nets[-1].ended = "crashed"
    with pytest.raises(NoMemoryError):
        bench.registry.load("another", model_folder(tmp_path / "m"), "m")
    bench.roles.reload_due()
    assert score(bench, "Tiny-2-0-0") == 0.2


def test_a_successor_takes_over_from_one_that_is_down(bench: Bench, backend: MortalBackend, tmp_path: Path) -> None:
    backend.nets[-1].ended, backend.refuses = "crashed", NotLoadableError("no library")
    bench.roles.reload_due()
    backend.refuses = None
    bench.roles.answer(offer_of(make_package(tmp_path / "v2", version="2.0.0"), nonce="n2"))
    assert (score(bench, "Tiny-2-0-0"), bench.roles.problems()) == (0.2, "")
    bench.now += 10 * LONGEST_PAUSE
    bench.roles.reload_due()
    assert (len(backend.nets), counted(bench)) == (2, (1, 0))


def test_one_that_was_withdrawn_while_down_leaves_no_problem_behind(bench: Bench, backend: MortalBackend) -> None:
    backend.nets[-1].ended, backend.refuses = "crashed", NotLoadableError("no library")
    bench.roles.reload_due()
    bench.roles.withdrawn(ModelRetired(identifier="Tiny-1-0-0", role="classifier", by="com.x", reason=""))
    bench.now += PATIENCE
    assert len(bench.roles.retire_due(None, 0.0)) == 1
    assert (bench.roles.problems(), bench.loaded) == ("", [])


def test_a_clients_model_is_left_to_the_client(bench: Bench, backend: MortalBackend, tmp_path: Path) -> None:
    bench.registry.load("mine", model_folder(tmp_path / "m"), "m")
    backend.nets[-1].ended = "crashed"
    bench.roles.reload_due()
    with pytest.raises(RuntimeEndedError, match="crashed; unload the model and load it again"):
        score(bench, "mine")
    assert (bench.roles.problems(), counted(bench)) == ("", (0, 0))
