"""A list of arrays as bytes and back: a learner's state, without pickled objects."""

import io
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np
from linewatch_common.errors import InputError
from numpy.typing import NDArray


def packed(arrays: Sequence[NDArray[Any]]) -> bytes:
    """The arrays in order."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{f"{place:05}": array for place, array in enumerate(arrays)})
    return buffer.getvalue()


def unpacked(data: bytes, shapes: Sequence[tuple[int, ...]]) -> list[NDArray[Any]]:
    """The way back. Raises InputError when it is corrupt, or does not hold arrays of these shapes."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = [archive[name] for name in sorted(archive.files)]
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"the checkpoint cannot be read: {error}") from error
    if [array.shape for array in arrays] != list(shapes):
        raise InputError("the checkpoint is of another net")
    return arrays
