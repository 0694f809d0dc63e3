"""What is in a prepared set: counts, sizes, areas, duplicates and suspects, as JSON and as contact sheets."""

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
from linewatch_common.errors import InputError, StorageError
from linewatch_common.files import write_atomically

from model_build.data.drawing import is_drawn
from model_build.data.duplicates import clusters, indistinct
from model_build.data.prepared import Entry, PreparedSet
from model_build.data.records import Mask, Picture
from model_build.data.splits import Splits, thin_classes

REPORT_FILE = "data-report.json"
_CELL = 220  # pixels of a contact sheet's cell, longer side
_COLUMNS = 8
_SHOWN = 48
_RED = (40, 40, 230)
TINY_SHARE = 1e-5  # a defect below this share of its picture is one that a model's input may lose


def summary(data: PreparedSet, splits: Splits | None = None) -> dict[str, Any]:
    """The report's figures. `suspects` names what a person should look at: what was left out, and odd areas."""
    entries = data.index.entries
    return {
        "schema": "linewatch.DataReport/1",
        "data": data.digest,
        "layout": data.index.layout,
        "counts": _counts(entries),
        "drawn_defects": sum(entry.defective and is_drawn(entry) for entry in entries),
        "parts": len({entry.part for entry in entries}),
        "sizes": dict(Counter(f"{entry.width}x{entry.height}" for entry in entries).most_common(20)),
        "defect_area_share": {name: _quantiles(entries, name) for name in data.index.classes},
        "duplicates": [list(group) for group in clusters(entries)],
        "indistinct": indistinct(entries),
        "thin_classes": {} if splits is None else thin_classes(splits, entries),
        "suspects": [{"id": left.id, "reason": left.reason} for left in data.index.left_out] + _odd(entries),
        "splits": {} if splits is None else _by_split(data, splits),
        "left_out_of_training": list(splits.left_out) if splits is not None else [],
    }


def write_report(
    folder: Path, data: PreparedSet, splits: Splits | None, steps: Callable[[Iterable[str]], Iterable[str]]
) -> Path:
    """Write the JSON and the contact sheets `defects-N.png`, `duplicates.png`; returns the JSON's path.

    `steps` wraps the ids to show progress. Raises InputError, StorageError.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{folder}: cannot make the folder: {error.strerror}") from error
    figures = summary(data, splits)
    defective = [entry.id for entry in data.index.entries if entry.defective]
    for number, start in enumerate(range(0, len(defective), _SHOWN), start=1):
        cells = [_cell(data, name) for name in steps(defective[start : start + _SHOWN])]
        write_sheet(folder / f"defects-{number}.png", cells)
    twins = [name for group in figures["duplicates"][: _SHOWN // 2] for name in group[:2]]
    if twins:
        write_sheet(folder / "duplicates.png", [_cell(data, name) for name in steps(twins)])
    path = folder / REPORT_FILE
    write_atomically(path, msgspec.json.format(msgspec.json.encode(figures), indent=1) + b"\n", mode=0o644)
    return path


def write_sheet(path: Path, cells: Sequence[Picture]) -> None:
    """One picture of many small ones, BGR, in rows of eight. Raises StorageError."""
    height, width = max(cell.shape[0] for cell in cells), max(cell.shape[1] for cell in cells)
    rows = -(-len(cells) // _COLUMNS)
    sheet = np.full((rows * height, min(_COLUMNS, len(cells)) * width, 3), 255, np.uint8)
    for index, cell in enumerate(cells):
        top, left = index // _COLUMNS * height, index % _COLUMNS * width
        sheet[top : top + cell.shape[0], left : left + cell.shape[1]] = cell
    done, encoded = cv2.imencode(".png", sheet)
    if not done:
        raise InputError(f"{path}: a {sheet.shape} sheet cannot be encoded")
    write_atomically(path, bytes(encoded), mode=0o644)


def drawn(picture: Picture, mask: Mask, caption: str) -> Picture:
    """A small BGR picture with the outlines of `mask` bool (H, W) in red and a caption above."""
    scale = _CELL / max(picture.shape[:2])
    size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    if small.ndim == 2:
        small = cv2.cvtColor(small, cv2.COLOR_GRAY2BGR)
    # Areas, not nearest pixels: a scratch of two pixels must not vanish from the sheet.
    area = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0
    outline = cv2.dilate(area.astype(np.uint8), np.ones((3, 3), np.uint8)) - area.astype(np.uint8)
    small[outline > 0] = _RED
    cell = np.full((small.shape[0] + 18, max(small.shape[1], 9 * len(caption)) + 6, 3), 255, np.uint8)
    cell[18:, : small.shape[1]] = small
    cv2.putText(cell, caption, (1, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
    return cell


def _cell(data: PreparedSet, name: str) -> Picture:
    example = data.example(name)
    return drawn(
        example.picture, np.asarray(example.mask.any(axis=0)), f"{name}{' weak' if example.entry.weak else ''}"
    )


def _counts(entries: Iterable[Entry]) -> dict[str, int]:
    found = list(entries)
    counts = {
        "pictures": len(found),
        "good": sum(not entry.defective for entry in found),
        "defective": sum(entry.defective for entry in found),
        "weak": sum(entry.weak for entry in found),
    }
    return counts | {f"class {name}": number for name, number in Counter(n for e in found for n in e.areas).items()}


def _by_split(data: PreparedSet, splits: Splits) -> dict[str, dict[str, int]]:
    sides = splits.splits | {f"fold {number}": fold for number, fold in enumerate(splits.folds)}
    return {side: _counts(data.entries[name] for name in names) for side, names in sides.items()}


def _quantiles(entries: Iterable[Entry], name: str) -> dict[str, float]:
    shares = sorted(entry.areas[name] / (entry.width * entry.height) for entry in entries if name in entry.areas)
    if not shares:
        return {}
    return {"smallest": shares[0], "median": statistics.median(shares), "largest": shares[-1]}


def _odd(entries: Iterable[Entry]) -> list[dict[str, str]]:
    odd = []
    for entry in entries:
        share = sum(entry.areas.values()) / (entry.width * entry.height)
        if entry.weak:
            odd.append({"id": entry.id, "reason": "defective without a mask: trains the picture's score only"})
        elif entry.defective and share < TINY_SHARE:
            odd.append({"id": entry.id, "reason": f"the mask covers {sum(entry.areas.values())} pixel(s) only"})
        elif share > 0.5:
            odd.append({"id": entry.id, "reason": f"the mask covers {share:.0%} of the picture: inverted?"})
    return odd
