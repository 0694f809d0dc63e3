"""A Keras net as the bytes of a `.keras` file; the same net gives the same bytes."""

import io
import json
import tempfile
import warnings
import zipfile
from pathlib import Path
from typing import Any

from linewatch_common.errors import InputError

_NAME = "weights.keras"
_PASSING = frozenset({"date_saved", "shared_object_id"})  # the second is where an object lay in memory
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say


def keras_bytes(net: Any) -> bytes:
    """The file that Keras writes, without the time at which it was written and addresses in its memory."""
    buffer = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, _NAME)
        net.save(path)
        with zipfile.ZipFile(path) as written, zipfile.ZipFile(buffer, "w") as timeless:
            for name in sorted(written.namelist()):
                content = written.read(name)
                if name.endswith(".json"):
                    content = json.dumps(_timeless(json.loads(content)), sort_keys=True).encode()
                timeless.writestr(zipfile.ZipInfo(name, _LONG_AGO), content)
    return buffer.getvalue()


def _timeless(thing: Any) -> Any:
    if isinstance(thing, list):
        return [_timeless(part) for part in thing]
    if isinstance(thing, dict):
        return {key: _timeless(part) for key, part in thing.items() if key not in _PASSING}
    return thing


def load_keras_bytes(net: Any, data: bytes) -> None:
    """Take the weights, nothing else that the file says. Raises InputError when they are corrupt or of another net."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, _NAME)
        path.write_bytes(data)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # Keras only warns of layers that it could not fill
                net.load_weights(path)
        except (ValueError, KeyError, OSError, TypeError, UserWarning, zipfile.BadZipFile) as error:
            raise InputError(f"the weights are of another net, or corrupt: {str(error).splitlines()[0]}") from error
