"""A whole run: a model a fold, then the final one; interrupted anywhere it goes on where it was."""

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import msgspec
import numpy as np
from linewatch_common.clock import utc_now
from linewatch_common.errors import InputError, StorageError
from linewatch_common.files import write_atomically
from linewatch_common.manifest import Tiles, file_sha256

from model_build.data.pixels import read_bounded
from model_build.data.prepared import PreparedSet
from model_build.data.splits import TRAIN, Splits
from model_build.nets.interface import Learner, Net, Setup
from model_build.training.checkpoints import Checkpoint
from model_build.training.code import code_digest, versions
from model_build.training.course import Course, Watch, follow
from model_build.training.judging import cut_to_picture, said_of, score_of
from model_build.training.plan import Plan
from model_build.training.predictions import PredictionsFolder
from model_build.training.run import (
    HISTORY_FILE,
    MODEL_FILE,
    RUN_FILE,
    VALIDATION,
    WEIGHTS_FILES,
    WORK,
    Epoch,
    FoldResult,
    Run,
    Times,
)
from model_build.training.tiled import pictures_for, seen_sizes, teaches

_BEGUN_FILE = "begun.json"
_SEEDS = 1000  # courses of one run have seeds of their own


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted. `tiles`: the net sees pieces of that size instead of whole pictures."""

    net: Net
    plan: Plan
    seed: int
    tiles: Tiles | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """Who is told: of a course (its name, steps done, steps in all), of each step's loss, of each epoch."""

    begin: Callable[[str, int, int], None]
    step: Callable[[float], None]
    epoch: Callable[[Epoch], None]


class _Begun(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An unfinished run: `key` is the digest of everything it depends on."""

    key: str
    started: str


class Session:
    """Trains into a folder. `make` gives a fresh learner."""

    def __init__(
        self, data: PreparedSet, splits: Splits, order: Order, folder: Path, make: Callable[[Setup], Learner]
    ) -> None:
        self._data, self._splits, self._order, self._folder, self._make = data, splits, order, folder, make
        entries = [data.entry(name) for name in splits.splits[TRAIN]]
        region = data.index.region
        sizes = [(entry.width, entry.height) if region is None else (region.width, region.height) for entry in entries]
        preparation = order.net.preparation(seen_sizes(sizes, order.tiles), order.plan.pixels)
        self._preparation = msgspec.structs.replace(preparation, region_of_interest=region, tiles=order.tiles)
        defective = [entry.id for entry in entries if entry.defective and teaches(entry, order.tiles)]
        plan = order.plan.for_data(len(defective), preparation.width * preparation.height)
        self._plan = msgspec.structs.replace(plan, synthetic=0.0) if order.net.good_only else plan
        self._pictures = pictures_for(data, self._preparation)
        self._unused = (
            {entry.id for entry in entries if entry.defective}
            if order.net.good_only
            else _unused(defective, self._plan.defects, order.seed)
        )
        parts = (order.net.name, order.seed, self._plan, self._preparation, data.digest, splits.checksum)
        self._key = hashlib.sha256(msgspec.json.encode(parts)).hexdigest()

    def run(self, report: Report, *, resume: bool) -> Run:
        """Train to the end. Raises InputError, StorageError, FloatingPointError."""
        if (self._folder / RUN_FILE).exists():
            raise InputError(f"{self._folder}: holds a finished run; give another folder")
        begun = self._begin(resume=resume)
        ended: list[Checkpoint] = []
        for fold, names in enumerate(self._splits.folds):
            learner, end = self._course(fold, self._fold_epochs, ended, report)
            self._predict(learner, fold, names)
            ended.append(end)
        learner, end = self._course(None, self._final_epochs(ended), ended, report)
        return self._finish(learner, [*ended, end], begun)

    @property
    def _fold_epochs(self) -> int:
        return max(1, round(self._plan.epochs * self._plan.fold_share))

    def _final_epochs(self, folds: list[Checkpoint]) -> int:
        """As much of the full course as the folds found best, but half of it: a lucky early epoch must not cut it short."""
        share = median(fold.best / self._fold_epochs for fold in folds)
        return max(1, round(self._plan.epochs * max(0.5, share)))

    def _begin(self, *, resume: bool) -> _Begun:
        work, path = self._folder / WORK, self._folder / WORK / _BEGUN_FILE
        if path.exists():
            if not resume:
                raise InputError(f"{self._folder}: holds an unfinished run; --resume goes on with it")
            return _read_begun(path, self._key)
        try:
            work.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{work}: cannot make the folder: {error.strerror}") from error
        begun = _Begun(key=self._key, started=utc_now())
        write_atomically(path, msgspec.json.encode(begun), mode=0o644)
        return begun

    def _course(
        self, fold: int | None, epochs: int, before: list[Checkpoint], report: Report
    ) -> tuple[Learner, Checkpoint]:
        """Follow one course; the learner holds its best weights."""
        held = self._splits.folds[fold] if fold is not None else ()
        left = set(held) | self._unused
        course = Course(
            key=f"{self._key}/{fold}/{epochs}",
            plan=self._plan,
            fold=fold,
            seed=self._order.seed * _SEEDS + (_SEEDS - 1 if fold is None else fold),
            epochs=epochs,
            steps=self._plan.steps,
            learns=tuple(name for name in self._splits.splits[TRAIN] if name not in left),
            judges=held,
        )
        learner = self._make(self._setup(course))
        file = self._folder / WORK / f"{'final' if fold is None else f'fold-{fold}'}.checkpoint"

        name = "final" if fold is None else f"fold {fold + 1} of {len(self._splits.folds)}"

        def told(stand: Checkpoint) -> None:
            self._write_history([*before, stand])
            report.epoch(stand.history[-1])

        watch = Watch(lambda done: report.begin(name, done, epochs * course.steps), report.step, told)
        return learner, follow(course, learner, self._pictures, file, watch)

    def _setup(self, course: Course) -> Setup:
        return Setup(
            net=self._order.net,
            classes=len(self._data.index.classes),
            width=self._preparation.width,
            height=self._preparation.height,
            seed=course.seed,
            steps=course.epochs * course.steps,
            rate=self._plan.rate,
            weight_decay=self._plan.weight_decay,
            average=self._plan.average,
        )

    def _write_history(self, courses: list[Checkpoint]) -> None:
        lines = [msgspec.json.encode(epoch) + b"\n" for course in courses for epoch in course.history]
        write_atomically(self._folder / HISTORY_FILE, b"".join(lines), mode=0o644)

    def _predict(self, learner: Learner, fold: int, names: tuple[str, ...]) -> None:
        """Out of fold: what the fold's best weights say of the pictures that they did not see."""
        path = self._scores_file(fold)
        if path.exists():
            return
        folder, scores = PredictionsFolder(self._folder / WORK / VALIDATION), {}
        for name, look, said in said_of(learner, self._pictures, names):
            scores[name] = score_of(said)
            folder.add(name, None if said.masks is None else cut_to_picture(said.masks[0], look.transform))
        write_atomically(path, msgspec.json.encode(scores), mode=0o644)

    def _scores_file(self, fold: int) -> Path:
        return self._folder / WORK / f"scores-{fold}.json"

    def _finish(self, learner: Learner, ended: list[Checkpoint], begun: _Begun) -> Run:
        """Weights, model, predictions, and at last run.json; then the work's files are of no use any more."""
        weights = self._folder / WEIGHTS_FILES[self._order.net.framework]
        write_atomically(weights, learner.weights(), mode=0o644)
        onnx = self._export(learner)
        self._finish_validation(onnx)
        *folds, final = ended
        run = Run(
            model=self._order.net.name,
            framework=self._order.net.framework,
            start=learner.start,
            seed=self._order.seed,
            data=self._data.digest,
            splits=self._splits.checksum,
            classes=self._data.index.classes,
            preparation=self._preparation,
            plan=self._plan,
            code=code_digest(self._order.net.framework, tiled=self._order.tiles is not None),
            versions=versions(self._order.net.framework),
            folds=tuple(_result(fold) for fold in folds),
            epochs=len(final.history),
            times=Times(
                started=begun.started,
                ended=utc_now(),
                seconds=round(sum(epoch.seconds for course in ended for epoch in course.history), 1),
                cpu_seconds=round(sum(course.cpu_seconds for course in ended), 1),
            ),
            weights=file_sha256(weights),
            onnx=onnx,
        )
        document = msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n"
        write_atomically(self._folder / RUN_FILE, document, mode=0o644)
        shutil.rmtree(self._folder / WORK, ignore_errors=True)
        return run

    def _export(self, learner: Learner) -> str:
        """Write model.onnx through a file beside it; its digest."""
        beside = self._folder / WORK / MODEL_FILE
        learner.export(beside)
        write_atomically(self._folder / MODEL_FILE, beside.read_bytes(), mode=0o644)
        return file_sha256(self._folder / MODEL_FILE)

    def _finish_validation(self, model: str) -> None:
        """The folds' predictions as one folder; `model` names the final model, whose thresholds they choose."""
        scores: dict[str, float] = {}
        for fold in range(len(self._splits.folds)):
            path = self._scores_file(fold)
            scores |= msgspec.json.decode(read_bounded(path), type=dict[str, float])
        source, target = self._folder / WORK / VALIDATION, self._folder / VALIDATION
        masks = "mask" in self._order.net.outputs
        if source.exists():
            PredictionsFolder(source).finish(model, self._data, scores, masks=masks)
            source.replace(target)


def _unused(defective: list[str], wanted: int | None, seed: int) -> set[str]:
    """Defective pictures that are not to be learnt from."""
    if wanted is None:
        return set()
    return {defective[place] for place in np.random.default_rng(seed).permutation(len(defective))[wanted:]}


def _result(fold: Checkpoint) -> FoldResult:
    return FoldResult(epochs=len(fold.history), best=fold.best, figures=fold.history[fold.best - 1].figures)


def _read_begun(path: Path, key: str) -> _Begun:
    try:
        begun = msgspec.json.decode(read_bounded(path), type=_Begun)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from error
    if begun.key != key:
        raise InputError(f"{path.parent.parent}: was begun with another plan, net, seed, data or splits")
    return begun
