"""The artefact folder: what a device runs, and how it was made.

`artefact.json` (schema linewatch.Artefact/1) with the SHA-256 of every file that belongs to it. It appears complete or not at all. It holds
no time and no latency: the same run, pictures and recipe give the same bytes. `latency.json` lies in the same folder and belongs to no
artefact: figures of the machine that compiled.
"""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from linewatch_common.errors import InputError
from linewatch_common.files import write_atomically
from linewatch_common.manifest import Sha256, file_sha256
from msgspec import Meta, Struct

from model_build.data.pixels import read_bounded

ARTEFACT_FILE, LATENCY_FILE = "artefact.json", "latency.json"
Format = Literal["onnx", "openvino", "tflite", "neo"]
FileName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=120)]  # plain: the folder is flat
_MAX_BYTES = 16 * 1024 * 1024


class _Part(Struct, frozen=True, forbid_unknown_fields=True):
    """Base: immutable, and an unknown field is an error."""


class Source(_Part, frozen=True, kw_only=True):
    """The run that it was compiled from: the net's name and the digests of run.json's weights, ONNX, data and splits."""

    net: str
    weights: Sha256
    onnx: Sha256
    data: Sha256
    splits: Sha256


class Pictures(_Part, frozen=True, kw_only=True):
    """Training pictures and the seed that drew them."""

    seed: int
    ids: tuple[str, ...]


class Figure(_Part, frozen=True, kw_only=True):
    """One figure of both models. `loss` is what the compiled one lacks."""

    floating: float
    compiled: float
    loss: float


class Comparison(_Part, frozen=True, kw_only=True):
    """The compiled model beside the float model, on pictures that did not calibrate it.

    `seen`: the float model was trained on these pictures, so the figures say how far the two agree, not how good they are.
    `flips`: pictures whose verdict (pass, review, fail at `review` and `fail`) differs. `mask_difference`: mean over all cells.
    """

    ids: tuple[str, ...]
    seen: bool
    review: float
    fail: float
    image_ap: Figure | None
    pixel_ap: Figure | None
    score_difference: float
    mask_difference: float | None
    flips: int


class Tolerance(_Part, frozen=True, kw_only=True):
    """The greatest losses allowed; `flips` as a share of the pictures compared."""

    image_ap: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.005
    pixel_ap: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.02
    flips: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.02


class Tried(_Part, frozen=True, kw_only=True):
    """A recipe and what became of it, in the order of trial."""

    recipe: str
    outcome: str


class Artefact(_Part, frozen=True, kw_only=True):
    """See the module. `model` is the file that a runtime loads; `comparison` None where the model cannot run here (`note` says why)."""

    schema: Literal["linewatch.Artefact/1"] = "linewatch.Artefact/1"
    target: str
    format: Format
    recipe: str
    model: FileName
    files: Annotated[dict[FileName, Sha256], Meta(min_length=1, max_length=64)]
    source: Source
    calibration: Pictures | None
    comparison: Comparison | None
    tolerance: Tolerance
    tried: tuple[Tried, ...]
    versions: dict[str, str]
    note: str = ""


def runs_here(artefact: Artefact) -> bool:
    """Whether it can be run where it was compiled; all but some of Neo's can."""
    return artefact.format != "neo" or artefact.comparison is not None


def write_artefact(folder: Path, artefact: Artefact) -> None:
    """Write artefact.json into `folder`, where the files already lie. Raises StorageError."""
    text = msgspec.json.format(msgspec.json.encode(artefact, order="sorted"), indent=1)
    write_atomically(folder / ARTEFACT_FILE, text + b"\n", 0o644)


def read_artefact(folder: Path) -> Artefact:
    """Read it and check every file. Raises InputError with one line that names what is wrong."""
    path = folder / ARTEFACT_FILE
    try:
        artefact = msgspec.json.decode(read_bounded(path, _MAX_BYTES), type=Artefact)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from error
    if artefact.model not in artefact.files:
        raise InputError(f"{path}: the model {artefact.model!r} is not one of its files")
    for name, expected in artefact.files.items():
        if (folder / name).is_symlink():
            raise InputError(f"{folder / name}: is a symbolic link")
        if file_sha256(folder / name) != expected:
            raise InputError(f"{folder / name}: was changed after it was compiled")
    return artefact
