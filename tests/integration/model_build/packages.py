"""A run, what was compiled from it, and its evaluation, by their contracts, from one tiny net and no training."""

import shutil
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
from linewatch_common.manifest import Preparation, Tiles, file_sha256
from numpy.typing import NDArray

from model_build.__main__ import main
from model_build.compiling.artefact import Artefact, Source, Tolerance, write_artefact
from model_build.data.prepared import PreparedSet
from model_build.data.splits import SPLITS_FILE, read_splits
from model_build.training.plan import Plan
from model_build.training.run import MODEL_FILE, RUN_FILE, Run, Times
from tests.unit.model_build.pictures import save

NET = (
    Path(__file__).parents[2] / "data" / "models" / "inspector.onnx"
)  # its mask is the brightness, its score the brightest cell
WIDTH, HEIGHT = 48, 32


def part(number: int, *, defective: bool) -> NDArray[np.uint8]:
    """A dark part; a defect is bright."""
    dark = np.random.default_rng(number).integers(0, 80, (8, 12), dtype=np.uint8)
    picture = np.asarray(cv2.resize(dark, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST), np.uint8)
    if defective:
        picture[8:16, 16:28] = 200 + number % 30
    return picture


def prepared(folder: Path, *, ignore: bool = False) -> Path:
    """A prepared folder of 14 good and 8 defective parts, with splits."""
    raw = folder / "raw"
    for number in range(22):
        defective = number >= 14
        save(raw / ("anomalous" if defective else "normal") / f"{number:03d}.png", part(number, defective=defective))
        if defective:
            mask = np.zeros((HEIGHT, WIDTH), np.uint8)
            mask[8:16, 16:28] = 255
            save(raw / "masks" / f"{number:03d}.png", mask)
    extra = []
    if ignore:
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[:4] = 255
        extra = ["--ignore", str(save(folder / "ignore.png", mask))]
    assert main(["prepare", str(raw), str(folder / "data"), *extra]) == 0
    return folder / "data"


def trained(folder: Path, data: Path, tiles: Tiles | None = None) -> Path:
    """A finished run whose float model is the tiny net."""
    run = folder / "run"
    run.mkdir(parents=True)
    shutil.copyfile(NET, run / MODEL_FILE)
    opened = PreparedSet.open(data)
    document = Run(
        model="inspector",
        framework="torch",
        start="scratch",
        seed=3,
        data=opened.digest,
        splits=read_splits(data / SPLITS_FILE, opened).checksum,
        classes=opened.index.classes,
        preparation=Preparation(width=WIDTH, height=HEIGHT, resize="squash", tiles=tiles),
        plan=Plan(),
        code="c" * 64,
        versions={"torch": "2.0"},
        folds=(),
        epochs=3,
        times=Times(started="2026-11-22T09:00:00.000Z", ended="2026-11-22T10:00:00.000Z", seconds=1.0, cpu_seconds=1.0),
        weights="a" * 64,
        onnx=file_sha256(NET),
    )
    (run / RUN_FILE).write_bytes(msgspec.json.encode(document))
    return run


def compiled(folder: Path, run: Path) -> Path:
    """The float model as an artefact of the target `onnx`."""
    place = folder / "artefact"
    place.mkdir(parents=True)
    shutil.copyfile(run / MODEL_FILE, place / MODEL_FILE)
    digest = file_sha256(NET)
    write_artefact(
        place,
        Artefact(
            target="onnx",
            format="onnx",
            recipe="float",
            model=MODEL_FILE,
            files={MODEL_FILE: digest},
            source=Source(net="inspector", weights="a" * 64, onnx=digest, data="d" * 64, splits="e" * 64),
            calibration=None,
            comparison=None,
            tolerance=Tolerance(),
            tried=(),
            versions={"openvino": "1"},
        ),
    )
    (place / "latency.json").write_text("{}")
    return place


def evaluated(folder: Path, data: Path, **changes: Any) -> Path:
    """An evaluation.json with thresholds between dark and bright."""
    opened = PreparedSet.open(data)
    found: dict[str, Any] = {
        "schema": "linewatch.Evaluation/1",
        "refusals": [],
        "model": file_sha256(NET),
        "data": opened.digest,
        "splits": read_splits(data / SPLITS_FILE, opened).checksum,
        "image_ap": 0.99,
        "auroc": 0.995,
        "point": {"review": 0.45, "fail": 0.55},
        "outcome": {"defective": 4, "good": 8, "escapes": 1, "false_rejects": 2, "reviews": 3},
        "pixel": {"ap": {"value": 0.9, "low": 0.9, "high": 0.9}, "cut": 0.5, "iou": 0.8, "recall": []},
    }
    path = folder / "evaluation" / "evaluation.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(found | changes))
    return path.parent


class Chain:
    """All of it in one folder, and the command line that makes a package of it."""

    def __init__(self, folder: Path, *, ignore: bool = False, tiles: Tiles | None = None) -> None:
        self.folder = folder
        self.data = prepared(folder, ignore=ignore)
        self.run = trained(folder, self.data, tiles)
        self.artefact = compiled(folder, self.run)
        self.evaluation = evaluated(folder, self.data)
        self.out = folder / "packages"

    def package(self, *more: str, name: str = "TinyInspector", golden: str = "validation") -> int:
        """`package` with these; the exit code."""
        inputs = ["--run", str(self.run), "--evaluation", str(self.evaluation), "--data", str(self.data)]
        return main(["package", str(self.artefact), str(self.out), *inputs, "--name", name, "--golden", golden, *more])
