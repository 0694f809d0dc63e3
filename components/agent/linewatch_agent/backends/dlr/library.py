"""DLR's library (libdlr.so) by its C interface. Used in the process of its own only; the only caller of these functions."""

import ctypes
import os
from collections.abc import Callable, Sequence
from ctypes import byref, c_char_p, c_int, c_int64, c_void_p
from typing import Any

from linewatch_agent.backends.dlr.wire import Described

_CPU = 1  # DLDeviceType.kDLCPU
_MOST_TENSORS, _MOST_SIDES = 64, 16


class DlrError(Exception):
    """DLR refuses. What it says may be empty: much of it is printed instead."""


class Library:
    """One loaded libdlr.so. Raises DlrError when it is none."""

    def __init__(self, path: str) -> None:
        try:
            self._library = ctypes.CDLL(path)
            self._library.DLRGetLastError.restype = c_char_p
        except (OSError, AttributeError) as error:
            raise DlrError(f"{path}: is no library of DLR: {error}") from error

    def load(self, files: Sequence[str]) -> "Model":
        """The model in `files`, which must not contain ":"; other files of their folder are not looked at."""
        handle = c_void_p()
        self.call("CreateDLRModel", byref(handle), os.fsencode(":".join(files)), c_int(_CPU), c_int(0))
        return Model(self, handle)

    def call(self, name: str, *arguments: Any) -> None:
        """Raises DlrError when it fails."""
        try:
            function: Callable[..., int] = getattr(self._library, name)
        except AttributeError as error:
            raise DlrError(f"this library of DLR is too old: it has no {name}") from error
        if function(*arguments):
            said = self._library.DLRGetLastError() or b""
            raise DlrError(said.decode("utf-8", "replace"))


class Model:
    """A model in memory: its tensors' raw names, and what they are."""

    def __init__(self, library: Library, handle: c_void_p) -> None:
        self._library = library
        self._handle = handle
        if self._text("GetDLRBackend") != b"tvm":
            raise DlrError("only compiled graphs (TVM) are run, no tree or TensorFlow models")
        self._names = [self._text("GetDLRInputName", place) for place in range(self._count("GetDLRNumInputs"))]
        self.inputs = tuple(self._described("Input", name, place) for place, name in enumerate(self._names))
        outputs = range(self._count("GetDLRNumOutputs"))
        self.outputs = tuple(self._described("Output", self._output_name(place), place) for place in outputs)

    def run(self, inputs: Sequence[memoryview], outputs: Sequence[memoryview]) -> None:
        """Predict from `inputs` into `outputs`, writable, in the order and of the sizes of the descriptions. Raises DlrError."""
        for name, spec, data in zip(self._names, self.inputs, inputs, strict=True):
            shape = (c_int64 * len(spec.shape))(*spec.shape)
            self._library.call("SetDLRInput", byref(self._handle), name, shape, _address(data), c_int(len(spec.shape)))
        self._library.call("RunDLRModel", byref(self._handle))
        for place, data in enumerate(outputs):
            self._library.call("GetDLROutput", byref(self._handle), c_int(place), _address(data))

    def _described(self, kind: str, name: bytes, place: int) -> Described:
        size, sides = c_int64(), c_int()
        self._library.call(f"GetDLR{kind}SizeDim", byref(self._handle), c_int(place), byref(size), byref(sides))
        if not 0 <= sides.value <= _MOST_SIDES:
            raise DlrError(f"tensor {place} has {sides.value} dimensions")
        shape = (c_int64 * sides.value)()
        self._library.call(f"GetDLR{kind}Shape", byref(self._handle), c_int(place), shape)
        if min(shape, default=1) < 1:
            raise DlrError(f"tensor {place} has no fixed shape: {list(shape)}")
        dtype = self._text(f"GetDLR{kind}Type", place).decode("ascii", "replace")
        return Described(name.decode("utf-8", "replace"), dtype, tuple(shape))

    def _output_name(self, place: int) -> bytes:
        """As in compiled.meta; without that file DLR knows none."""
        described = ctypes.c_bool()
        self._library.call("GetDLRHasMetadata", byref(self._handle), byref(described))
        return self._text("GetDLROutputName", place) if described else f"output_{place}".encode()

    def _count(self, function: str) -> int:
        count = c_int()
        self._library.call(function, byref(self._handle), byref(count))
        if not 0 <= count.value <= _MOST_TENSORS:
            raise DlrError(f"{count.value} tensors, at most {_MOST_TENSORS} are taken")
        return count.value

    def _text(self, function: str, *place: int) -> bytes:
        said = c_char_p()
        self._library.call(function, byref(self._handle), *(c_int(one) for one in place), byref(said))
        return said.value or b""


def _address(data: memoryview) -> Any:
    """Of the first byte. `data` must be writable, which is what ctypes asks of everything."""
    return (ctypes.c_char * len(data)).from_buffer(data)
