"""What both adapters share in describing a model."""

import numpy as np

from linewatch_agent.errors import NotLoadableError
from linewatch_agent.tensors import WIRE_DTYPES, TensorSpec

# The wire's sides are int32.
_MAX_SIDE = 2**31 - 1


def spec_for_wire(name: str, dtype: "np.dtype[np.generic] | str", shape: tuple[int, ...]) -> TensorSpec:
    """A spec with a name in valid UTF-8. Raises NotLoadableError for an element type or a side that the wire cannot carry."""
    known = str(dtype)
    if known not in WIRE_DTYPES:
        raise NotLoadableError(
            f"tensor {name!r} has elements of {known}, which the interface cannot carry: "
            f"convert it in the model's graph to one of {', '.join(sorted(WIRE_DTYPES))}"
        )
    if max(shape, default=0) > _MAX_SIDE:
        raise NotLoadableError(f"tensor {name!r}: its shape {list(shape)} has a side that the interface cannot carry")
    return TensorSpec(name.encode("utf-8", "replace").decode(), np.dtype(known), shape)


def first_line(error: BaseException, length: int = 300) -> str:
    """What a runtime's long complaint begins with, or its last line where the first only names a source file of the runtime."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    untelling = (
        "Exception from",
        "Check '",
        "FrontEnd API failed",
        "Model wasn't fully converted",
        "Loading input model",
        "Summary:",
    )
    # "-- Conv with a message:" stands above the message.
    telling = [line for line in lines if not line.startswith(untelling) and not line.endswith("with a message:")]
    return next(iter(telling or lines), type(error).__name__).removeprefix("-- ")[:length]
