"""A TensorFlow Lite model through the agent."""

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from linewatch_agent_api.client import AgentClient
from linewatch_agent_api.errors import AgentRefusedError

from tests.unit.agent.support import MODELS, running_core, short_folder


def test_a_tflite_model_is_loaded_and_predicts() -> None:
    pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
    with short_folder() as folder, running_core(folder) as (_, socket), AgentClient(socket) as client:
        client.load("lite", _model(folder))
        picture = np.full((1, 4, 4, 3), 51, np.uint8)
        assert client.predict("lite", {"picture": picture})["score"].item() == pytest.approx(0.2)


def test_names_that_are_no_text_are_refused() -> None:
    pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
    with short_folder() as folder, running_core(folder) as (_, socket), AgentClient(socket) as client:
        model = _model(folder) / "score.tflite"
        model.write_bytes(model.read_bytes().replace(b"picture", b"pict\xffre"))
        with pytest.raises(AgentRefusedError, match=r"LiteRT cannot load it: .*codec can't decode") as refused:
            client.load("lite", model.parent)
        assert refused.value.code == "FAILED_PRECONDITION"


def test_without_the_extra_it_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with short_folder() as folder, running_core(folder) as (_, socket), AgentClient(socket) as client:
        with pytest.raises(AgentRefusedError, match="extra 'litert'") as refused:
            client.load("lite", _model(folder))
        assert refused.value.code == "FAILED_PRECONDITION"


def _model(folder: Path) -> Path:
    place = Path(tempfile.mkdtemp(dir=folder))
    shutil.copy(MODELS / "score.tflite", place)
    return place
