"""What a model folder holds: a linewatch package, one of DDA's, or one bare artefact."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from linewatch_common.approval import is_enveloped
from linewatch_common.errors import PackageError
from linewatch_common.manifest import MANIFEST_FILE, Manifest, ModelFormat

from linewatch_agent.architecture import refuse_foreign
from linewatch_agent.dda import is_dda, stage_folder
from linewatch_agent.edge_package import EdgePackage, packaged_as
from linewatch_agent.errors import NothingThereError, NotLoadableError
from linewatch_agent.neo import libraries, neo_files
from linewatch_agent.trust import Trust


class Format(StrEnum):
    """The artefacts that can be loaded."""

    ONNX = "ONNX"
    IR = "OpenVINO IR"
    TFLITE = "TensorFlow Lite"
    SAVED_MODEL = "TensorFlow SavedModel"
    NEO = "Neo"


_SAVED_MODEL = "saved_model.pb"
_BY_SUFFIX = {".onnx": Format.ONNX, ".xml": Format.IR, ".tflite": Format.TFLITE}
_BY_MANIFEST: dict[ModelFormat, Format] = {
    "onnx": Format.ONNX,
    "openvino": Format.IR,
    "tflite": Format.TFLITE,
    "neo": Format.NEO,
}


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A model file, its format, the bytes to be read, and the manifest when the folder is a verified package.

    `packaged`: what SageMaker Edge Manager called a bare model.
    """

    path: Path
    format: Format
    size_bytes: int
    manifest: Manifest | None = None
    packaged: EdgePackage | None = None


def find_model(folder: Path, trust: Trust) -> ModelSource:
    """Look at `folder`; a package's signature is verified first, then its files against its manifest.

    Raises NothingThereError, and NotLoadableError with one line that says what was found and what is wanted.
    """
    try:
        is_folder = stat.S_ISDIR(folder.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NothingThereError(f"{folder}: nothing there; the url is a folder on this machine") from error
    except OSError as error:
        raise NotLoadableError(f"{str(folder)[:200]}: cannot be read: {error.strerror}") from error
    if not is_folder:
        raise NotLoadableError(f"{folder} is a file; the url is the folder that holds the unpacked model")
    with told_when_gone(folder):
        return _found(folder, trust)


@contextmanager
def told_when_gone(folder: Path) -> Iterator[None]:
    """A refusal of what was in `folder` becomes NothingThereError when the folder went meanwhile: it tells nothing about the model."""
    try:
        yield
    except NotLoadableError as error:
        if folder.is_dir():
            raise
        raise NothingThereError(f"{folder}: went while it was being loaded; put it back and load again") from error


def _found(folder: Path, trust: Trust) -> ModelSource:
    try:
        if not (folder / MANIFEST_FILE).exists():
            trust.refuse_bare(folder)
            return _bare(folder)
        if not (folder / MANIFEST_FILE).is_file():  # opening a pipe would wait for its writer
            raise NotLoadableError(f"{folder / MANIFEST_FILE}: is not a file")
        # Where a signature is there or due, nothing of the package is parsed before it was found good.
        if is_enveloped(folder) or trust.required or not is_dda(folder):
            return _package(folder, trust)
        return _bare(stage_folder(folder))
    except PackageError as error:
        raise NotLoadableError(str(error)) from error
    except OSError as error:
        raise NotLoadableError(f"{folder}: cannot be read: {error.strerror}") from error


def _package(folder: Path, trust: Trust) -> ModelSource:
    manifest = trust.verified(folder)
    weights = set(manifest.files) - {manifest.golden.file, manifest.preparation.ignore}
    size = sum((folder / name).stat().st_size for name in weights)
    return ModelSource(folder / manifest.model, _BY_MANIFEST[manifest.format], size, manifest)


def _bare(folder: Path) -> ModelSource:
    entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    names = [entry.name for entry in entries if entry.is_file()]
    for name in names:
        if name.endswith(".so"):
            refuse_foreign(folder / name)
    compiled = libraries(names)
    artefacts = [name for name in names if Path(name).suffix in _BY_SUFFIX or name == _SAVED_MODEL or name in compiled]
    if len(artefacts) > 1:
        raise NotLoadableError(f"{folder}: holds several models ({_listed(artefacts)}); keep one to a folder")
    if not artefacts:
        raise NotLoadableError(
            f"{folder}: no model in it; want a linewatch package (manifest.json), one .onnx, one .xml with its .bin, one .tflite, "
            f"one SavedModel ({_SAVED_MODEL}), or the files of one Neo job; found {_listed([*names, *_folders(entries)]) or 'nothing'}"
        )
    if not artefacts[0].isprintable():
        raise NotLoadableError(f"{folder}: {artefacts[0]!a} is no plain text, which runtimes do not take; rename it")
    found, files = _format_of(folder, names, artefacts[0])
    size = sum((folder / name).stat().st_size for name in files)
    return ModelSource(folder / artefacts[0], found, size, packaged=packaged_as(folder))


def _format_of(folder: Path, names: list[str], artefact: str) -> tuple[Format, list[str]]:
    """Its format, and every file that is read."""
    if artefact == _SAVED_MODEL:
        # A net without weights, or with all of them in the graph, may have no variables.
        variables = [f"variables/{path.name}" for path in (folder / "variables").glob("*") if path.is_file()]
        return Format.SAVED_MODEL, [artefact, *variables]
    if artefact.endswith(".so"):
        return Format.NEO, list(neo_files(names, artefact).all)
    found = _BY_SUFFIX[Path(artefact).suffix]
    if found is not Format.IR:
        return found, [artefact]
    weights = Path(artefact).with_suffix(".bin").name
    if weights not in names:
        raise NotLoadableError(f"{folder}: {artefact} is there, but its weights {weights} are not")
    return found, [artefact, weights]


def _folders(entries: list[os.DirEntry[str]]) -> list[str]:
    """An archive that was unpacked into a folder of its own is one level below."""
    return [f"{entry.name}/" for entry in entries if entry.is_dir()]


def _listed(names: list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
