"""Which captures may go first when room is wanted: those that a program sampled from normal production."""

import base64
import json
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from linewatch_agent.captures.request import CaptureRequest

# The stem of an auxiliary item's name ("verdict", "verdict.json"), or a key of a JSON object in any JSON item.
_HINTS = frozenset({"verdict", "outcome", "label"})
_NORMAL = frozenset({"pass", "normal", "good", "ok"})
# Longer text is data, not a verdict.
_LONGEST_BYTES = 4096


def is_sampled_normal(request: CaptureRequest) -> bool:
    """Whether the capture says of itself that it is ordinary: `sampled` is true, or its verdict is normal.

    A capture that says nothing, or that says anything else anywhere, is kept as long as possible.
    """
    items = (*request.auxiliary_inputs, *request.auxiliary_outputs)
    return _is_ordinary((item.name, item.data) for item in items)


def is_sampled_line(line: Mapping[str, Any], hour_folder: Path) -> bool:
    """The same of a capture that is a JSON line already; its raw data lies below `hour_folder`."""
    entries = [*line.get("deviceFleetAuxiliaryInputs", []), *line.get("deviceFleetAuxiliaryOutputs", [])]
    try:
        return _is_ordinary((entry["name"], _bytes_of(entry, hour_folder)) for entry in entries)
    except (KeyError, ValueError, TypeError, AttributeError, OSError):
        return False  # not a line of ours


def _bytes_of(entry: Mapping[str, str], hour_folder: Path) -> bytes:
    if "data" in entry:
        return base64.b64decode(entry["data"]) if entry["encoding"] == "BASE64" else entry["data"].encode()
    with hour_folder.joinpath(*PurePosixPath(entry["data-ref"]).parts[-3:]).open("rb") as file:
        return file.read(_LONGEST_BYTES + 1)


def _is_ordinary(items: Iterable[tuple[str, bytes]]) -> bool:
    said = [_said_by(name, data) for name, data in items]
    return True in said and False not in said


def _said_by(name: str, data: bytes) -> bool | None:
    """True: ordinary. False: not. None: it does not say."""
    if len(data) > _LONGEST_BYTES:
        return None
    stem = name.partition(".")[0].lower()
    value = _value(data)
    if stem in _HINTS or stem == "sampled":
        return _judged(stem, value.get(stem, value) if isinstance(value, dict) else value)
    if not isinstance(value, dict):
        return None
    said = [_judged(key, value[key]) for key in (*_HINTS, "sampled") if key in value]
    return all(said) if said else None


def _judged(hint: str, value: Any) -> bool:
    text = str(value).strip().lower()
    return text in ("true", "1") if hint == "sampled" else text in _NORMAL


def _value(data: bytes) -> Any:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
