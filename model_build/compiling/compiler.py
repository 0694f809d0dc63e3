"""Makes an artefact: recipes tried, measured, compared; the fastest that loses no more than is allowed, or none."""

import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from linewatch_common.errors import InputError, StorageError
from linewatch_common.files import sync_folder, sync_tree, write_atomically
from linewatch_common.manifest import file_sha256

from model_build.compiling.artefact import (
    LATENCY_FILE,
    Artefact,
    Comparison,
    Pictures,
    Tolerance,
    Tried,
    write_artefact,
)
from model_build.compiling.comparing import Ground, Steps, compare, losses, said_of
from model_build.compiling.latency import Times, measure, report, versions
from model_build.compiling.pictures import Calibration, Chosen, telling
from model_build.compiling.running import Model, NotHereError, open_model
from model_build.compiling.source import FloatModel
from model_build.compiling.targets import MODEL_FILE, Recipe, Target
from model_build.data.prepared import PreparedSet
from model_build.training.joining import Joined

THREADS = 2
FLOAT = "float"
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Job:
    """What is compiled, and from which pictures. `seed` drew them."""

    floating: FloatModel
    data: PreparedSet
    pictures: Chosen
    seed: int
    tolerance: Tolerance

    @property
    def calibration(self) -> Calibration:
        """What quantisers are given."""
        return Calibration(self.data, self.floating.run.preparation, self.pictures.calibration)

    @property
    def ground(self) -> Ground:
        """What is compared on. The final model of a run has learnt from every training picture."""
        run = self.floating
        return Ground(self.data, run.run.preparation, self.pictures.comparison, run.limits, seen=True)


@dataclass(frozen=True, slots=True)
class Made:
    """A recipe's files in `folder`, not judged yet. `model` is None where it cannot run here; `why` says more."""

    recipe: Recipe
    folder: Path
    file: str
    model: Model | None
    why: str = ""


@dataclass(slots=True)
class _Course:
    """What is known so far."""

    job: Job
    steps: Steps
    tell: Tell
    floating: Model
    said: Sequence[Joined] | None = None
    tried: list[Tried] = field(default_factory=list)
    times: dict[str, Times] = field(default_factory=dict)


def compile_to(target: Target, job: Job, out: Path, steps: Steps = iter, tell: Tell = print) -> Artefact:
    """Write the artefact folder `out` with latency.json in it; it appears complete or not at all.

    Raises InputError when `out` is there already or no recipe is within the tolerance, StorageError when the disk refuses.
    """
    if out.exists():
        raise InputError(f"{out}: is there already; an artefact is never replaced")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as work:
            course = _Course(job, steps, tell, open_model(job.floating.path, THREADS))
            made, artefact = _chosen(target, Path(work), course)
            _publish(made, artefact, course, out)
            return artefact
    except OSError as error:
        raise StorageError(f"{out}: {error.strerror}: {error.filename}") from error


def _chosen(target: Target, work: Path, course: _Course) -> tuple[Made, Artefact]:
    """The fastest within tolerance of the first stage that has one."""
    floating = work / "float" / MODEL_FILE
    floating.parent.mkdir()
    shutil.copyfile(course.job.floating.path, floating)
    for stage in target.stages:
        made = _by_speed(_make(stage, floating, work, course, target.runs_here), course)
        for place, one in enumerate(made):
            comparison = _judged(one, course)
            if one.model is None or comparison is not None:
                course.tried += [Tried(recipe=other.recipe.name, outcome="slower") for other in made[place + 1 :]]
                return one, _artefact(target, one, course, comparison)
    reasons = "; ".join(f"{one.recipe} {one.outcome}" for one in course.tried)
    raise InputError(f"{target.name}: no recipe will do: {reasons}")


def _make(stage: Iterable[Recipe], floating: Path, work: Path, course: _Course, runs_here: bool) -> list[Made]:
    """The recipes of a stage that can be made; why not stands in `tried`."""
    made = []
    for recipe in stage:
        folder = work / "made" / recipe.name
        folder.mkdir(parents=True)
        course.tell(f"{recipe.name}: compiling")
        try:
            file = recipe.make(floating, course.job.calibration, folder)
            made.append(Made(recipe, folder, file, *(_opened(folder / file) if runs_here else (None, ""))))
        except InputError as error:
            course.tried.append(Tried(recipe=recipe.name, outcome=str(error)))
    return made


def _opened(path: Path) -> tuple[Model | None, str]:
    """The model, or why this machine is not the one that it is made for. Raises InputError."""
    try:
        return open_model(path, THREADS), ""
    except NotHereError as error:
        return None, str(error).replace(f"{path}", path.name)


def _by_speed(made: list[Made], course: _Course) -> list[Made]:
    """The fastest first, all of a stage measured in turns with the float model."""
    models = {one.recipe.name: one.model for one in made if one.model is not None}
    if not models:
        return made
    first = course.job.data.example(course.job.pictures.comparison[0])
    tensor = telling(first, course.job.floating.run.preparation).tensor
    course.times |= measure(
        {FLOAT: course.floating} | {name: model for name, model in models.items() if name != FLOAT}, tensor
    )
    return sorted(made, key=lambda one: course.times[one.recipe.name].min)


def _judged(made: Made, course: _Course) -> Comparison | None:
    """The comparison, when it is within the tolerance. What came of it stands in `tried`."""
    name, job = made.recipe.name, course.job
    if made.model is None:
        course.tried.append(Tried(recipe=name, outcome="taken, not compared"))
        return None
    if course.said is None:
        course.said = list(said_of(course.floating, job.ground, course.steps))
    try:
        said = list(said_of(made.model, job.ground, course.steps))
    except InputError as error:
        course.tried.append(Tried(recipe=name, outcome=str(error)))
        return None
    comparison = compare(course.said, said, job.ground)
    lines = losses(comparison, job.tolerance)
    course.tried.append(Tried(recipe=name, outcome=", ".join(lines) or "taken"))
    course.tell(f"{name}: {', '.join(lines) or 'within tolerance'}")
    return None if lines else comparison


def _artefact(target: Target, made: Made, course: _Course, comparison: Comparison | None) -> Artefact:
    job = course.job
    return Artefact(
        target=target.name,
        format=made.recipe.format,
        recipe=made.recipe.name,
        model=made.file,
        files={path.name: file_sha256(path) for path in sorted(made.folder.iterdir())},
        source=job.floating.source,
        calibration=Pictures(seed=job.seed, ids=job.pictures.calibration) if target.calibrates else None,
        comparison=comparison,
        tolerance=job.tolerance,
        tried=tuple(course.tried),
        versions=versions(),
        note=_note(target, made),
    )


def _note(target: Target, made: Made) -> str:
    parts = (target.note, "" if made.model is not None else target.unjudged, made.why)
    return "; ".join(part for part in parts if part)


def _publish(made: Made, artefact: Artefact, course: _Course, out: Path) -> None:
    write_artefact(made.folder, artefact)
    if course.times:
        text = msgspec.json.format(msgspec.json.encode(report(course.times, THREADS)), indent=1)
        write_atomically(made.folder / LATENCY_FILE, text + b"\n", 0o644)
    sync_tree(made.folder)
    made.folder.rename(out)
    sync_folder(out.parent)
