"""The model file of what a person calls an artefact: the file itself, a folder of `compile`, or a Neo job's .tar.gz."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from linewatch_common.errors import InputError
from linewatch_common.manifest import file_sha256

from model_build.compiling.artefact import read_artefact
from model_build.packaging.tarball import unpack

NEO_RUNTIME = "libdlr.so"  # lies beside the model in a Neo result


@contextmanager
def model_file(artefact: Path) -> Iterator[Path]:
    """The file that a runtime loads; what was unpacked for it is gone afterwards.

    Raises InputError (PackageError) with one line, StorageError.
    """
    if artefact.is_dir():
        yield artefact / read_artefact(artefact).model
    elif artefact.name.endswith(".tar.gz"):
        with TemporaryDirectory(prefix="neo-") as work:
            unpack(artefact, Path(work))
            yield Path(work) / neo_library(Path(work), artefact)
    elif artefact.is_file():
        yield artefact
    else:
        raise InputError(f"{artefact}: no such artefact")


def neo_library(folder: Path, source: Path | str) -> str:
    """The compiled library among a Neo job's files, relative to `folder`. Raises InputError unless there is one."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*.so") if path.name != NEO_RUNTIME)
    libraries = sorted(found)
    if len(libraries) != 1:
        raise InputError(f"{source}: is no Neo result: holds {len(libraries)} compiled libraries (.so), expected one")
    return libraries[0]


def digest_of_model(path: Path) -> str:
    """What names the weights: of OpenVINO's .xml and of Neo's .so, which hold none, the file with them beside it; else the file's own.

    Raises PackageError.
    """
    beside = {".xml": [path.with_suffix(".bin")], ".so": sorted(path.parent.glob("*.params"))}.get(path.suffix, [])
    return file_sha256(beside[0] if len(beside) == 1 and beside[0].exists() else path)
