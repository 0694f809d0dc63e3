"""A package that fills both roles: proved, served beside the two others, judged for Lookout's clients by one prediction."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from linewatch_agent.backends.openvino_backend import OpenVinoBackend
from linewatch_agent.errors import NotLoadableError
from linewatch_agent.folders import Format, find_model
from linewatch_agent.loading import LoadedModel, ModelLoader
from linewatch_agent.lookout.detector import detector_of
from linewatch_agent.trust import Trust
from linewatch_common.messages.models import ModelActivated, ModelProved

from tests.unit.agent.support import make_package, offer_of
from tests.unit.agent.test_roles import Bench


def loaded(folder: Path) -> LoadedModel:
    loader = ModelLoader({Format.ONNX: OpenVinoBackend(1), Format.IR: OpenVinoBackend(1)}, Trust())
    return loader.load(loader.find(folder), str(folder))


def test_it_is_proved_and_served_beside_classifier_and_segmenter(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "work")
    both = make_package(tmp_path / "i", name="Both", role="inspector")
    answer = bench.roles.answer(offer_of(both, trial=True))
    assert isinstance(answer, ModelProved)
    assert answer.golden_samples == 3
    for folder in (make_package(tmp_path / "c"), make_package(tmp_path / "s", name="Mask", role="segmenter"), both):
        assert isinstance(bench.roles.answer(offer_of(folder)), ModelActivated)
    assert bench.serving == {"classifier": "Tiny-1-0-0", "segmenter": "Mask-1-0-0", "inspector": "Both-1-0-0"}
    assert Bench(bench.work).serving == bench.serving


class Counting:
    """Counts the predictions of the net inside."""

    def __init__(self, net: Any) -> None:
        self.net, self.calls = net, 0
        self.inputs, self.outputs = net.inputs, net.outputs
        self.outside_bytes, self.ended = 0, ""

    def predict(self, inputs: Any) -> Any:
        self.calls += 1
        return self.net.predict(inputs)


def test_lookouts_clients_get_verdict_and_areas_from_one_prediction(tmp_path: Path) -> None:
    model = loaded(make_package(tmp_path / "i", role="inspector"))
    counting = Counting(model.net)
    detector = detector_of([LoadedModel(model.url, counting, 0, model.manifest)])
    picture = np.zeros((32, 48, 3), np.uint8)
    picture[:16] = 255
    verdict = detector.detect(picture)
    assert (verdict.is_anomalous, counting.calls) == (True, 1)
    assert verdict.anomalies is not None
    assert [(area.name, area.share) for area in verdict.anomalies.areas] == [("background", 0.5), ("scratch", 0.5)]
    assert not detector.detect(np.zeros((32, 48, 3), np.uint8)).is_anomalous


def test_lookouts_interface_refuses_what_it_would_not_honour(tmp_path: Path) -> None:
    both = loaded(make_package(tmp_path / "i", role="inspector"))
    with pytest.raises(NotLoadableError, match="name it alone"):
        detector_of([both, loaded(make_package(tmp_path / "c"))])
    tiles = {"width": 48, "height": 32, "resize": "squash", "tiles": {"width": 48, "height": 32, "overlap": 8}}
    tiled = loaded(make_package(tmp_path / "t", role="inspector", changes={"preparation": tiles}))
    with pytest.raises(NotLoadableError, match="has tiles or an ignore mask"):
        detector_of([tiled])


def test_the_runtime_follows_the_manifest_and_a_missing_one_is_named(tmp_path: Path) -> None:
    folder = make_package(tmp_path / "n", role="inspector")
    (folder / "model.onnx").rename(folder / "compiled.so")
    manifest = (folder / "manifest.json").read_text().replace("model.onnx", "compiled.so")
    (folder / "manifest.json").write_text(manifest.replace('"format": "onnx"', '"format": "neo"'))
    assert find_model(folder, Trust()).format is Format.NEO
    with pytest.raises(NotLoadableError, match="no runtime for Neo models"):
        loaded(folder)
