"""The packaging job: an unsigned package as one .tar.gz, and what the registry will say of it. Signed is what a person approves later."""

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

from linewatch_common.approval import PACKAGE_FOLDER
from linewatch_common.errors import InputError, StorageError
from linewatch_common.files import write_atomically
from linewatch_common.manifest import file_sha256, load_manifest, manifest_digest

from model_build.__main__ import parsed
from model_build.compiling.artefact import ARTEFACT_FILE
from model_build.jobs.gate import EVALUATION_FILE
from model_build.jobs.places import COMPILED, PACKAGE_FILE, REGISTERED_FILE, Processing
from model_build.packaging.tarball import unpack
from model_build.pipelines.registered import RegisteredModel, make
from model_build.training.run import read_run


def package(places: Processing, flags: Sequence[str]) -> None:
    """input/data, model, artefact and evaluation (of the artefact) to output/package: package.tar.gz and registered.json."""
    parser = argparse.ArgumentParser(prog="python -m model_build.jobs package")
    for name in ("component", "code-digest", "package-uri", "report-uri"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("data-uri", "run-uri", "gate"):
        parser.add_argument(f"--{name}", default="")
    options, rest = parser.parse_known_args(flags)
    run, evaluation, artefact = places.run(), places.input("evaluation"), places.input("artefact") / COMPILED
    packages, out = places.work("packages"), places.output("package")
    before = _before(places.input("previous"), packages)
    inputs = ["--run", str(run), "--evaluation", str(evaluation), "--data", str(places.data())]
    command = parsed(["package", str(artefact), str(packages), *inputs, *rest])
    command.command(command)
    made = [place for place in packages.iterdir() if place.is_dir() and place.name not in before]
    if len(made) != 1:
        raise InputError(f"{packages}: nothing new was made: the previous package {before} holds the same")
    _copy(packages / f"{made[0].name}.tar.gz", out / PACKAGE_FILE)
    manifest, trained = load_manifest(made[0] / PACKAGE_FOLDER), read_run(run)
    registered = make(
        model=manifest.name,
        component=options.component,
        version=manifest.version,
        package_uri=options.package_uri,
        package_sha256=file_sha256(out / PACKAGE_FILE),
        manifest_digest=manifest_digest(made[0] / PACKAGE_FOLDER),
        data_digest=trained.data,
        code_digest=options.code_digest,
        report_uri=options.report_uri,
        data_uri=options.data_uri,
        run_uri=options.run_uri,
        gate=options.gate,
        artefacts={
            "compiled": file_sha256(artefact / ARTEFACT_FILE),
            "evaluation": file_sha256(evaluation / EVALUATION_FILE),
            "float": trained.onnx,
            "weights": trained.weights,
        },
    )
    _write(out, registered)


def _before(previous: Path, packages: Path) -> list[str]:
    """Put the package that was registered last where its versions go on from; identifiers. Raises InputError, StorageError.

    The first time the input holds no package.
    """
    names = []
    for archive in sorted(previous.glob("*.tar.gz")):
        new = packages / ".previous"
        unpack(archive, new)
        name = load_manifest(new / PACKAGE_FOLDER).identifier
        new.rename(packages / name)
        names.append(name)
    return names


def _write(out: Path, registered: RegisteredModel) -> None:
    write_atomically(out / REGISTERED_FILE, registered.to_json(), 0o644)
    print(f"{out}: {registered.component} {registered.version}, {registered.manifest_digest}")


def _copy(source: Path, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise StorageError(f"{target}: {error.strerror}") from error
