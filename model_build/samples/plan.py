"""What the sample models are: splits, preparations, courses. Change it here and train again; nothing else says it."""

from dataclasses import dataclass

from linewatch_common.manifest import Preparation, Role

from model_build.samples.data import Split
from model_build.samples.generator import KINDS

VERSION = "1.0.0"
INPUT = "picture"  # the name of the input tensor
SOURCE = "generated: model_build.samples (textured surfaces; scratches, cracks, spots, inclusions)"
LICENCE = "the project's own; trained on generated pictures only"
DEMO_SEED = 4001
SPLIT_SEEDS = {"train": 1001, "validation": 2001, "test": 3001}


@dataclass(frozen=True)
class Course:
    """How long and how to train."""

    seed: int
    epochs: int
    batch: int
    rate: float


@dataclass(frozen=True)
class Plan:
    """One sample model, from data to package."""

    name: str
    role: Role
    labels: tuple[str, ...]
    preparation: Preparation
    splits: dict[str, Split]
    course: Course


def _splits(train: int) -> dict[str, Split]:
    seeds = SPLIT_SEEDS
    return {
        "train": Split("train", seeds["train"], train, 0.6),
        "validation": Split("validation", seeds["validation"], 600, 0.3),
        "test": Split("test", seeds["test"], 1000, 0.3),
    }


CLASSIFIER = Plan(
    name="SurfaceClassifier",
    role="classifier",
    labels=("normal", "anomalous"),
    preparation=Preparation(width=224, height=224, resize="squash"),
    splits=_splits(3000),
    course=Course(seed=7, epochs=7, batch=16, rate=3e-3),
)
SEGMENTER = Plan(
    name="SurfaceSegmenter",
    role="segmenter",
    labels=KINDS,
    preparation=Preparation(width=320, height=240, resize="squash"),
    splits=_splits(3000),
    course=Course(seed=7, epochs=9, batch=16, rate=3e-3),
)
