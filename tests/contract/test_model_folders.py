"""What a client may load: every kind of folder gives a model, or one clear line, and the next request works."""

import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from linewatch_agent.backends.dlr.backend import DlrBackend, installed_runtime
from linewatch_agent.backends.litert_backend import LiteRtBackend
from linewatch_agent.backends.openvino_backend import OpenVinoBackend
from linewatch_agent.backends.port import Backend
from linewatch_agent.errors import NothingThereError, NotLoadableError
from linewatch_agent.folders import Format, find_model
from linewatch_agent.loading import ModelLoader
from linewatch_agent.trust import Trust
from linewatch_agent_api.client import AgentClient
from linewatch_agent_api.errors import AgentRefusedError
from linewatch_common.manifest import file_sha256

from tests.unit.agent.support import MODELS, make_package, model_folder, running_core, short_folder

PICTURE = np.full((1, 4, 4, 3), 51, np.uint8)
TRAINED = MODELS / "trained"  # made by tests/data/make_keras.py
NUMBERS = itertools.count()  # for names: a model that is loaded stays
STAGE = "supervised_multi_head_model"

needs_dlr = pytest.mark.skipif(installed_runtime() is None, reason="the extra dlr is not installed")


@pytest.fixture(scope="module")
def agent() -> Iterator[tuple[AgentClient, Path]]:
    with short_folder() as folder, running_core(folder) as (_, socket), AgentClient(socket) as client:
        yield client, folder


@pytest.fixture
def place(agent: tuple[AgentClient, Path]) -> Path:
    """A new folder that the agent may read."""
    return Path(tempfile.mkdtemp(dir=agent[1]))


def saved_model(folder: Path) -> Path:
    return Path(shutil.copytree(TRAINED / "saved_model", folder))


def neo(folder: Path) -> Path:
    return Path(shutil.copytree(MODELS / "neo" / "score", folder))


def edge_package(folder: Path) -> Path:
    """What the original's packaging job makes of a Neo result."""
    neo(folder)
    (folder / "sagemaker_edge_manifest").write_text('{"metadata": {"model_name": "score", "model_version": "1.0"}}')
    (folder / "dlr.h").write_text("")
    library = installed_runtime()
    assert library is not None
    shutil.copy(library, folder / "libdlr.so")
    return folder


def dda(
    folder: Path, make: Callable[[Path], Path] = model_folder, stages: tuple[str, ...] = (STAGE,), **top: Any
) -> Path:
    """A package of AWS's Defect Detection Application with one folder a stage."""
    folder.mkdir()
    for stage in stages:
        make(folder / stage)
    graph = {
        "model_graph_type": "single_stage_model_graph",
        "image_level_classes": {"names": ["normal", "anomaly"], "normal_ids": [0]},
        "stages": [{"type": stage, "threshold": 0.5, "image_width": 4, "normalize": True} for stage in stages],
    }
    manifest = {"model_graph": graph, "dataset": {"image_width": 4, "image_height": 4}, **top}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def neo_package(folder: Path) -> Path:
    make_package(folder)
    (folder / "model.onnx").unlink()
    shutil.copytree(MODELS / "neo" / "score", folder, dirs_exist_ok=True)
    manifest = json.loads((folder / "manifest.json").read_text())
    files = {path.name: file_sha256(path) for path in folder.iterdir() if path.name != "manifest.json"}
    changed = {**manifest, "format": "neo", "model": "compiled.so", "files": files}
    (folder / "manifest.json").write_text(json.dumps(changed))
    return folder


@pytest.mark.parametrize(
    "make",
    [
        dda,
        lambda folder: dda(folder, runtime="onnx", runtime_artifact="model.onnx", device="cpu", task="anomaly"),
        lambda folder: dda(folder, device="tensorrt", runtime="ONNX"),
        pytest.param(lambda folder: dda(folder, neo), marks=needs_dlr),
        pytest.param(neo_package, marks=needs_dlr),
        pytest.param(neo, marks=needs_dlr),
        pytest.param(edge_package, marks=needs_dlr),
    ],
    ids=["dda", "dda-onnx", "dda-gpu", "dda-neo", "package-neo", "neo", "edge-manager"],
)
def test_it_is_loaded_and_predicts(agent: tuple[AgentClient, Path], place: Path, make: Callable[[Path], Path]) -> None:
    client, _ = agent
    name = f"model-{next(NUMBERS)}"
    client.load(name, make(place / "model"))
    assert client.predict(name, {"picture": PICTURE})["score"].item() == pytest.approx(0.2)


def test_a_saved_model_keeps_its_signatures_names(agent: tuple[AgentClient, Path], place: Path) -> None:
    client, _ = agent
    model = client.load("saved", saved_model(place / "model"))
    assert [tensor.name for tensor in (*model.inputs, *model.outputs)] == ["image", "mask"]


def test_a_saved_models_weights_may_lie_in_variables(agent: tuple[AgentClient, Path], place: Path) -> None:
    client, _ = agent
    folder = Path(shutil.copytree(TRAINED / "variables", place / "model"))
    client.load("weighted", folder)
    # Nothing of it is mapped: a file that is cut short under us would be a SIGBUS.
    os.truncate(folder / "variables" / "variables.data-00000-of-00001", 0)
    image = np.random.default_rng(1).random((2, 4, 4, 3), np.float32)
    outputs = client.predict("weighted", {"image": image})
    weights = np.array([[1, -1], [0.5, 2], [0, 3]], np.float32)
    assert np.allclose(outputs["score"], image.mean(axis=(1, 2)) @ weights, rtol=0, atol=1e-6)
    assert np.allclose(outputs["total"], image.sum(axis=(1, 2, 3)), rtol=1e-6)


def _changed(make: Callable[[Path], Path], **files: bytes | None) -> Callable[[Path], Path]:
    """`make`'s folder with files ("__" stands for the dot) written, or removed."""

    def made(folder: Path) -> Path:
        make(folder)
        for key, content in files.items():
            path = folder / key.replace("__", ".")
            if content is None:
                path.unlink()
            else:
                path.write_bytes(content)
        return folder

    return made


def _without_variables(folder: Path) -> Path:
    shutil.copytree(TRAINED / "variables", folder)
    shutil.rmtree(folder / "variables")
    return folder


def _cut_variables(folder: Path) -> Path:
    shutil.copytree(TRAINED / "variables", folder)
    os.truncate(folder / "variables" / "variables.data-00000-of-00001", 8)
    return folder


def _emptied(stage: Path) -> Path:
    stage.mkdir()
    return stage


def _with_pipe(folder: Path) -> Path:
    model_folder(folder)
    os.mkfifo(folder / "manifest.json")
    return folder


def _linked_stage(folder: Path) -> Path:
    dda(folder)
    (folder / STAGE).rename(folder.parent / "elsewhere")
    (folder / STAGE).symlink_to(folder.parent / "elsewhere")
    return folder


REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "saved model and onnx": (_changed(saved_model, model__onnx=b""), "several models (model.onnx, saved_model.pb)"),
    "saved model and tflite": (_changed(saved_model, a__tflite=b""), "several models (a.tflite, saved_model.pb)"),
    "neo and tflite": (_changed(neo, model__tflite=b""), "several models (compiled.so, model.tflite)"),
    "neo and saved model": (_changed(neo, saved_model__pb=b""), "several models (compiled.so, saved_model.pb)"),
    "saved model without its variables": (_without_variables, "Variable or resource `Variable` is not initialized"),
    "saved model with cut variables": (_cut_variables, "OpenVINO cannot load it: "),
    "rubbish as saved model": (_changed(saved_model, saved_model__pb=b"rubbish"), "OpenVINO cannot load it"),
    "empty saved model": (_changed(saved_model, saved_model__pb=b""), "OpenVINO cannot load it"),
    "a pipe for a manifest": (_with_pipe, "manifest.json: is not a file"),
    "a model one level below": (lambda folder: model_folder(folder / "unpacked").parent, "found unpacked/"),
    "dda for torch": (lambda folder: dda(folder, runtime="pytorch"), "wants the runtime 'pytorch'"),
    "dda of two stages": (lambda folder: dda(folder, stages=("one", "two")), "has 2 stages (one, two)"),
    "dda without stages": (lambda folder: dda(folder, stages=()), "its stage has no type that names a folder"),
    "dda that leads out": (
        lambda folder: dda(folder, model_graph={"stages": [{"type": "../x"}]}),
        "no type that names",
    ),
    "dda of another form": (lambda folder: dda(folder, model_graph=[1]), "a DDA package's manifest, but Expected"),
    "dda's stage is gone": (
        lambda folder: dda(folder, model_graph={"stages": [{"type": "x"}]}),
        "no such folder in it",
    ),
    "dda's stage is a link": (_linked_stage, "no such folder in it"),
    "dda's stage is empty": (lambda folder: dda(folder, _emptied), "no model in it"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_is_one_line_and_the_next_request_works(
    agent: tuple[AgentClient, Path], place: Path, case: str
) -> None:
    client, _ = agent
    make, reason = REFUSED[case]
    with pytest.raises(AgentRefusedError) as refused:
        client.load("wrong", make(place / "model"))
    assert refused.value.code == "FAILED_PRECONDITION"
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)
    name = f"right-{next(NUMBERS)}"
    client.load(name, model_folder(place / "right"))
    assert client.predict(name, {"picture": PICTURE})["score"].item() == pytest.approx(0.2)


@pytest.mark.parametrize("name", ["\udcff.onnx", "two\nlines.onnx", "\udcff", "\udcff.so"], ids=ascii)
def test_names_of_files_that_are_no_text_are_refused_in_one_line(
    agent: tuple[AgentClient, Path], place: Path, name: str
) -> None:
    client, _ = agent
    shutil.copy(MODELS / "neo" / "score" / "compiled.so", place / name)
    with pytest.raises(AgentRefusedError, match=r"^[ -~]+$") as refused:
        client.load("wrong", place)
    assert refused.value.code == "FAILED_PRECONDITION"


def test_where_signatures_are_due_a_dda_package_is_none(tmp_path: Path) -> None:
    with pytest.raises(NotLoadableError, match="not signed, and RequireSignature is on"):
        find_model(dda(tmp_path / "model"), Trust(required=True))


class Vanishing:
    """A runtime whose model's folder goes at the moment at which it reads it."""

    def __init__(self, backend: Backend) -> None:
        self.name, self._backend = backend.name, backend

    def load(self, path: Path) -> Any:
        shutil.rmtree(path.parent)
        return self._backend.load(path)


@pytest.mark.parametrize(
    ("make", "kind", "backend"),
    [
        (model_folder, Format.ONNX, OpenVinoBackend(1)),
        (saved_model, Format.SAVED_MODEL, OpenVinoBackend(1)),
        pytest.param(neo, Format.NEO, DlrBackend(1), marks=needs_dlr),
        (_changed(model_folder, model__onnx=None, model__tflite=b"TFL3"), Format.TFLITE, LiteRtBackend(1)),
    ],
)
def test_a_folder_that_goes_during_the_load_is_not_found(
    agent: tuple[AgentClient, Path], place: Path, make: Callable[[Path], Path], kind: Format, backend: Backend
) -> None:
    if kind is Format.TFLITE:
        pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
    loader = ModelLoader({kind: Vanishing(backend)}, Trust())
    with pytest.raises(NothingThereError) as gone:
        loader.load(loader.find(make(place / "model")), "url")
    assert "\n" not in str(gone.value)
