"""One model's course: epochs of learning and judging; the best weights are kept, and every epoch can be the last before a power cut."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from model_build.nets.interface import Learner
from model_build.training.augmentation import batch_of
from model_build.training.checkpoints import Checkpoint, read_checkpoint, write_checkpoint
from model_build.training.judging import judged, merit
from model_build.training.pictures import Pictures
from model_build.training.plan import Plan
from model_build.training.run import Epoch
from model_build.training.sampling import epoch_batches
from model_build.training.synthetic import Painter


@dataclass(frozen=True, slots=True)
class Course:
    """What is learnt, and from what. `fold` None: the final model, which nothing judges, so its last weights are its best."""

    key: str
    plan: Plan
    fold: int | None
    seed: int
    epochs: int
    steps: int
    learns: tuple[str, ...]
    judges: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told: how many steps are done already, of each step's loss, of each epoch once it is on disk."""

    begin: Callable[[int], None]
    step: Callable[[float], None]
    epoch: Callable[[Checkpoint], None]


def follow(course: Course, learner: Learner, pictures: Pictures, file: Path, watch: Watch) -> Checkpoint:
    """Learn to the end, from the checkpoint in `file` where there is one; the learner then holds the best weights.

    Raises InputError, StorageError, FloatingPointError.
    """
    stand = read_checkpoint(file, course.key)
    if stand.state:
        learner.restore(stand.state)
    watch.begin(len(stand.history) * course.steps)
    started = time.process_time()
    while not stand.done and not _finished(course, stand):
        before = stand.cpu_seconds
        stand = _epoch(course, learner, pictures, stand, watch)
        now = time.process_time()
        stand, started = replace(stand, cpu_seconds=before + now - started), now
        write_checkpoint(file, stand)
        watch.epoch(stand)
    if not stand.done:
        stand = replace(stand, done=True, state=b"")
        write_checkpoint(file, stand)
    learner.load(stand.weights)
    return stand


def _finished(course: Course, stand: Checkpoint) -> bool:
    learnt = len(stand.history)
    return learnt >= course.epochs or (bool(course.judges) and learnt - stand.best >= course.plan.patience)


def _epoch(course: Course, learner: Learner, pictures: Pictures, stand: Checkpoint, watch: Watch) -> Checkpoint:
    number, begun = len(stand.history), time.monotonic()
    losses = _learn(course, learner, pictures, number, watch)
    figures = judged(learner, pictures, course.judges) if course.judges else {}
    epoch = Epoch(
        fold=course.fold,
        epoch=number + 1,
        losses=tuple(losses),
        figures=figures,
        seconds=round(time.monotonic() - begun, 2),
    )
    reached = max((merit(before.figures) for before in stand.history), default=-1.0)
    stand = replace(stand, history=(*stand.history, epoch), state=learner.state(), start=learner.start)
    if not course.judges or merit(figures) >= reached:
        stand = replace(stand, best=number + 1, weights=learner.weights())
    return stand


def _learn(course: Course, learner: Learner, pictures: Pictures, number: int, watch: Watch) -> list[float]:
    rng, plan = np.random.default_rng((course.seed, number)), course.plan
    painter = Painter(pictures.preparation, plan.synthetic)
    losses = []
    good, defective = pictures.kinds(course.learns)
    batches = epoch_batches(good, defective, steps=course.steps, batch=plan.batch, seed=course.seed, epoch=number)
    for names in batches:
        looks = [painter.painted(pictures.look(name), rng) for name in names]
        losses.append(learner.learn(batch_of(looks, plan.augmentation, rng)))
        watch.step(losses[-1])
    return losses
