"""A verdict on one picture: a classifier, and a segmenter that shows where."""

import math
from dataclasses import dataclass

from linewatch_common.errors import LinewatchError
from linewatch_common.manifest import Manifest
from linewatch_vision.preparation import Prepared, prepare

from linewatch_agent.backends.port import Net
from linewatch_agent.errors import NotLoadableError
from linewatch_agent.loading import LoadedModel
from linewatch_agent.lookout.anomalies import Anomalies, nothing, read_anomalies
from linewatch_agent.lookout.pictures import Picture
from linewatch_agent.tensors import Array

# Lookout rounds before it compares, so that a score shown as equal to the threshold counts as anomalous.
DIGITS = 4


@dataclass(frozen=True, slots=True)
class Verdict:
    """`confidence` is in the verdict, 0 to 1; `score` is the probability of an anomaly. `anomalies` only from a segmenter."""

    is_anomalous: bool
    confidence: float
    score: float
    threshold: float
    anomalies: Anomalies | None


@dataclass(frozen=True, slots=True)
class Stage:
    """A loaded package."""

    net: Net
    manifest: Manifest

    def run(self, picture: Picture) -> tuple[Prepared, dict[str, Array]]:
        """Prepare and predict; what was prepared, and the outputs by name."""
        prepared = prepare(picture, "RGB8", self.manifest.preparation)
        return prepared, self.net.predict({self.manifest.inputs[0].name: prepared.tensor})


@dataclass(frozen=True, slots=True)
class Detector:
    """The classifier decides; the segmenter runs only on what is anomalous, as a normal part has no anomalies to show.

    An inspector is both: what it said about the score holds the mask too.
    """

    classifier: Stage
    segmenter: Stage | None = None

    def detect(self, picture: Picture) -> Verdict:
        """Judge uint8 (H, W, 3), RGB. Raises InputError, and LinewatchError when the model answers with what is no number."""
        manifest = self.classifier.manifest
        threshold = manifest.thresholds.score
        prepared, outputs = self.classifier.run(picture)
        score = float(outputs[manifest.output("scores").name].item())
        if not math.isfinite(score):
            raise LinewatchError(f"{manifest.identifier}: the score is {score}")  # it would compare as normal
        limit = threshold.fail if threshold is not None else 1.0
        anomalous = round(score, DIGITS) >= round(limit, DIGITS)
        anomalies = None
        if self.segmenter is not None:
            if not anomalous:
                anomalies = nothing(prepared.transform)
            elif self.segmenter is self.classifier:
                anomalies = _read(self.segmenter, prepared, outputs)
            else:
                anomalies = _read(self.segmenter, *self.segmenter.run(picture))
        confidence = min(1.0, max(0.0, score if anomalous else 1 - score))
        return Verdict(anomalous, confidence, score, limit, anomalies)


def _read(segmenter: Stage, prepared: Prepared, outputs: dict[str, Array]) -> Anomalies:
    manifest = segmenter.manifest
    mask = outputs[manifest.output("mask").name]
    threshold = manifest.thresholds.mask
    return read_anomalies(mask, manifest.labels, threshold.pixel if threshold else 0.5, prepared.transform)


def detector_of(models: list[LoadedModel]) -> Detector:
    """One classifier and at most one segmenter beside it, or one inspector. Raises NotLoadableError for anything else."""
    stages: dict[str, Stage] = {}
    for model in models:
        if model.manifest is None:
            raise NotLoadableError(
                f"{model.url}: is no linewatch package (no manifest.json), so its outputs have no known meaning"
            )
        if model.manifest.preparation.tiles is not None or model.manifest.preparation.ignore is not None:
            raise NotLoadableError(
                f"{model.url}: has tiles or an ignore mask, which only Inspector serves, not this interface"
            )
        if model.manifest.role in stages:
            raise NotLoadableError(
                f"{model.url}: is a second {model.manifest.role}; name one classifier and at most one segmenter"
            )
        stages[model.manifest.role] = Stage(model.net, model.manifest)
    if set(stages) == {"inspector"}:
        return Detector(stages["inspector"], stages["inspector"])
    if "inspector" in stages:
        raise NotLoadableError("an inspector gives score and mask: name it alone")
    if "classifier" not in stages:
        raise NotLoadableError("no classifier among the model's folders: it gives the verdict")
    return Detector(stages["classifier"], stages.get("segmenter"))
