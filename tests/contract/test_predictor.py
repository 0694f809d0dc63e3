"""What Inspector relies on when it asks for a prediction: the fake of its tests and the real agent keep to it alike."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from linewatch_agent_api.client import AgentClient
from linewatch_common.errors import AgentUnavailableError, InputError
from linewatch_common.manifest import load_manifest
from linewatch_inspector.predictor import AgentPredictor, Predictor

from tests.fakes.predictor import FakePredictor
from tests.unit.agent.support import make_package, running_core, short_folder

SECONDS = 20.0  # a loaded machine; an answer takes milliseconds


@dataclass(frozen=True)
class Served:
    """Somebody who serves a classifier and a segmenter of 4x4 pictures at `endpoint`."""

    predictor: Predictor
    endpoint: str
    classifier: str
    segmenter: str


@pytest.fixture(params=["fake", "agent"])
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    with short_folder() as folder:
        packages = [make_package(folder / role, name=f"Tiny-{role}", role=role) for role in ("classifier", "segmenter")]
        classifier, segmenter = (load_manifest(package) for package in packages)
        if request.param == "fake":
            fake = FakePredictor(classifier, segmenter)
            yield Served(fake, str(folder / "agent.sock"), classifier.identifier, segmenter.identifier)
            return
        work = folder / "agent"
        work.mkdir()
        with running_core(work) as (_, socket), AgentClient(socket) as client:
            for manifest, package in ((classifier, packages[0]), (segmenter, packages[1])):
                client.load(manifest.identifier, package)
            predictor = AgentPredictor()
            yield Served(predictor, str(socket), classifier.identifier, segmenter.identifier)
            predictor.close()


def picture(level: int) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    return {"picture": np.full((1, 4, 4, 3), level, np.uint8)}


@pytest.mark.parametrize("level", [0, 51, 255])
def test_a_classifier_gives_one_score(served: Served, level: int) -> None:
    outputs = served.predictor.predict(served.endpoint, served.classifier, picture(level), SECONDS)
    assert list(outputs) == ["score"]
    assert (outputs["score"].shape, outputs["score"].dtype.name) == ((1, 1), "float32")
    assert float(outputs["score"][0, 0]) == pytest.approx(level / 255, abs=1e-3)


def test_a_segmenter_gives_a_mask(served: Served) -> None:
    spot = picture(0)
    spot["picture"][0, 1, 2] = 255
    mask = served.predictor.predict(served.endpoint, served.segmenter, spot, SECONDS)["mask"]
    assert (mask.shape, mask.dtype.name) == ((1, 1, 4, 4), "uint8")
    assert np.argwhere(mask[0, 0] > 127).tolist() == [[1, 2]]


def test_an_input_of_another_shape_is_the_inputs_fault(served: Served) -> None:
    with pytest.raises(InputError):
        served.predictor.predict(
            served.endpoint, served.classifier, {"picture": np.zeros((1, 8, 8, 3), np.uint8)}, SECONDS
        )


def test_an_input_of_another_name_is_the_inputs_fault(served: Served) -> None:
    with pytest.raises(InputError):
        served.predictor.predict(
            served.endpoint, served.classifier, {"image": np.zeros((1, 4, 4, 3), np.uint8)}, SECONDS
        )


def test_a_model_that_is_not_loaded_may_come_back(served: Served) -> None:
    with pytest.raises(AgentUnavailableError):
        served.predictor.predict(served.endpoint, "Tiny-classifier-9-9-9", picture(0), SECONDS)
    assert served.predictor.predict(served.endpoint, served.classifier, picture(0), SECONDS)


def test_an_agent_that_is_away_may_come_back(tmp_path: Path) -> None:
    predictor = AgentPredictor()
    with pytest.raises(AgentUnavailableError):
        predictor.predict(str(tmp_path / "nobody.sock"), "Tiny-classifier-1-0-0", picture(0), 0.5)
    predictor.close()
    fake = FakePredictor()
    fake.away = True
    with pytest.raises(AgentUnavailableError):
        fake.predict("nobody.sock", "Tiny-classifier-1-0-0", picture(0), 0.5)
