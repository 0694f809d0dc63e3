"""What a model takes and gives, and the check of what a client sends against it."""

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from linewatch_agent.errors import BadRequestError
from linewatch_agent.shared_memory import Segment

Array = npt.NDArray[np.generic]
Tensors = dict[str, Array]

# What the wire can carry, by numpy name.
WIRE_DTYPES = frozenset({"uint8", "int16", "int32", "int64", "float16", "float32", "float64"})
DYNAMIC = -1
_BLAS_BYTES = 4  # BLAS multiplies single and double precision; numpy itself is slow at half precision


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An input or output of a model; a side of -1 is dynamic."""

    name: str
    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]

    @property
    def fixed(self) -> bool:
        """Whether no side is dynamic."""
        return DYNAMIC not in self.shape

    def admits(self, shape: tuple[int, ...]) -> bool:
        """Whether a tensor of `shape` fits."""
        return len(shape) == len(self.shape) and all(
            want in (DYNAMIC, got) for want, got in zip(self.shape, shape, strict=True)
        )

    def __str__(self) -> str:
        sides = ", ".join("?" if side == DYNAMIC else str(side) for side in self.shape)
        return f"{self.name!r} {self.dtype}[{sides}]"


@dataclass(frozen=True, slots=True)
class SentTensor:
    """A tensor as it came: elements in C order, and what the client says of them (None: nothing)."""

    data: bytes | Segment
    name: str | None = None
    dtype: np.dtype[np.generic] | None = None
    shape: tuple[int, ...] | None = None


def matched_inputs(sent: Sequence[SentTensor], specs: Sequence[TensorSpec], attached: ExitStack) -> Tensors:
    """The sent tensors as arrays by the model's input names, over the bytes or the segments that were sent, without a copy.

    They are for reading, until `attached` is closed: then the segments are detached. A tensor with a name belongs to the input of
    that name, one without to the input at its place. Raises BadRequestError with one line that names the tensor and what the model wants.
    """
    if len(sent) != len(specs):
        raise BadRequestError(f"{len(sent)} input tensors, but the model takes {len(specs)}: {_listed(specs)}")
    by_name = {spec.name: spec for spec in specs}
    inputs: Tensors = {}
    for place, tensor in enumerate(sent):
        spec = _spec_of(tensor, place, specs, by_name)
        if spec.name in inputs:
            raise BadRequestError(f"input {spec.name!r} is given twice; the model takes {_listed(specs)}")
        inputs[spec.name] = _as_array(tensor, spec, attached)
    return inputs


def _as_array(tensor: SentTensor, spec: TensorSpec, attached: ExitStack) -> Array:
    """The sent bytes as `spec` wants them. Raises BadRequestError on another dtype, shape or byte count, and on NaN and infinity."""
    dtype = spec.dtype if tensor.dtype is None else tensor.dtype
    # No sides may be a scalar's, or were left out: of one element both have the same bytes.
    shape = spec.shape if tensor.shape is None or (not tensor.shape and spec.fixed) else tensor.shape
    if dtype != spec.dtype:
        raise BadRequestError(f"input {spec.name!r}: {dtype} was sent, the model takes {spec.dtype}")
    if not spec.admits(shape):
        raise BadRequestError(f"input {spec.name!r}: shape {list(shape)} was sent, the model takes {spec}")
    if DYNAMIC in shape:
        raise BadRequestError(f"input {spec.name!r}: the model takes {spec}, so the tensor must come with its shape")
    expected = math.prod(shape) * dtype.itemsize
    data = tensor.data
    content = attached.enter_context(data.attached(expected)) if isinstance(data, Segment) else data
    if len(content) != expected:
        raise BadRequestError(
            f"input {spec.name!r}: {len(content)} bytes were sent, {dtype}{list(shape)} takes {expected}"
        )
    array = np.frombuffer(content, dtype=dtype).reshape(shape)
    # A net answers a NaN with a score that looks like any other.
    if dtype.kind == "f" and not _finite(array):
        raise BadRequestError(f"input {spec.name!r}: holds NaN or infinity; send finite numbers")
    return array


def _finite(array: Array) -> bool:
    """Whether all numbers are. The sum of squares says so without new memory, and in half the time, but for numbers near the largest."""
    if array.dtype.itemsize >= _BLAS_BYTES:
        flat = array.reshape(-1)
        with np.errstate(over="ignore", invalid="ignore"):
            if math.isfinite(np.dot(flat, flat)):
                return True
    return bool(np.isfinite(array).all())


def zeros(specs: Sequence[TensorSpec]) -> Tensors | None:
    """An input of zeros for a warm-up run; None when a side other than the first (the batch) is dynamic. Raises MemoryError."""
    made: Tensors = {}
    for spec in specs:
        shape = (1, *spec.shape[1:]) if spec.shape[:1] == (DYNAMIC,) else spec.shape
        if DYNAMIC in shape:
            return None
        try:
            made[spec.name] = np.zeros(shape, spec.dtype)
        except ValueError as error:  # more bytes than there are addresses
            raise MemoryError from error
    return made


def total_bytes(tensors: Mapping[str, Array]) -> int:
    """The bytes of all arrays."""
    return sum(array.nbytes for array in tensors.values())


def _spec_of(
    tensor: SentTensor, place: int, specs: Sequence[TensorSpec], by_name: Mapping[str, TensorSpec]
) -> TensorSpec:
    if tensor.name is None:
        return specs[place]
    spec = by_name.get(tensor.name)
    if spec is None:
        raise BadRequestError(f"the model has no input {tensor.name[:100]!r}; it takes {_listed(specs)}")
    return spec


def _listed(specs: Sequence[TensorSpec]) -> str:
    return ", ".join(str(spec) for spec in specs)
