"""Manifests of SageMaker Ground Truth, Lookout for Vision and DDA: one JSON line a picture."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
import numpy as np
from linewatch_common.errors import InputError

from model_build.data.pixels import decode_colours, read_bounded
from model_build.data.readers.listing import reads
from model_build.data.records import Masks, Options, Record, is_good, safe_id, unusable

_CLASSIFIED, _SEGMENTED = "groundtruth/image-classification", "groundtruth/semantic-segmentation"
_MAX_BYTES = 256 * 1024 * 1024
_Line = dict[str, Any]


class GroundTruth:
    """`source-ref`, a label with its metadata, and for segmentation a mask with its colour map.

    An `s3://bucket/key` is looked for below the folder by its key, then by ever shorter ends of it.
    """

    name = "ground-truth"
    layout = "*.manifest (JSON lines with source-ref, LABEL, LABEL-metadata, MASK-ref), the pictures and masks below the folder"

    def fits(self, folder: Path) -> bool:
        """See Reader."""
        return any(folder.glob("*.manifest"))

    def records(self, folder: Path, options: Options) -> Iterator[Record]:
        """See Reader."""
        for path in sorted(folder.glob("*.manifest")):
            lines = read_bounded(path, _MAX_BYTES).decode("utf-8-sig", "replace").splitlines()
            for number, text in enumerate(lines, start=1):
                if text.strip():
                    yield _record(text, f"{path} line {number}", folder, _split(path), options)


def _record(text: str, where: str, folder: Path, split: str | None, options: Options) -> Record:
    line = _parsed(text, where)
    reference = str(line.get("source-ref", ""))
    defective, mask = _defective(line, where), _mask_field(line)
    try:
        picture = _local(reference, folder, where)
        masks = _masks(line, mask, folder, where) if mask else None
    except InputError as error:
        return unusable(Path(where).name, reference, str(error))
    name = picture.relative_to(folder).with_suffix("").as_posix()
    return Record(
        id=safe_id(name),
        source=str(picture),
        part=options.part_of(name, name),
        defective=defective,
        picture=reads(picture),
        masks=masks,
        split=split,
    )


def _parsed(text: str, where: str) -> _Line:
    try:
        return msgspec.json.decode(text, type=_Line)
    except msgspec.DecodeError as error:
        raise InputError(f"{where}: {error}") from error


def _defective(line: _Line, where: str) -> bool | None:
    """As the line's label says; None, as its mask says, where it has a mask alone."""
    for field, value in line.items():
        metadata = line.get(f"{field}-metadata")
        if not isinstance(metadata, dict) or field.endswith("-ref"):
            continue
        if metadata.get("type") == _CLASSIFIED or "class-name" in metadata:
            name = str(metadata.get("class-name", "anomaly" if value else "normal"))
            return not is_good(name)
    if _mask_field(line):
        return None
    raise InputError(f"{where}: no label (a field with FIELD-metadata that has a class-name)")


def _mask_field(line: _Line) -> str | None:
    for field, value in line.items():
        metadata = line.get(f"{field}-metadata")
        is_mask = isinstance(metadata, dict) and (
            metadata.get("type") == _SEGMENTED or "internal-color-map" in metadata
        )
        if is_mask and value:
            return field
    return None


def _masks(line: _Line, field: str, folder: Path, where: str) -> Callable[[int, int], Masks]:
    colours = line[f"{field}-metadata"].get("internal-color-map") or {}
    path = _local(str(line[field]), folder, where)
    classes = {
        str(entry.get("class-name") or entry.get("name")): _rgb(str(entry.get("hex-color")), where)
        for entry in colours.values()
        if isinstance(entry, dict)
    }

    def read(_height: int, _width: int) -> Masks:
        pixels = decode_colours(read_bounded(path), str(path))
        known = {name: (pixels == rgb).all(axis=2) for name, rgb in classes.items()}
        if known and not np.logical_or.reduce(list(known.values())).all():
            raise InputError(f"{path}: holds a colour that is not in the line's internal-color-map")
        return {name: mask for name, mask in known.items() if not is_good(name)}

    return read


def _rgb(text: str, where: str) -> tuple[int, int, int]:
    if not re.fullmatch(r"#[0-9A-Fa-f]{6}", text):
        raise InputError(f"{where}: hex-color {text!r} is not a colour like #23A436")
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def _local(reference: str, folder: Path, where: str) -> Path:
    key = re.sub(r"^s3://[^/]*/", "", reference).removeprefix("file://")
    parts = [part for part in PurePosixPath(key).parts if part not in {"/", ".."}]
    for start in range(len(parts)):
        candidate = folder.joinpath(*parts[start:])
        if candidate.is_file():
            return candidate
    raise InputError(f"{where}: {reference!r} is not below {folder}")


def _split(path: Path) -> str | None:
    words = re.findall("[a-z]+", path.stem.lower())
    return next((split for split in ("train", "validation", "test") if split in words), None)
