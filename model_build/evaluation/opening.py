"""The log of the test split: each final model opens it once."""

from pathlib import Path

import msgspec
from linewatch_common.clock import utc_now
from linewatch_common.errors import InputError
from linewatch_common.files import write_atomically

from model_build.data.pixels import read_bounded

LOG_FILE = "test-openings.jsonl"


class Opening(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Model `model` was judged on the test split by these predictions."""

    at: str
    model: str
    splits: str
    predictions: str


def open_test_split(folder: Path, model: str, splits: str, predictions: str) -> int:
    """Note the opening and return how often this split was opened by different models, this one included.

    A repetition with the same predictions is no new opening. Raises InputError when this model was judged by other ones
    before: whoever may try again until the figures please has tuned on the test split. Raises StorageError.
    """
    path = folder / LOG_FILE
    before = [line for line in _log(path) if line.splits == splits]
    for line in before:
        if line.model == model and line.predictions != predictions:
            raise InputError(
                f"model {model[:12]} opened the test split at {line.at} with other predictions: once is all"
            )
    if not any(line.model == model for line in before):
        before.append(Opening(utc_now(), model, splits, predictions))
        old = read_bounded(path) if path.exists() else b""
        write_atomically(path, old + msgspec.json.encode(before[-1]) + b"\n", mode=0o644)
    return len({line.model for line in before})


def _log(path: Path) -> list[Opening]:
    if not path.exists():
        return []
    try:
        return [msgspec.json.decode(line, type=Opening) for line in read_bounded(path).splitlines() if line]
    except msgspec.DecodeError as error:
        raise InputError(f"{path}: {error}") from error
