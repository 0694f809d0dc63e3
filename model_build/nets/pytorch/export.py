"""A net in PyTorch as ONNX opset 17, normalisation and probabilities in the graph."""
# torch is not installed where the types are checked:
# mypy: disable-error-code="misc"

import copy
import warnings
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from model_build.nets.interface import DEVIATION, INPUT, MASK, MEAN, SCORE, Setup

OPSET = 17


class Graph(nn.Module):
    """What is exported: uint8 (1, H, W, 3) RGB in; probabilities out, the outputs that the net has."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        for name, figures in (("mean", MEAN), ("deviation", DEVIATION)):
            self.register_buffer(name, torch.tensor(figures).view(1, 3, 1, 1))

    def forward(self, picture: Tensor) -> tuple[Tensor, ...]:
        """Score (1, 1) and/or mask (1, classes, h, w)."""
        planes = picture.permute(0, 3, 1, 2).float()
        # As the learner normalises: what was learnt is what is exported.
        score, mask = self.net(planes * (1.0 / (255.0 * self.deviation)) - self.mean / self.deviation)
        return tuple(torch.sigmoid(logits) for logits in (score, mask) if logits is not None)


def export(net: nn.Module, setup: Setup, path: Path) -> None:
    """Write the net, see model_build.nets.interface.Learner."""
    graph = Graph(copy.deepcopy(net).cpu().to(memory_format=torch.contiguous_format)).eval()
    example = torch.zeros((1, setup.height, setup.width, 3), dtype=torch.uint8)
    names = [name for name in (SCORE, MASK) if name in setup.net.outputs]
    with warnings.catch_warnings():
        # The older exporter writes a smaller graph at the opset we promise; its deprecation is known.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph,
            (example,),
            str(path),
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=names,
            dynamo=False,
        )
    model = onnx.load(str(path))
    model.producer_version = ""  # the version stands in run.json; the bytes depend on the weights alone
    model.doc_string = ""
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
