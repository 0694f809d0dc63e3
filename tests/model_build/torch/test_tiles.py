"""A small defect on a large part: lost when the part is squashed, found by tiles, and judged alike by `predict` and by Inspector."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from linewatch_common.manifest import Tiles, load_manifest

from model_build.__main__ import main
from model_build.compiling.artefact import read_artefact
from model_build.data.prepared import PreparedSet
from model_build.data.records import Mask
from model_build.data.splits import SPLITS_FILE, TEST, read_splits
from model_build.evaluation.predictions import Document, open_predictions
from model_build.evaluation.scores import average_precision
from model_build.training.run import read_run
from tests.model_build.inspecting import inspected
from tests.unit.model_build.pictures import save

SIDE, DEFECT, DEFECTIVE = 320, 6, 18
QUICK = ["--seed", "1", "--pixels", "4096", "--epochs", "6", "--steps", "15", "--batch", "8", "--rate", "0.004"]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)  # on a busy machine two wait for each other


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noisy parts; a defective one has a small bright spot. Its rim of a fixture is outside the region of interest, a label is ignored."""
    folder = tmp_path_factory.mktemp("large")
    for number in range(26 + DEFECTIVE):
        kind = "normal" if number < 26 else "anomalous"
        picture, mask = part(number, defective=kind == "anomalous")
        save(folder / "raw" / kind / f"{number:03d}.png", picture)
        if mask.any():
            save(folder / "raw" / "masks" / f"{number:03d}.png", mask)
    ignored = np.zeros((SIDE, SIDE + 20), np.uint8)
    ignored[:12, 20:60] = 255
    more = ["--region", f"20,0,{SIDE},{SIDE}", "--ignore", str(save(folder / "ignore.png", ignored))]
    raw, out = str(folder / "raw"), str(folder / "data")
    assert main(["prepare", raw, out, "--folds", "2", "--test-share", "0.4", *more]) == 0
    return folder / "data"


def part(number: int, *, defective: bool) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(number)
    width = SIDE + 20
    coarse = rng.integers(90, 150, (3, 3), dtype=np.uint8)
    picture = cv2.resize(coarse, (width, SIDE), interpolation=cv2.INTER_CUBIC) + rng.normal(0, 12, (SIDE, width))
    mask = np.zeros((SIDE, width), np.uint8)
    if defective:
        y, x = int(rng.integers(16, SIDE - DEFECT)), int(rng.integers(20, width - DEFECT))
        picture[y : y + DEFECT, x : x + DEFECT] += 50
        mask[y : y + DEFECT, x : x + DEFECT] = 255
    picture[:, :20] = 255  # the fixture
    return np.clip(picture, 0, 255).astype(np.uint8), mask


@pytest.fixture(scope="module")
def tiled(data: Path) -> Path:
    run = data.parent / "tiled"
    assert main(["train", str(data), str(run), "--tiles", "128,128,16", *QUICK]) == 0
    return run


def said(folder: Path, data: PreparedSet, split: str) -> Document:
    names = read_splits(data.folder / SPLITS_FILE, data).splits[split]
    return open_predictions(folder, data.digest, names, split).document


def image_ap(folder: Path, at: Path) -> float:
    data = PreparedSet.open(at)
    scores = said(folder, data, TEST).scores
    return average_precision(
        np.array([data.entry(name).defective for name in scores]), np.array(list(scores.values()), np.float64)
    )


def test_tiles_find_what_squashing_loses(data: Path, tiled: Path, tmp_path: Path) -> None:
    squashed = tmp_path / "squashed"
    assert main(["train", str(data), str(squashed), *QUICK]) == 0
    inputs = {run: read_run(run).preparation for run in (tiled, squashed)}
    assert {(found.width, found.height, found.resize) for found in inputs.values()} == {(64, 64, "squash")}
    assert inputs[tiled].tiles == Tiles(128, 128, 16)
    found = {}
    for run in (tiled, squashed):
        assert main(["predict", str(run), str(data), str(tmp_path / run.name / "test")]) == 0
        found[run] = image_ap(tmp_path / run.name / "test", data)
    assert found[tiled] >= 0.97
    assert found[squashed] <= 0.8


def test_the_packaged_model_is_judged_by_the_line_as_predicted(data: Path, tiled: Path, tmp_path: Path) -> None:
    """Compiled with calibration tiles, evaluated, packaged; then a real agent and Inspector's judge."""
    int8, test, judged, packages = (tmp_path / name for name in ("int8", "test", "evaluation", "packages"))
    loose = ["--image-ap-loss", "0.1", "--pixel-ap-loss", "1", "--flips", "1"]  # so short a course is brittle
    assert main(["compile", str(tiled), str(int8), "--data", str(data), *loose]) == 0
    calibration = read_artefact(int8).calibration
    assert calibration is not None
    assert calibration.ids
    assert main(["predict", str(tiled), str(data), str(test), "--artefact", str(int8)]) == 0
    validation = str(tiled / "validation")
    assert main(["evaluate", str(data), str(judged), "--validation", validation, "--test", str(test)]) in (0, 1)
    prepared = PreparedSet.open(data)
    scores = said(test, prepared, TEST).scores
    _operate(judged / "evaluation.json", scores, prepared)
    inputs = ["--run", str(tiled), "--evaluation", str(judged), "--data", str(data)]
    assert main(["package", str(int8), str(packages), *inputs, "--name", "Tiled", "--golden", "generated"]) == 0
    package = packages / "Tiled-1-0-0" / "package"
    manifest = load_manifest(package)
    assert manifest.preparation.tiles == Tiles(128, 128, 16)
    assert manifest.preparation.region_of_interest is not None
    assert manifest.preparation.ignore == "ignore.png"
    verdicts = inspected(package, [data / "pictures" / f"{name}.png" for name in scores])
    assert {name: verdict["score"] for name, verdict in verdicts.items()} == pytest.approx(scores, abs=1e-5)
    defective = [name for name in scores if prepared.entry(name).defective]
    failed = {name for name, verdict in verdicts.items() if verdict["outcome"] == "fail"}
    assert sum(name in failed for name in defective) >= 0.8 * len(defective)
    found = [name for name in defective if name in failed]
    located = [name for name in found if covers(verdicts[name]["boxes"][0], prepared.mask(name)[0])]  # the largest
    assert len(located) >= 0.8 * len(found)


def _operate(evaluation: Path, scores: dict[str, float], data: PreparedSet) -> None:
    """After so short a course the folds' thresholds do not fit the final model, and the gate says so: set what separates."""
    found = json.loads(evaluation.read_text())
    good, bad = (
        np.median([scores[name] for name in scores if data.entry(name).defective is kind]) for kind in (False, True)
    )
    threshold = float((good + bad) / 2)
    evaluation.write_text(json.dumps(found | {"refusals": [], "point": {"review": threshold, "fail": threshold}}))


def covers(box: list[int], mask: Mask) -> bool:
    """Whether x, y, width, height meets the defect in the mask."""
    x, y, width, height = box
    return bool(mask[y : y + height, x : x + width].any())
