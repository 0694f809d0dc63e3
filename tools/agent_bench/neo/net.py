"""Makes the net: ResNet18 in float32, the same weights as the INT8 one's. In the environment of the group `bench`: `... neo.net FOLDER`."""

import sys
from pathlib import Path

from onnx import TensorProto

from tools.agent_bench.nets import Graph, as_model, resnet18, save
from tools.agent_bench.shapes import SIDE


def make(folder: Path) -> None:
    """Write `folder`/model.onnx."""
    graph = Graph()
    output = resnet18(graph, "x")
    save(as_model(graph, ("x", TensorProto.FLOAT, [1, 3, SIDE, SIDE]), (output, TensorProto.FLOAT, [1, 2])), folder)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
