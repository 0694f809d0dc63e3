"""Reads the JSON lines that the agent writes for Inspector's captures (linewatch_common.captured), from a folder fetched from S3.

The folder mirrors the bucket's keys: `…/<model>/YYYY/MM/DD/HH/<name>.jsonl` with `raw-data/` beside it. Lines of other programs are
passed over and counted. A capture that arrived twice counts once.
"""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
from linewatch_common.captured import (
    ANNOTATION_NAME,
    INSPECTION_NAME,
    PICTURE_NAME,
    STORED_PICTURE_NAME,
    CapturedInspection,
    CapturedLabel,
)
from linewatch_common.errors import InputError

from model_build.data.pixels import read_bounded

LINES = "*.jsonl"
MAX_FILE_BYTES = 256 * 1024 * 1024  # a push is 16 MB; this bounds what a foreign file can take
_RAW = 3  # "raw-data/<kind>/<file>", the tail of every reference


@dataclass(frozen=True, slots=True)
class Captured:
    """One captured inspection. `device` is the thing that sent it; `picture` an existing file."""

    record: CapturedInspection
    device: str
    picture: Path


Key = tuple[str, str]  # device and frame id: stations of two devices may count alike


@dataclass(slots=True)
class CapturedSet:
    """All that a folder holds. `labels`: the last word of a person; `foreign`: lines that are not Inspector's."""

    inspections: dict[Key, Captured] = field(default_factory=dict)
    labels: dict[Key, CapturedLabel] = field(default_factory=dict)
    foreign: int = 0
    without_picture: list[str] = field(default_factory=list)


def has_captures(folder: Path) -> bool:
    """Whether a folder looks like captured data: lines in an hour's folder."""
    return any(folder.rglob(f"[0-9][0-9]/{LINES}"))


def read_captures(folder: Path) -> CapturedSet:
    """Read all lines below `folder`. Raises InputError, naming file and line, for a line that is cut or not JSON."""
    found = CapturedSet()
    for path in sorted(folder.rglob(LINES)):
        for number, line in enumerate(read_bounded(path, MAX_FILE_BYTES).splitlines(), 1):
            try:
                _take(found, msgspec.json.decode(line), path.parent)
            except (msgspec.DecodeError, UnicodeDecodeError, binascii.Error, KeyError, TypeError, ValueError) as error:
                raise InputError(f"{path}:{number}: not a captured line: {error}") from error
    return found


def _take(found: CapturedSet, line: Any, hour: Path) -> None:
    items = dict(_items(line))
    device = str(line["eventMetadata"]["deviceId"])
    if ANNOTATION_NAME in items:
        label = msgspec.json.decode(_bytes(items[ANNOTATION_NAME], hour), type=CapturedLabel)
        known = found.labels.get((device, label.frame_id))
        if known is None or label.at >= known.at:
            found.labels[device, label.frame_id] = label
    elif INSPECTION_NAME in items:
        record = msgspec.json.decode(_bytes(items[INSPECTION_NAME], hour), type=CapturedInspection)
        _keep(found, record, device, _picture(items, hour))
    else:
        found.foreign += 1


def _keep(found: CapturedSet, record: CapturedInspection, device: str, picture: Path | None) -> None:
    """What was drawn at random stays so, even when a label brought it once more."""
    key = (device, record.inspection.frame_id)
    if picture is None or not picture.is_file():
        found.without_picture.append("/".join(key))
    elif key not in found.inspections or record.stratum != "labelled":
        found.inspections[key] = Captured(record, device, picture)


def _items(line: Any) -> Iterator[tuple[str, dict[str, str]]]:
    for key in ("deviceFleetAuxiliaryInputs", "deviceFleetAuxiliaryOutputs"):
        for entry in line[key]:
            yield entry["name"], entry


def _bytes(entry: dict[str, str], hour: Path) -> bytes:
    if "data" not in entry:
        return read_bounded(_file(entry, hour), MAX_FILE_BYTES)
    return base64.b64decode(entry["data"]) if entry["encoding"] == "BASE64" else entry["data"].encode()


def _picture(items: dict[str, dict[str, str]], hour: Path) -> Path | None:
    for name in (PICTURE_NAME, STORED_PICTURE_NAME):
        if name in items and "data-ref" in items[name]:
            return _file(items[name], hour)
    return None


def _file(entry: dict[str, str], hour: Path) -> Path:
    """Where a reference lies below the hour's folder. Raises ValueError for one that leaves it."""
    tail = PurePosixPath(entry["data-ref"]).parts[-_RAW:]
    if len(tail) != _RAW or ".." in tail or tail[0] != "raw-data":
        raise ValueError(f"{entry['data-ref']!r} is no reference to raw data")
    return hour.joinpath(*tail)
