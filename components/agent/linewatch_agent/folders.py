"""What a model folder holds: a linewatch package, or one bare artefact."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from linewatch_common.errors import PackageError
from linewatch_common.manifest import MANIFEST_FILE, Manifest, ModelFormat

from linewatch_agent.architecture import refuse_foreign
from linewatch_agent.errors import NothingThereError, NotLoadableError
from linewatch_agent.trust import Trust


class Format(StrEnum):
    """The artefacts that can be loaded."""

    ONNX = "ONNX"
    IR = "OpenVINO IR"
    TFLITE = "TensorFlow Lite"
    NEO = "Neo"


_BY_SUFFIX = {".onnx": Format.ONNX, ".xml": Format.IR, ".tflite": Format.TFLITE}
_BY_MANIFEST: dict[ModelFormat, Format] = {
    "onnx": Format.ONNX,
    "openvino": Format.IR,
    "tflite": Format.TFLITE,
    "neo": Format.NEO,
}


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A model file, its format, the bytes to be read, and the manifest when the folder is a verified package."""

    path: Path
    format: Format
    size_bytes: int
    manifest: Manifest | None = None


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
        if (folder / MANIFEST_FILE).exists():
            return _package(folder, trust)
        trust.refuse_bare(folder)
        return _bare(folder)
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
    names = sorted(entry.name for entry in os.scandir(folder) if entry.is_file())
    artefacts = [name for name in names if Path(name).suffix in _BY_SUFFIX]
    for name in names:
        if name.endswith(".so"):
            refuse_foreign(folder / name)
    if len(artefacts) > 1:
        raise NotLoadableError(f"{folder}: holds several models ({_listed(artefacts)}); keep one to a folder")
    if not artefacts:
        raise NotLoadableError(
            f"{folder}: no model in it; want a linewatch package (manifest.json), one .onnx, one .xml with its .bin, or one .tflite; "
            f"found {_listed(names) or 'nothing'}"
        )
    path = folder / artefacts[0]
    found = _BY_SUFFIX[path.suffix]
    weights = path.with_suffix(".bin")
    if found is Format.IR and not weights.is_file():
        raise NotLoadableError(f"{folder}: {path.name} is there, but its weights {weights.name} are not")
    size = path.stat().st_size + (weights.stat().st_size if found is Format.IR else 0)
    return ModelSource(path, found, size)


def _listed(names: list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
