"""The models in memory."""

import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from linewatch_agent.__main__ import build_core
from linewatch_agent.backends.onnxruntime_backend import OnnxRuntimeBackend
from linewatch_agent.backends.openvino_backend import OpenVinoBackend
from linewatch_agent.backends.port import Backend, Net
from linewatch_agent.config import AgentConfig
from linewatch_agent.errors import (
    BadRequestError,
    BusyError,
    ModelExistsError,
    NoMemoryError,
    NothingThereError,
    NotLoadableError,
    UnknownModelError,
)
from linewatch_agent.folders import Format, ModelSource, find_model
from linewatch_agent.loading import LoadedModel, ModelLoader
from linewatch_agent.registry import MAX_WAITING_LOADS, Entry, ModelRegistry, check_name
from linewatch_agent.tensors import TensorSpec
from linewatch_agent.trust import Trust

from tests.unit.agent.support import make_package, model_folder


@pytest.fixture
def registry(tmp_path: Path) -> ModelRegistry:
    return build_core(AgentConfig(), "d", tmp_path, ()).registry


@pytest.mark.parametrize("name", ["a", "A-1", "a--b", "SurfaceClassifier-1-0-0"])
def test_names_of_the_pattern(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize("name", ["", "-a", "a-", "a.b", "a_b", "ä", "a\n", "a" * 129, "../a"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(BadRequestError, match="want 1 to 128 letters"):
        check_name(name)


def test_load_list_remove(registry: ModelRegistry, tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m")
    entry = registry.load("b", folder, "m")
    registry.load("a", folder, "m")
    assert [known.name for known in registry.all()] == ["a", "b"]
    assert entry.model.url == "m"
    assert registry.memory_bytes() > 0
    registry.remove("b")
    with pytest.raises(UnknownModelError, match="'b' is not loaded; loaded: a"):
        registry.get("b")


class ObservedLock:
    """Calls `after` when it was released."""

    def __init__(self, after: Callable[[], object]) -> None:
        self._lock, self._after = threading.Lock(), after

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        self._after()


def test_of_two_clients_that_drop_a_model_at_once_one_is_told_that_it_is_gone(
    registry: ModelRegistry, tmp_path: Path
) -> None:
    registry.load("a", model_folder(tmp_path / "m"), "m")
    step = threading.Barrier(2, timeout=20)  # they go side by side, step by step

    def drop() -> str:
        try:
            registry.remove("a", by_client=True)
        except UnknownModelError:
            return "refused"
        return "ok"

    registry._lock = ObservedLock(step.wait)  # type: ignore[assignment]  # as much of a lock as is used
    with ThreadPoolExecutor(2) as clients:
        assert sorted(clients.map(lambda _: drop(), range(2))) == ["ok", "refused"]


def test_a_package_that_comes_into_service_during_an_unload_stays(registry: ModelRegistry, tmp_path: Path) -> None:
    """Under the name of the model that a client loaded and drops."""
    model = registry.load("Tiny-1-0-0", model_folder(tmp_path / "m"), "m").model
    waiting = [Entry("Tiny-1-0-0", model, "classifier")]
    registry._lock = ObservedLock(lambda: registry.put(waiting.pop()) if waiting else None)  # type: ignore[assignment]  # as above
    registry.remove("Tiny-1-0-0", by_client=True)
    assert registry.get("Tiny-1-0-0").role == "classifier"


def test_a_known_name_is_refused_before_anything_is_read(registry: ModelRegistry, tmp_path: Path) -> None:
    registry.load("a", model_folder(tmp_path / "m"), "m")
    with pytest.raises(ModelExistsError, match="loaded already, from m"):
        registry.load("a", tmp_path / "nowhere", "nowhere")


class OvertakenLoader(ModelLoader):
    """While it loads for a client, a package comes into service under the same name."""

    def __init__(self, backend: Backend) -> None:
        super().__init__({Format.ONNX: backend}, Trust())
        self.overtake: Callable[[LoadedModel], None] = lambda _model: None

    def load(self, source: ModelSource, url: str) -> LoadedModel:
        model = super().load(source, url)
        self.overtake(model)
        return model


def test_a_client_s_load_does_not_push_away_a_package_that_was_faster(tmp_path: Path) -> None:
    loader = OvertakenLoader(OpenVinoBackend())
    registry = ModelRegistry(loader, 10**9)
    loader.overtake = lambda model: registry.put(Entry("Tiny-1-0-0", model, "classifier"))
    with pytest.raises(ModelExistsError, match="loaded already"):
        registry.load("Tiny-1-0-0", model_folder(tmp_path / "m"), "m")
    assert registry.get("Tiny-1-0-0").role == "classifier"


class RemovingBackend:
    """Reads a model whose folder goes at that moment."""

    name = "openvino"

    def load(self, path: Path) -> Net:
        shutil.rmtree(path.parent)
        raise NotLoadableError("half a file")


def test_a_folder_that_goes_during_the_load_is_not_found(tmp_path: Path) -> None:
    loader = ModelLoader({Format.ONNX: RemovingBackend()}, Trust())
    with pytest.raises(NothingThereError, match="went while it was being loaded"):
        loader.load(find_model(model_folder(tmp_path / "m"), Trust()), "m")


def test_names_that_are_not_text_are_replaced(registry: ModelRegistry, tmp_path: Path) -> None:
    model = model_folder(tmp_path / "m") / "model.onnx"
    model.write_bytes(model.read_bytes().replace(b"picture", b"pictur\xff"))
    assert [spec.name for spec in registry.load("a", model.parent, "m").model.net.inputs] == ["input_0"]


def test_a_load_beside_does_not_show(registry: ModelRegistry, tmp_path: Path) -> None:
    model = registry.load_aside(model_folder(tmp_path / "m"), "m")
    assert registry.all() == ()
    registry.put(Entry("a", model))
    assert registry.get("a").model is model


def test_the_budget_covers_all_models(tmp_path: Path) -> None:
    registry = build_core(AgentConfig(memory_budget_mb=500), "d", tmp_path, ()).registry
    folder = model_folder(tmp_path / "m")
    loaded = registry.load_aside(folder, "m")
    registry.put(Entry("big", LoadedModel("m", loaded.net, 500_000_000)))
    with pytest.raises(NoMemoryError, match="MemoryBudgetMB"):
        registry.load("small", folder, "m")


def test_lookups_do_not_wait_for_a_load(registry: ModelRegistry, tmp_path: Path) -> None:
    found: list[int] = []
    with registry._one_at_a_time():  # as during a long load
        thread = threading.Thread(target=lambda: found.append(len(registry.all())))
        thread.start()
        thread.join(timeout=5)
    assert found == [0]


def test_a_load_beside_waits_however_many_clients_load(registry: ModelRegistry, tmp_path: Path) -> None:
    """The line's own models, at the agent's start: no client is waited on, so none may push them away."""
    folder = model_folder(tmp_path / "m")
    loaded: list[LoadedModel] = []
    ours = threading.Thread(target=lambda: loaded.append(registry.load_aside(folder, "m")))
    with ExitStack() as clients:
        clients.enter_context(registry._one_at_a_time())  # a long load, and three that wait
        for _ in range(MAX_WAITING_LOADS - 1):
            assert registry._turns.acquire(blocking=False)
            clients.callback(registry._turns.release)
        with pytest.raises(BusyError):
            registry.load("one-more", folder, "m")
        ours.start()
        ours.join(timeout=0.2)
        assert ours.is_alive()
    ours.join(timeout=20)
    assert len(loaded) == 1


def test_what_a_folder_holds(tmp_path: Path) -> None:
    assert find_model(model_folder(tmp_path / "bare"), Trust()).format is Format.ONNX
    package = find_model(make_package(tmp_path / "package"), Trust())
    assert package.manifest is not None
    assert package.manifest.identifier == "Tiny-1-0-0"


def test_two_models_in_one_folder_are_refused(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m")
    (folder / "other.xml").write_text("<net/>")
    with pytest.raises(NotLoadableError, match=r"several models \(model\.onnx, other\.xml\)"):
        find_model(folder, Trust())


def test_an_ir_without_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.xml").write_text("<net/>")
    with pytest.raises(NotLoadableError, match=r"its weights net\.bin are not"):
        find_model(tmp_path, Trust())


def test_a_folder_that_is_missing_or_empty(tmp_path: Path) -> None:
    with pytest.raises(NothingThereError):
        find_model(tmp_path / "nowhere", Trust())
    with pytest.raises(NotLoadableError, match="found nothing"):
        find_model(tmp_path, Trust())


def test_a_model_that_differs_from_its_manifest_is_refused(registry: ModelRegistry, tmp_path: Path) -> None:
    other = {"name": "other", "dtype": "float32", "shape": [1, 1], "layout": "NC", "meaning": "scores"}
    package = make_package(tmp_path / "p", changes={"outputs": [other]})
    with pytest.raises(NotLoadableError, match=r"its outputs are 'score' .* says 'other'"):
        registry.load("a", package, "p")


def test_a_missing_runtime_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)  # as if it were not installed
    source = find_model(model_folder(tmp_path / "m"), Trust())
    with pytest.raises(NotLoadableError, match="the extra 'onnxruntime'"):
        ModelLoader({Format.ONNX: OnnxRuntimeBackend()}, Trust()).load(source, "m")


def test_a_refusal_that_quotes_what_is_no_text_is_told(registry: ModelRegistry, tmp_path: Path) -> None:
    model = model_folder(tmp_path / "m") / "model.onnx"
    model.write_bytes(model.read_bytes().replace(b"ReduceMean", b"Reduce\xffean"))
    with pytest.raises(NotLoadableError, match=r"OpenVINO cannot load it: No conversion rule .* Reduce\ufffdean"):
        registry.load("a", model.parent, "m")


def test_a_model_that_the_machine_has_no_memory_for(registry: ModelRegistry, tmp_path: Path) -> None:
    import openvino
    from openvino import opset13 as operations

    vast = operations.parameter([1, 10**9, 10**9], openvino.Type.f32, name="picture")
    openvino.save_model(openvino.Model([operations.relu(vast)], [vast], "vast"), tmp_path / "vast.xml")
    with pytest.raises(NoMemoryError, match=r"vast\.xml: this machine has too little memory"):
        registry.load("vast", tmp_path, "ir")


class LateBackend:
    """Takes no memory before the first prediction."""

    name = "late"

    def __init__(self, *sides: int) -> None:
        self._sides = sides

    def load(self, path: Path) -> Net:
        net = OpenVinoBackend().load(path)
        net.inputs = (TensorSpec("picture", np.dtype("float32"), self._sides),)
        return net


@pytest.mark.parametrize("sides", [(1, 10**9, 10**9), (2**31 - 1, 2**31 - 1, 2**31 - 1)])
def test_a_warm_up_that_the_machine_has_no_memory_for(tmp_path: Path, sides: tuple[int, ...]) -> None:
    source = find_model(model_folder(tmp_path / "m"), Trust())
    with pytest.raises(NoMemoryError, match=r"model\.onnx: this machine has too little memory"):
        ModelLoader({Format.ONNX: LateBackend(*sides)}, Trust()).load(source, "m")


def test_openvino_ir_loads_with_its_weights(registry: ModelRegistry, tmp_path: Path) -> None:
    import openvino
    from openvino import opset13 as operations

    picture = operations.parameter([1, 4], openvino.Type.f32, name="picture")
    doubled = operations.multiply(picture, operations.constant(np.full((1, 4), 2, np.float32)))
    openvino.save_model(openvino.Model([doubled], [picture], "double"), tmp_path / "double.xml")
    net = registry.load("double", tmp_path, "ir").model.net
    [output] = net.predict({net.inputs[0].name: np.ones((1, 4), np.float32)}).values()
    assert output.tolist() == [[2, 2, 2, 2]]
