"""From a plan to a package: data, training, export, operating point, figures, golden set."""

from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from linewatch_common.manifest import Manifest, OutputTensor, Thresholds
from torch import nn
from tqdm import tqdm

from model_build.samples.data import Prepared, Split, prepared
from model_build.samples.evaluate import outputs
from model_build.samples.export import export
from model_build.samples.nets import ClassifierGraph, SegmenterGraph
from model_build.samples.operating_point import mask_metrics, mask_thresholds, score_metrics, score_thresholds
from model_build.samples.package import MODEL_FILE, Origin, Result, code_digest, write_package
from model_build.samples.picks import golden_masks, golden_scores
from model_build.samples.plan import Plan
from model_build.samples.train import train_classifier, train_segmenter

FRAMEWORKS = ("numpy", "onnx", "onnxruntime", "opencv-python-headless", "torch")


def build(plan: Plan, folder: Path) -> Manifest:
    """Train the plan's model and put its package in the place of `folder`: the old one stays until the new one is good."""
    origin = Origin(code_digest(), {name: metadata.version(name) for name in FRAMEWORKS})
    splits = {name: _generated(split, plan) for name, split in plan.splits.items()}
    graph = _trained(plan, splits)
    folder.parent.mkdir(parents=True, exist_ok=True)
    preparation, output = plan.preparation, "score" if plan.role == "classifier" else "mask"
    with TemporaryDirectory(dir=folder.parent, prefix=".new-") as place:
        new = Path(place) / plan.name
        new.mkdir()
        export(graph, preparation.height, preparation.width, output, new / MODEL_FILE)
        manifest = write_package(new, _judged(plan, splits, new / MODEL_FILE), origin)
        if folder.exists():
            folder.rename(Path(place) / "old")
        new.rename(folder)
    return manifest


def _generated(split: Split, plan: Plan) -> Prepared:
    bar = tqdm(range(split.pictures), desc=f"generating {split.name}", unit="picture", mininterval=2)
    return prepared(split, plan.preparation, bar)


def _trained(plan: Plan, splits: dict[str, Prepared]) -> nn.Module:
    data, validation = splits["train"], splits["validation"]
    if plan.role == "classifier":
        return ClassifierGraph(train_classifier(data, validation, plan.course)[0])
    return SegmenterGraph(train_segmenter(data, validation, plan.course)[0])


def _judged(plan: Plan, splits: dict[str, Prepared], model: Path) -> Result:
    """The thresholds come from validation data; test data is read once, for the figures."""
    return (_judged_classifier if plan.role == "classifier" else _judged_segmenter)(plan, splits, model)


def _judged_classifier(plan: Plan, splits: dict[str, Prepared], model: Path) -> Result:
    validation, test = splits["validation"], splits["test"]
    scores = np.asarray(outputs(model, validation.pictures, "validation"), np.float32)
    thresholds = score_thresholds(validation.labels, scores[:, 0])
    tested = np.asarray(outputs(model, test.pictures, "test"), np.float32)[:, 0]
    picks = golden_scores(validation.labels, scores[:, 0], thresholds.review, thresholds.fail)
    return Result(
        plan=plan,
        output=OutputTensor(name="score", dtype="float32", shape=(1, 1), layout="NC", meaning="scores"),
        thresholds=Thresholds(score=thresholds),
        metrics=score_metrics(test.labels, tested, thresholds),
        splits=splits,
        golden_pictures=validation.pictures[picks],
        golden_outputs=scores[picks],
    )


def _judged_segmenter(plan: Plan, splits: dict[str, Prepared], model: Path) -> Result:
    validation, test = splits["validation"], splits["test"]
    masks = np.asarray(outputs(model, validation.pictures, "validation"), np.uint8)
    thresholds = mask_thresholds(validation.masks, masks)
    tested = np.asarray(outputs(model, test.pictures, "test"), np.uint8)
    picks = golden_masks(validation, masks, thresholds.pixel)
    metrics = mask_metrics(test.masks, tested, thresholds, plan.labels)
    return Result(
        plan=plan,
        output=OutputTensor(name="mask", dtype="uint8", shape=(1, *masks.shape[1:]), layout="NCHW", meaning="mask"),
        thresholds=Thresholds(mask=thresholds),
        metrics=metrics,
        splits=splits,
        golden_pictures=validation.pictures[picks],
        golden_outputs=masks[picks],
    )
