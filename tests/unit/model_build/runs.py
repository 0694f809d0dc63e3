"""A tiny prepared set and a finished run around any ONNX model, for tests of what comes after training."""

import os
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from linewatch_common.files import write_atomically
from linewatch_common.manifest import Preparation, file_sha256
from numpy.typing import NDArray

from model_build.data.prepare import Preparer, Settings, listed
from model_build.data.prepared import PreparedSet
from model_build.data.readers import reader_for
from model_build.data.records import Options
from model_build.data.splits import SPLITS_FILE, TRAIN, Wish, split, write_splits
from model_build.nets.interface import Framework
from model_build.training.plan import Plan
from model_build.training.predictions import PredictionsFolder
from model_build.training.run import MODEL_FILE, RUN_FILE, VALIDATION, WEIGHTS_FILES, FoldResult, Run, Times
from tests.unit.model_build.pictures import save

HEIGHT, WIDTH = 64, 96
DEFECT = 12


def data_folder(folder: Path, good: int = 16, defective: int = 10, *, weak: bool = False) -> Path:
    """Prepared and split: dark noise; a defective part has a bright square. `weak`: nobody drew where."""
    raw = folder / "raw"
    for number in range(good + defective):
        name = f"{number:03d}.png"
        if number < good:
            save(raw / "normal" / name, _picture(number))
            continue
        top, left = _place(number)
        picture, mask = _picture(number), np.zeros((HEIGHT, WIDTH), np.uint8)
        picture[top : top + DEFECT, left : left + DEFECT] = 170 + 3 * number
        mask[top : top + DEFECT, left : left + DEFECT] = 255
        save(raw / "anomalous" / name, picture)
        if not weak:
            save(raw / "masks" / name, mask)
    records, left_out = listed(reader_for(raw).records(raw, Options()), Settings("any"))
    data = Preparer(folder / "data", Settings("any")).run(records, left_out, iter(records))
    write_splits(folder / "data" / SPLITS_FILE, split(data, Wish(folds=2)))
    return folder / "data"


def run_folder(
    folder: Path,
    data_at: Path,
    model: Path,
    size: tuple[int, int] = (48, 32),
    *,
    weights: bytes | None = None,
    net: str = "inspector",
) -> Path:
    """A finished run whose model.onnx is `model`, input `size` (width, height); out of fold it separates good from defective.

    With `weights` it is a run in TensorFlow. `net` is the name of the net that it says it is.
    """
    data = PreparedSet.open(data_at)
    splits = msgspec.json.decode((data_at / SPLITS_FILE).read_bytes())
    folder.mkdir(parents=True)
    (folder / MODEL_FILE).write_bytes(model.read_bytes())
    framework: Framework = "torch" if weights is None else "tensorflow"
    (folder / WEIGHTS_FILES[framework]).write_bytes(weights or b"weights")
    scores = {name: 0.9 if data.entry(name).defective else 0.1 for name in splits["splits"][TRAIN]}
    digest = file_sha256(folder / MODEL_FILE)
    PredictionsFolder(folder / VALIDATION).finish(digest, data, scores, masks=False)
    run = Run(
        model=net,
        framework=framework,
        start="scratch",
        seed=0,
        data=data.digest,
        splits=splits["checksum"],
        classes=data.index.classes,
        preparation=Preparation(width=size[0], height=size[1], resize="squash"),
        plan=Plan(),
        code="0" * 64,
        versions={},
        folds=(FoldResult(epochs=1, best=1, figures={}),),
        epochs=1,
        times=Times(started="2026-11-22T10:00:00Z", ended="2026-11-22T10:00:01Z", seconds=1, cpu_seconds=1),
        weights=file_sha256(folder / WEIGHTS_FILES[framework]),
        onnx=digest,
    )
    write_atomically(folder / RUN_FILE, msgspec.json.encode(run))
    return folder


def synced(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """The inodes of all that is brought to the disk from now on."""
    found, fsync = set[int](), os.fsync

    def noted(fd: int) -> None:
        found.add(os.fstat(fd).st_ino)
        fsync(fd)

    monkeypatch.setattr(os, "fsync", noted)
    return found


def _picture(seed: int) -> NDArray[np.uint8]:
    coarse = np.random.default_rng(seed).integers(20, 90, (8, 12), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR), np.uint8)


def _place(number: int) -> tuple[int, int]:
    rng = np.random.default_rng([number, 1])
    return int(rng.integers(0, HEIGHT - DEFECT)), int(rng.integers(0, WIDTH - DEFECT))
