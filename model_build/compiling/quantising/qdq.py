"""INT8 by ONNX Runtime's static quantisation, stated in the graph as QuantizeLinear and DequantizeLinear (QDQ).

Weights are quantised per channel to int8, activations per tensor to uint8: what OpenVINO and ONNX Runtime both run as 8-bit kernels.
"""

import contextlib
import io
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from linewatch_common.errors import InputError
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from model_build.compiling.artefact import Format
from model_build.compiling.pictures import Calibration
from model_build.compiling.quantising.graph import edges, ends
from model_build.compiling.targets import MODEL_FILE, Recipe
from model_build.nets.interface import INPUT

# What the runtime itself raises while it calibrates has no base class of its own.
_RUNTIME = tuple(
    kind for kind in vars(onnxruntime_pybind11_state).values() if isinstance(kind, type) and issubclass(kind, Exception)
)
Kept = Literal["nothing", "ends", "edges"]
# A histogram needs every activation of its pictures in memory at once (0.1 GB each at 256 x 640), of all of them together: the
# few numbers of a head have no range of their own within a few pictures of one kind.
_HISTOGRAM_PICTURES = 8


@dataclass(frozen=True, slots=True)
class Qdq:
    """`calibrate`: a tensor's range is its extremes, or leaves out the rarest values. `operators`: those quantised, () is all.

    `floating`: what stays float: nothing, the ends (the first convolution and pooled features), or the edges (it and all that lies
    behind the last convolutions, with these).
    """

    name: str
    calibrate: Literal["minmax", "percentile"] = "minmax"
    operators: tuple[str, ...] = ()
    floating: Kept = "nothing"
    format: Format = "onnx"

    def make(self, model: Path, calibration: Calibration, folder: Path) -> str:
        """See Recipe."""
        try:
            with _quiet():
                simplified = _simplified(model)
                quantize_static(
                    simplified,
                    folder / MODEL_FILE,
                    _Reader(calibration if self.calibrate == "minmax" else _spread(calibration)),
                    quant_format=QuantFormat.QDQ,
                    op_types_to_quantize=list(self.operators) or None,
                    per_channel=True,
                    weight_type=QuantType.QInt8,
                    activation_type=QuantType.QUInt8,
                    nodes_to_exclude=self._excluded(simplified),
                    calibrate_method=_METHODS[self.calibrate],
                    extra_options=_OPTIONS[self.calibrate],
                    # The ranges do not depend on what stays float: measured once for several recipes.
                    calibration_cache_path=model.with_name(f"{self.calibrate}-{'-'.join(self.operators)}.json"),
                )
        except (ValueError, RuntimeError, DecodeError, onnx.checker.ValidationError, *_RUNTIME) as error:
            raise InputError(f"onnxruntime cannot quantise it: {str(error).splitlines()[0]}") from error
        return MODEL_FILE

    def _excluded(self, model: Path) -> list[str]:
        graph = onnx.load(model).graph
        kept = {"nothing": frozenset[str](), "ends": ends(graph), "edges": edges(graph)}
        return sorted(kept[self.floating])


# Without the ends in float, our net's scores lie four times as far from the float model's, for 4 % of its time (docs/compiling.md).
STAGES: tuple[tuple[Recipe, ...], ...] = (
    (Qdq("qdq-minmax-float-ends", floating="ends"),),
    (
        Qdq("qdq-percentile-float-ends", calibrate="percentile", floating="ends"),
        Qdq("qdq-minmax-float-edges", floating="edges"),
    ),
    (
        Qdq("qdq-percentile-float-edges", calibrate="percentile", floating="edges"),
        Qdq("qdq-minmax-convolutions", operators=("Conv", "Gemm", "MatMul")),
    ),
)
_METHODS = {"minmax": CalibrationMethod.MinMax, "percentile": CalibrationMethod.Percentile}
_OPTIONS: dict[str, dict[str, Any]] = {
    "minmax": {},
    "percentile": {"CalibPercentile": 99.999},
}


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """Feeds the pictures."""

    def __init__(self, calibration: Calibration) -> None:
        self._pictures: Iterator[NDArray[np.uint8]] = calibration.tensors()

    def get_next(self) -> dict[str, Any] | None:
        """See CalibrationDataReader."""
        picture = next(self._pictures, None)
        return None if picture is None else {INPUT: picture}


def _spread(calibration: Calibration) -> Calibration:
    """A few of them, evenly spread over all."""
    ids = calibration.ids
    count = min(len(ids), _HISTOGRAM_PICTURES)
    return replace(calibration, ids=tuple(ids[place * len(ids) // count] for place in range(count)))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the quantiser's advice, which every model gets."""
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # the calibrator prints
            yield
    finally:
        logging.disable(logging.NOTSET)


def _simplified(model: Path) -> Path:
    """The model with its shapes inferred and its batch normalisations folded, kept beside it for the next recipe."""
    beside = model.with_name("simplified.onnx")
    if not beside.exists():
        quant_pre_process(model, beside, skip_symbolic_shape=True)
    return beside
