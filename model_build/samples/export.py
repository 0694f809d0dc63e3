"""A trained net as ONNX opset 17, everything in the graph: uint8 NHWC in; score or uint8 mask out."""

import warnings
from pathlib import Path

import onnx
import torch
from torch import nn

from model_build.samples.plan import INPUT

OPSET = 17


def export(graph: nn.Module, height: int, width: int, output: str, path: Path) -> None:
    """Write the graph with input `picture` uint8 (1, height, width, 3) and one named output."""
    example = torch.zeros((1, height, width, 3), dtype=torch.uint8)
    with warnings.catch_warnings():
        # The older exporter writes a smaller graph at the opset we promise; its deprecation is known.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph.eval(),
            (example,),
            str(path),
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[output],
            dynamo=False,
        )
    model = onnx.load(str(path))
    model.producer_version = ""  # the version is in the provenance; the bytes depend on the weights alone
    model.doc_string = ""
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
