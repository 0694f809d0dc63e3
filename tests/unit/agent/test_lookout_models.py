"""Lookout's models under calls that meet."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from linewatch_agent.backends.openvino_backend import OpenVinoBackend
from linewatch_agent.errors import NotReadyError
from linewatch_agent.folders import Format, ModelSource
from linewatch_agent.loading import LoadedModel, ModelLoader
from linewatch_agent.lookout.models import Condition, LookoutModels, State
from linewatch_agent.registry import MAX_WAITING_LOADS, Entry, ModelRegistry
from linewatch_agent.roots import ModelRoots
from linewatch_agent.trust import Trust

from tests.unit.agent.support import make_package, wait_until


class HeldLoader(ModelLoader):
    """Loads once it may."""

    def __init__(self) -> None:
        super().__init__({Format.ONNX: OpenVinoBackend()}, Trust())
        self.may = threading.Event()

    def load(self, source: ModelSource, url: str) -> LoadedModel:
        assert self.may.wait(20)
        return super().load(source, url)


class MeetingRegistry(ModelRegistry):
    """Says what is about to happen: `found` after each look-up, `removing` before each removal."""

    found: Callable[[], None] = staticmethod(lambda: None)
    removing: Callable[[], None] = staticmethod(lambda: None)

    def get(self, name: str) -> Entry:
        entry = super().get(name)
        self.found()
        return entry

    def remove(self, name: str, *, by_client: bool = False) -> None:
        self.removing()
        super().remove(name, by_client=by_client)


@pytest.fixture
def loader() -> HeldLoader:
    made = HeldLoader()
    made.may.set()
    return made


@pytest.fixture
def registry(loader: HeldLoader) -> MeetingRegistry:
    return MeetingRegistry(loader, 10**9)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_package(tmp_path / "c")
    make_package(tmp_path / "s", name="Where", role="segmenter")
    return tmp_path


def started(models: LookoutModels, name: str, becomes: State = State.RUNNING) -> Condition:
    models.start(name)
    wait_until(lambda: models.describe(name).state is becomes)
    return models.describe(name)


def test_models_that_are_started_at_once_wait_for_each_other(
    loader: HeldLoader, registry: MeetingRegistry, folder: Path
) -> None:
    names = [f"m{number}" for number in range(MAX_WAITING_LOADS + 3)]
    models = LookoutModels(registry, ModelRoots(folder), {name: ["c"] for name in names})
    loader.may.clear()
    for name in names:
        models.start(name)
    loader.may.set()
    wait_until(lambda: all(model.state is not State.STARTING for model in models.all()))
    assert {model.state for model in models.all()} == {State.RUNNING}


def test_a_folder_that_is_named_twice_leaves_nothing_behind(registry: MeetingRegistry, folder: Path) -> None:
    models = LookoutModels(registry, ModelRoots(folder), {"m": ["c", "c"]})
    for _ in range(2):
        assert "is a second classifier" in started(models, "m", State.FAILED).message
        assert registry.all() == ()


def test_a_stop_that_comes_between_makes_the_detection_one_of_a_stopped_model(
    registry: MeetingRegistry, folder: Path
) -> None:
    models = LookoutModels(registry, ModelRoots(folder), {"m": ["c", "s"]})
    started(models, "m")

    def stop_once() -> None:
        registry.found = lambda: None
        models.stop("m")

    registry.found = stop_once
    with pytest.raises(NotReadyError, match="does not run any more"), models.running("m"):
        pass
    assert models.describe("m").state is State.STOPPED


def test_of_two_detections_that_find_a_model_gone_one_drops_it(registry: MeetingRegistry, folder: Path) -> None:
    models = LookoutModels(registry, ModelRoots(folder), {"m": ["c"]})
    started(models, "m")
    registry.remove("lookout-1-1")
    dropping, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        dropping.set()
        assert go_on.wait(20)

    def detect() -> None:
        with pytest.raises(NotReadyError), models.running("m"):
            pass

    registry.removing = hold
    first = threading.Thread(target=detect)
    first.start()
    assert dropping.wait(20)
    detect()
    state = models.describe("m").state
    go_on.set()
    first.join()
    # Not FAILED, from where it could be started again, before the first is done with it.
    assert (state, models.describe("m").state) == (State.STOPPING, State.FAILED)
