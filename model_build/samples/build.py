"""From a plan to a package: data, training, export, operating point, figures, golden set."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from linewatch_common.errors import InputError
from linewatch_common.manifest import Manifest, OutputTensor, Thresholds
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

from model_build.samples import evaluate
from model_build.samples.data import Prepared, Split, prepared
from model_build.samples.export import export
from model_build.samples.nets import ClassifierGraph, SegmenterGraph
from model_build.samples.package import MODEL_FILE, Result, write_package
from model_build.samples.plan import Plan
from model_build.samples.train import train_classifier, train_segmenter

GOLDEN_MARGIN = 0.1  # a golden score lies at least this far from both thresholds, so tolerance cannot turn a decision


def build(plan: Plan, folder: Path) -> Manifest:
    """Train the plan's model and put its package in the place of `folder`: the old one stays until the new one is good."""
    splits = {name: _generated(split, plan) for name, split in plan.splits.items()}
    graph = _trained(plan, splits)
    folder.parent.mkdir(parents=True, exist_ok=True)
    preparation, output = plan.preparation, "score" if plan.role == "classifier" else "mask"
    with TemporaryDirectory(dir=folder.parent, prefix=".new-") as place:
        new = Path(place) / plan.name
        new.mkdir()
        export(graph, preparation.height, preparation.width, output, new / MODEL_FILE)
        manifest = write_package(new, _judged(plan, splits, new / MODEL_FILE))
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
    scores = np.asarray(evaluate.outputs(model, validation.pictures, "validation"), np.float32)
    thresholds = evaluate.score_thresholds(validation.labels, scores[:, 0])
    tested = np.asarray(evaluate.outputs(model, test.pictures, "test"), np.float32)[:, 0]
    picks = _golden_scores(validation.labels, scores[:, 0], thresholds.review, thresholds.fail)
    return Result(
        plan=plan,
        output=OutputTensor(name="score", dtype="float32", shape=(1, 1), layout="NC", meaning="scores"),
        thresholds=Thresholds(score=thresholds),
        metrics=evaluate.score_metrics(test.labels, tested, thresholds),
        splits=splits,
        golden_pictures=validation.pictures[picks],
        golden_outputs=scores[picks],
    )


def _judged_segmenter(plan: Plan, splits: dict[str, Prepared], model: Path) -> Result:
    validation, test = splits["validation"], splits["test"]
    masks = np.asarray(evaluate.outputs(model, validation.pictures, "validation"), np.uint8)
    thresholds = evaluate.mask_thresholds(validation.masks, masks)
    tested = np.asarray(evaluate.outputs(model, test.pictures, "test"), np.uint8)
    picks = _golden_masks(validation, masks, thresholds.pixel)
    metrics = evaluate.mask_metrics(test.masks, tested, thresholds, plan.labels)
    return Result(
        plan=plan,
        output=OutputTensor(name="mask", dtype="uint8", shape=(1, *masks.shape[1:]), layout="NCHW", meaning="mask"),
        thresholds=Thresholds(mask=thresholds),
        metrics=metrics,
        splits=splits,
        golden_pictures=validation.pictures[picks],
        golden_outputs=masks[picks],
    )


def _golden_scores(labels: NDArray[np.bool_], scores: evaluate.Scores, low: float, high: float) -> NDArray[np.int64]:
    """Rightly judged pictures whose scores lie well away from both thresholds, half of them defective."""
    margin = np.minimum(np.abs(scores - low), np.abs(scores - high))
    right = (labels & (scores >= high)) | (~labels & (scores < low))
    order = np.argsort(-margin, kind="stable")
    usable = order[(right & (margin >= GOLDEN_MARGIN))[order]]
    return np.concatenate([_spread(usable[~labels[usable]]), _spread(usable[labels[usable]])])


def _spread(order: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first, a middle and the last: saturated scores alone would hide a broken runtime."""
    if not order.size:
        raise InputError("no picture is judged clearly enough for a golden set: the model has learnt nothing")
    return order[[0, len(order) // 2, len(order) - 1]]


def _golden_masks(data: Prepared, masks: NDArray[np.uint8], pixel: float) -> NDArray[np.int64]:
    """A good picture, and of each kind, rightly named, the one whose mask changes least with the threshold."""
    value, cut = masks.max(axis=1), pixel * 255
    lax, strict = (value >= cut * 0.9).sum(axis=(1, 2)), (value >= cut * 1.1).sum(axis=(1, 2))
    stable = strict / np.maximum(1, lax)
    named = np.array([_kind(mask, cut) for mask in masks])
    picks = [int(np.flatnonzero(~data.labels & (lax == 0))[0])]
    for kind in range(1, masks.shape[1] + 1):
        only = ~((data.masks > 0) & (data.masks != kind)).any(axis=(1, 2)) & data.labels & (named == kind)
        picks.append(int(np.argmax(np.where(only, stable, -1))))
    return np.array(picks)


def _kind(mask: NDArray[np.uint8], cut: float) -> int:
    """The kind, from 1, with the largest sum over the defective cells of a mask (kinds, H, W); 0 without any."""
    defective = mask.max(axis=0) >= cut
    return int(mask[:, defective].sum(axis=1, dtype=np.int64).argmax()) + 1 if defective.any() else 0
