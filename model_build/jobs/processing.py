"""The processing jobs: a job's folders to the arguments of the same commands that people type."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from linewatch_common.errors import InputError, StorageError

from model_build.__main__ import parsed
from model_build.compiling.artefact import read_artefact, runs_here
from model_build.evaluation.opening import LOG_FILE
from model_build.jobs.gate import EVALUATION_FILE, Gate, write_gate
from model_build.jobs.package import package
from model_build.jobs.places import COMPILED, PREPARED, Processing

Job = Callable[[Processing, Sequence[str]], None]


def prepare(places: Processing, flags: Sequence[str]) -> None:
    """input/raw to output/data and output/report; `flags` as `prepare` takes them."""
    data = places.output("data") / PREPARED
    command("prepare", str(places.input("raw")), str(data), *flags)
    command("report", str(data), str(places.output("report")))


def evaluate(places: Processing, flags: Sequence[str]) -> None:
    """input/data and input/model to output/evaluation, with gate.json; `flags` as `evaluate` takes them."""
    judge(places, flags, ())


def evaluate_compiled(places: Processing, flags: Sequence[str]) -> None:
    """The same for the compiled model in input/artefact; input/evaluated is the float model's evaluation.

    That one stands where nothing else would be judged: of the float model itself, and of a Neo result that only its device can run.
    """
    evaluated, compiled = places.input("evaluated"), places.input("artefact") / COMPILED
    artefact = read_artefact(compiled)
    if not runs_here(artefact) or artefact.files[artefact.model] == artefact.source.onnx:
        _copied(evaluated, places.output("evaluation"))
        return
    _openings(evaluated, places.data())
    judge(places, flags, ("--artefact", str(compiled)))


def compile_model(places: Processing, flags: Sequence[str]) -> None:
    """input/data and input/model to output/artefact; `flags` as `compile` takes them."""
    out = places.output("artefact") / COMPILED
    command("compile", str(places.run()), str(out), "--data", str(places.data()), *flags)


JOBS: dict[str, Job] = {
    "prepare": prepare,
    "evaluate": evaluate,
    "compile": compile_model,
    "evaluate-compiled": evaluate_compiled,
    "package": package,
}


def command(*arguments: str) -> None:
    """Run one command of `python -m model_build`. Raises LinewatchError."""
    options = parsed([*arguments])
    options.command(options)


def judge(places: Processing, flags: Sequence[str], artefact: Sequence[str]) -> Gate:
    """Predict the test split (`artefact`: flags of `predict`) and evaluate. Raises LinewatchError, but not for what the gate refuses."""
    run, data, out = places.run(), places.data(), places.output("evaluation")
    said = places.work("said") / "test"
    command("predict", str(run), str(data), str(said), "--split", "test", *artefact)
    try:
        command("evaluate", str(data), str(out), "--validation", str(run / "validation"), "--test", str(said), *flags)
    except InputError:
        # The gate refuses by the same error: then the evaluation is written, and the pipeline's condition decides.
        if not (out / EVALUATION_FILE).exists():
            raise
    _openings(data, out)
    gate = write_gate(out)
    print(f"gate: {'passed' if gate.passed else 'refused: ' + gate.reason}")
    return gate


def _copied(source: Path, target: Path) -> None:
    try:
        shutil.copytree(source, target, dirs_exist_ok=True)
    except OSError as error:
        raise StorageError(f"{target}: {error}") from error


def _openings(source: Path, target: Path) -> None:
    """Carry the log of the test split's openings on: every step has its own copy of the data. Raises StorageError."""
    try:
        if (source / LOG_FILE).exists():
            shutil.copyfile(source / LOG_FILE, target / LOG_FILE)
    except OSError as error:
        raise StorageError(f"{target / LOG_FILE}: {error.strerror}") from error
