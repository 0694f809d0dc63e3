"""INT8 by nncf's post-training quantisation, as OpenVINO's own form (IR)."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

# nncf reports its use to a web analytics service unless it is told that it runs in a test.
os.environ.setdefault("NNCF_CI", "1")

import nncf
import openvino
from linewatch_common.errors import InputError

from model_build.compiling.artefact import Format
from model_build.compiling.pictures import Calibration

_FILE = "model.xml"


@dataclass(frozen=True, slots=True)
class Nncf:
    """`preset`: activations symmetric throughout (performance), or not where they have a sign (mixed)."""

    name: str
    preset: Literal["performance", "mixed"]
    format: Format = "openvino"

    def make(self, model: Path, calibration: Calibration, folder: Path) -> str:
        """See Recipe."""
        nncf.set_log_level(logging.ERROR)
        preset = {"performance": nncf.QuantizationPreset.PERFORMANCE, "mixed": nncf.QuantizationPreset.MIXED}[
            self.preset
        ]
        try:
            plain = openvino.Core().read_model(os.fspath(model))
            pictures = nncf.Dataset(list(calibration.tensors()))
            quantised = nncf.quantize(plain, pictures, preset=preset, subset_size=len(calibration.ids))
            openvino.save_model(quantised, folder / _FILE, compress_to_fp16=False)
        except (RuntimeError, nncf.ValidationError, nncf.InternalError) as error:
            raise InputError(f"nncf cannot quantise it: {str(error).splitlines()[0]}") from error
        return _FILE
