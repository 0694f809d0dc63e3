"""The manifest of a model package: its schema, its checks, and the verification of the package's files.

A package is a folder with `manifest.json`, the weights, and a golden set. The manifest is the only place that holds
labels, sizes, layout, thresholds and what the numbers mean. Needs msgspec only: the model component has no numpy.
"""

import hashlib
import os
import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from linewatch_common.errors import PackageError
from linewatch_common.manifest_checks import contradictions

SCHEMA: Literal["linewatch.Manifest/1"] = "linewatch.Manifest/1"
MANIFEST_FILE = "manifest.json"
MAX_MANIFEST_BYTES = 1024 * 1024  # a real one is a few KB; a bigger file is not a manifest and must not fill the memory
MAX_FILES = 256  # a package is a handful of files; bounds the work that a hostile folder can cause

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9](-*[A-Za-z0-9])*$", max_length=64)]
Version = Annotated[str, Meta(pattern=r"^(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})$")]
Label = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_ -]*$", max_length=48)]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Side = Annotated[int, Meta(ge=1, le=8192)]
Dimension = Annotated[int, Meta(ge=1, le=65536)]
Text = Annotated[str, Meta(min_length=1, max_length=1024)]
Role = Literal[
    "classifier", "segmenter", "inspector"
]  # an inspector is both at once: score and mask from one prediction
ModelFormat = Literal["onnx", "openvino", "tflite", "neo"]
Meaning = Literal["scores", "mask"]
Dtype = Literal["uint8", "int16", "int32", "int64", "float16", "float32", "float64"]  # what the agent's wire can carry


class _Part(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every part of a manifest: immutable, and an unknown field is an error, not a silent typo."""


class InputTensor(_Part, frozen=True):
    """One input of the model."""

    name: Text
    dtype: Dtype
    shape: Annotated[tuple[Dimension, ...], Meta(min_length=1, max_length=5)]
    layout: Literal["NHWC", "NCHW"]


class OutputTensor(_Part, frozen=True):
    """One output of the model. `scores`: (1, 1), probability of a defect.

    `mask`: (1, C, H, W), one channel a label; uint8 0..255 stands for the probability 0..1, a float is the probability.
    """

    name: Text
    dtype: Dtype
    shape: Annotated[tuple[Dimension, ...], Meta(min_length=1, max_length=5)]
    layout: Literal["NC", "NCHW"]
    meaning: Meaning


class Region(_Part, frozen=True):
    """A rectangle in pixels of the frame."""

    x: Annotated[int, Meta(ge=0, le=65535)]
    y: Annotated[int, Meta(ge=0, le=65535)]
    width: Annotated[int, Meta(ge=1, le=65536)]
    height: Annotated[int, Meta(ge=1, le=65536)]


class Tiles(_Part, frozen=True):
    """A part larger than the input is cut into tiles of `width` x `height` pixels of the frame, each prepared on its own.

    Neighbours share at least `overlap` pixels, so that a defect on a seam lies whole in one of them.
    """

    width: Side
    height: Side
    overlap: Annotated[int, Meta(ge=0, le=8191)]


class Preparation(_Part, frozen=True):
    """How a frame becomes the input (1, height, width, 3): cut, resized (cv2.INTER_LINEAR_EXACT), made RGB.

    Normalisation is not here: it lies in the model's graph. `ignore`: a file of the package, an 8-bit PNG of the frame's size; what
    is not black in it never counts (linewatch_vision.ignoring). Without `tiles` the whole region becomes one input.
    """

    width: Side
    height: Side
    resize: Literal["squash", "letterbox"]
    channels: Literal["rgb"] = "rgb"
    dtype: Literal["uint8"] = "uint8"
    layout: Literal["NHWC"] = "NHWC"
    region_of_interest: Region | None = None
    padding: Annotated[int, Meta(ge=0, le=255)] = 0  # grey value beside a letterboxed picture
    ignore: Text | None = None
    tiles: Tiles | None = None


class ScoreThresholds(_Part, frozen=True):
    """`fail`: a score at or above it is a reject. `review`: at or above it, and below `fail`, a person decides."""

    fail: Share
    review: Share


class MaskThresholds(_Part, frozen=True):
    """How a mask becomes defects: cells with a probability at or above `pixel`, in groups of at least `minimum_area`.

    `minimum_area` counts cells of the mask, so it does not depend on the frame's size. `score` says how the cells'
    probabilities give the defect's score.
    """

    pixel: Annotated[float, Meta(gt=0.0, le=1.0)]
    minimum_area: Annotated[int, Meta(ge=1, le=1_000_000)]
    score: Literal["max", "mean"] = "max"


class Thresholds(_Part, frozen=True):
    """The operating point, chosen on validation data. A classifier has `score`, a segmenter `mask`, an inspector both."""

    score: ScoreThresholds | None = None
    mask: MaskThresholds | None = None


class Tolerances(_Part, frozen=True):
    """How far an output may lie from the golden one: `score` absolute, `mask_iou` at the manifest's pixel threshold."""

    score: Share = 0.02
    mask_iou: Share = 0.95


class Golden(_Part, frozen=True):
    """The golden set: an .npz with arrays `input.<tensor>` and `output.<tensor>`, each (pictures, *tensor shape)."""

    file: Text
    pictures: Annotated[int, Meta(ge=1, le=64)]
    tolerances: Tolerances


class Data(_Part, frozen=True):
    """What the model was trained, tuned and tested on. Per split: seed, number of pictures, checksum of their bytes."""

    source: Text
    seeds: dict[str, int]
    pictures: dict[str, int]
    checksums: dict[str, Sha256]


class Compiled(_Part, frozen=True):
    """How the device's model was made from the trained one, whose float form has the digest `source`."""

    target: Text
    recipe: Text
    source: Sha256
    calibration_seed: int | None = None
    calibration_pictures: Annotated[int, Meta(ge=0)] = 0


class Provenance(_Part, frozen=True):
    """Where the weights come from. `evaluation`: digest of the evaluation that the thresholds and metrics are from."""

    data: Data
    seed: int
    code_version: Text
    code_digest: Sha256
    trained_at: Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
    frameworks: dict[str, str]
    licence: Text
    compiled: Compiled | None = None
    evaluation: Sha256 | None = None


class Manifest(_Part, frozen=True):
    """One version of one model. `files` names every file of the package but the manifest itself.

    `model` is the file that is loaded: .onnx, .xml (its .bin beside it), .tflite, or for neo the .so with the job's other files beside it.
    """

    schema: Literal["linewatch.Manifest/1"]
    name: Name
    version: Version
    role: Role
    format: ModelFormat
    model: Text
    labels: Annotated[tuple[Label, ...], Meta(min_length=1, max_length=32)]
    inputs: Annotated[tuple[InputTensor, ...], Meta(min_length=1, max_length=8)]
    outputs: Annotated[tuple[OutputTensor, ...], Meta(min_length=1, max_length=8)]
    preparation: Preparation
    thresholds: Thresholds
    metrics: dict[str, float]
    provenance: Provenance
    golden: Golden
    files: Annotated[dict[str, Sha256], Meta(min_length=2, max_length=MAX_FILES)]
    signature: dict[str, str] | None = None

    @property
    def identifier(self) -> str:
        """The name under which the agent knows this version."""
        return identifier(self.name, self.version)

    def output(self, meaning: Meaning) -> OutputTensor:
        """The output with that meaning. Raises PackageError when the model has none."""
        for tensor in self.outputs:
            if tensor.meaning == meaning:
                return tensor
        raise PackageError(f"model {self.identifier} has no output with the meaning {meaning!r}")


def identifier(name: str, version: str) -> str:
    """`<Name>-<version with dots as dashes>`: the agent's names admit no dots."""
    return f"{name}-{version.replace('.', '-')}"


def load_manifest(folder: Path) -> Manifest:
    """Read and check `manifest.json` in `folder`. Raises PackageError with one line that names file and field."""
    path = folder / MANIFEST_FILE
    try:
        manifest = msgspec.json.decode(_read_manifest(path), type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PackageError(f"{path}: {error}") from error
    for problem in (*_path_problems(manifest), *contradictions(manifest)):
        raise PackageError(f"{path}: {problem}")
    return manifest


def manifest_digest(folder: Path) -> str:
    """The package's identity, "sha256:<hex>": the digest of the canonical manifest without its signature.

    Canonical is JSON with sorted keys and no spaces. The manifest holds the digest of every file, so this covers all.
    """
    path = folder / MANIFEST_FILE
    try:
        payload = msgspec.json.decode(_read_manifest(path))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PackageError(f"{path}: {error}") from error
    if not isinstance(payload, dict):
        raise PackageError(f"{path}: expected an object")
    return payload_digest(payload)


def payload_digest(payload: dict[str, Any]) -> str:
    """The same for a manifest that is already parsed as plain JSON values."""
    unsigned = {key: value for key, value in payload.items() if key != "signature"}
    return "sha256:" + hashlib.sha256(msgspec.json.encode(unsigned, order="sorted")).hexdigest()


def verify_files(folder: Path, manifest: Manifest) -> None:
    """Check that `folder` holds exactly the manifest's files with their digests, and no link.

    Raises PackageError with one line that names the first file that is missing, changed, extra, a link or outside.
    """
    present = refuse_strangers(folder, manifest)
    for name in manifest.files:
        if name not in present:
            raise PackageError(f"{folder}: file {name!r} of the manifest is missing")
    for name, expected in manifest.files.items():
        actual = file_sha256(folder / name)
        if actual != expected:
            raise PackageError(f"{folder}: file {name!r} was changed: SHA-256 {actual}, the manifest says {expected}")


def refuse_strangers(folder: Path, manifest: Manifest) -> set[str]:
    """The names of all files in `folder`. Raises PackageError for one that the manifest does not name, and for a link."""
    present = _plain_files(folder)
    for name in sorted(present - {MANIFEST_FILE}):
        if name not in manifest.files:
            raise PackageError(f"{folder}: file {name!r} is not in the manifest")
    return present


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a file. Raises PackageError when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise PackageError(f"{path}: {error.strerror}") from error


def _read_manifest(path: Path) -> bytes:
    try:
        if path.is_symlink():
            raise PackageError(f"{path}: is a symbolic link")
        with path.open("rb") as file:
            raw = file.read(MAX_MANIFEST_BYTES + 1)
    except OSError as error:
        raise PackageError(f"{path}: {error.strerror}") from error
    if len(raw) > MAX_MANIFEST_BYTES:
        raise PackageError(f"{path}: is over {MAX_MANIFEST_BYTES} bytes, too big for a manifest")
    return raw


def _plain_files(folder: Path) -> set[str]:
    """Relative names of all regular files below `folder`; anything that is neither file nor folder is refused."""
    found: set[str] = set()
    pending = [folder]
    while pending:
        place = pending.pop()
        for entry in _entries(place):
            name = Path(entry.path).relative_to(folder).as_posix()
            if entry.is_symlink():
                raise PackageError(f"{folder}: {name!r} is a symbolic link")
            if entry.is_dir(follow_symlinks=False):
                pending.append(Path(entry.path))
            elif entry.is_file(follow_symlinks=False):
                found.add(name)
            else:
                raise PackageError(f"{folder}: {name!r} is not a regular file")
            if len(found) + len(pending) > 2 * MAX_FILES:
                raise PackageError(f"{folder}: holds more than {2 * MAX_FILES} files, this is not a model package")
    return found


def _entries(place: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(place) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise PackageError(f"{place}: {error.strerror}") from error


def _path_problems(manifest: Manifest) -> list[str]:
    problems = [
        f"files: {name!r} leaves the package or is not a plain relative path"
        for name in manifest.files
        if not _is_plain(name)
    ]
    if MANIFEST_FILE in manifest.files:
        problems.append(f"files: {MANIFEST_FILE!r} cannot hold its own digest")
    problems += [
        f"{field}: {name!r} is not in files" for field, name in _named_files(manifest) if name not in manifest.files
    ]
    return problems


def _named_files(manifest: Manifest) -> list[tuple[str, str]]:
    """Field and file: what the manifest relies on."""
    named = [("model", manifest.model), ("golden.file", manifest.golden.file)]
    if manifest.format == "openvino":
        named.append(("model", str(PurePosixPath(manifest.model).with_suffix(".bin"))))
    if manifest.preparation.ignore is not None:
        named.append(("preparation.ignore", manifest.preparation.ignore))
    return named


def _is_plain(name: str) -> bool:
    """Relative, normalised, inside, printable ASCII without backslash: the same file on every system."""
    path = PurePosixPath(name)
    return (
        re.fullmatch(r"[A-Za-z0-9_.+ /-]{1,200}", name) is not None
        and not path.is_absolute()
        and str(path) == name
        and ".." not in path.parts
        and name != "."
    )
