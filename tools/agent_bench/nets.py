"""Makes the benched models: INT8 nets of well-known shapes with seeded random weights, as ONNX.

Runs in the environment of the group `bench` (onnx, onnxruntime): `python -m tools.agent_bench.nets FOLDER`. Speed does not depend on what
a net has learnt, only on its shape; agreement of outputs is checked by tests on models that were really trained.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from tools.agent_bench.shapes import DEVIATION, MEAN, SIDE

OPSET = 17
SEED = 20_240_426
CALIBRATION_PICTURES = 8


class Graph:
    """A net that grows node by node; every method takes and gives tensor names."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._random = np.random.default_rng(SEED)

    def constant(self, value: Any) -> str:
        """A stored tensor."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """One operation with one output."""
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=f"{kind}_{len(self.nodes)}", **attributes))
        return name

    def convolution(self, x: str, channels: tuple[int, int], side: int = 3, stride: int = 1, groups: int = 1) -> str:
        """A convolution with bias (a batch normalisation is folded into it), weights scaled so that activations keep their size."""
        taken, given = channels
        fan_in = taken // groups * side * side
        weights = self._random.normal(0, (2 / fan_in) ** 0.5, (given, taken // groups, side, side))
        bias = self.constant(self._random.normal(0, 0.02, given).astype(np.float32))
        pads, kernel = [side // 2] * 4, [side, side]
        weight = self.constant(weights.astype(np.float32))
        return self.node("Conv", x, weight, bias, kernel_shape=kernel, strides=[stride] * 2, pads=pads, group=groups)

    def relu6(self, x: str) -> str:
        """Clipped to 0 to 6."""
        return self.node("Clip", x, self.constant(np.float32(0)), self.constant(np.float32(6)))


def resnet18(graph: Graph, x: str) -> str:
    """ResNet18 with two classes: scores [1, 2]."""
    x = graph.node("Relu", graph.convolution(x, (3, 64), side=7, stride=2))
    x = graph.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    taken = 64
    for given, stride in ((64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)):
        y = graph.node("Relu", graph.convolution(x, (taken, given), stride=stride))
        y = graph.convolution(y, (given, given))
        if stride != 1 or taken != given:
            x = graph.convolution(x, (taken, given), side=1, stride=stride)
        x = graph.node("Relu", graph.node("Add", x, y))
        taken = given
    x = graph.node("Flatten", graph.node("GlobalAveragePool", x))
    weights = graph.constant(np.random.default_rng(SEED).normal(0, 0.001, (512, 2)).astype(np.float32))
    return graph.node("Softmax", graph.node("MatMul", x, weights), axis=1)


def unet(graph: Graph, x: str) -> str:
    """A U-Net on the encoder of MobileNetV2 with 0.35 of its channels: mask [1, 1, 224, 224], 0 to 1."""
    picture, taken = x, 16
    x = graph.relu6(graph.convolution(x, (3, taken), stride=2))
    skips: list[tuple[str, int]] = [(picture, 3)]
    # channels, stride, expansion; the expanded maps before these strides are the skips.
    blocks = [(8, 1, 1), (8, 2, 6), (8, 1, 6), (16, 2, 6), (16, 1, 6), (16, 1, 6), (24, 2, 6), (24, 1, 6), (24, 1, 6)]
    blocks += [(24, 1, 6), (32, 1, 6), (32, 1, 6), (32, 1, 6)]
    for given, stride, expansion in blocks:
        hidden = taken * expansion
        y = x if expansion == 1 else graph.relu6(graph.convolution(x, (taken, hidden), side=1))
        if stride == 2:
            skips.append((y, hidden))
        y = graph.relu6(graph.convolution(y, (hidden, hidden), stride=stride, groups=hidden))
        y = graph.convolution(y, (hidden, given), side=1)
        x = graph.node("Add", x, y) if stride == 1 and taken == given else y
        taken = given
    x, taken = graph.relu6(graph.convolution(x, (taken, taken * 6), side=1)), taken * 6
    twice = graph.constant(np.array([1, 1, 2, 2], np.float32))
    for given in (64, 48, 32, 16):
        skip, more = skips.pop()
        x = graph.node(
            "Resize", x, "", twice, mode="nearest", nearest_mode="floor", coordinate_transformation_mode="asymmetric"
        )
        x = graph.node("Concat", x, skip, axis=1)
        x = graph.node("Relu", graph.convolution(x, (taken + more, given)))
        x = graph.node("Relu", graph.convolution(x, (given, given)))
        taken = given
    return graph.node("Sigmoid", graph.convolution(x, (taken, 1), side=1))


def as_model(graph: Graph, taken: tuple[str, int, list[int]], given: tuple[str, int, list[int]]) -> Any:
    """A checked ONNX model with one input and one output: name, element type, shape."""
    inputs, outputs = ([helper.make_tensor_value_info(*port)] for port in (taken, given))
    made = helper.make_graph(graph.nodes, "bench", inputs, outputs, graph.constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


class Calibration(CalibrationDataReader):  # type: ignore[misc]  # onnx is not installed where types are checked
    """Seeded pictures of noise."""

    def __init__(self) -> None:
        random = np.random.default_rng(SEED)
        self._pictures: Iterator[Any] = iter(
            [random.normal(0, 1, (1, 3, SIDE, SIDE)).astype(np.float32) for _ in range(CALIBRATION_PICTURES)]
        )

    def get_next(self) -> dict[str, Any] | None:
        """See CalibrationDataReader."""
        picture = next(self._pictures, None)
        return None if picture is None else {"x": picture}


def quantised(model: Any) -> Any:
    """The same net in INT8: quantisation per channel, stated in the graph (QDQ)."""
    with tempfile.TemporaryDirectory() as folder:
        plain, small = Path(folder, "plain.onnx"), Path(folder, "int8.onnx")
        onnx.save(model, plain)
        quantize_static(
            plain,
            small,
            Calibration(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
        return onnx.load(small)


def with_preparation(model: Any, *, mask: bool) -> Any:
    """The same net behind its preparation: `picture` uint8 [1, 224, 224, 3] in; with `mask`, the output as uint8, 0 to 255."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph = made.graph
    shape = [1, 3, 1, 1]
    graph.initializer.extend(
        [
            numpy_helper.from_array(np.array(MEAN, np.float32).reshape(shape), "mean"),
            numpy_helper.from_array(np.array(DEVIATION, np.float32).reshape(shape), "deviation"),
            numpy_helper.from_array(np.float32(255), "white"),
        ]
    )
    before = [
        helper.make_node("Transpose", ["picture"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["numbers", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "deviation"], ["x"]),
    ]
    for place, node in enumerate(before):
        graph.node.insert(place, node)
    graph.input[0].CopyFrom(helper.make_tensor_value_info("picture", TensorProto.UINT8, [1, SIDE, SIDE, 3]))
    if mask:
        output = graph.output[0]
        graph.node.append(helper.make_node("Mul", [output.name, "white"], ["bright"]))
        graph.node.append(helper.make_node("Round", ["bright"], ["whole"]))
        graph.node.append(helper.make_node("Cast", ["whole"], ["mask"], to=TensorProto.UINT8))
        output.CopyFrom(helper.make_tensor_value_info("mask", TensorProto.UINT8, [1, 1, SIDE, SIDE]))
    onnx.checker.check_model(made, full_check=True)
    return made


def make(folder: Path) -> None:
    """Write r18, r18-uint8, unet and unet-uint8, each a folder with one model.onnx."""
    picture = ("x", TensorProto.FLOAT, [1, 3, SIDE, SIDE])
    for name, net, shape in (("r18", resnet18, [1, 2]), ("unet", unet, [1, 1, SIDE, SIDE])):
        graph = Graph()
        output = net(graph, picture[0])
        small = quantised(as_model(graph, picture, (output, TensorProto.FLOAT, shape)))
        save(small, folder / name)
        save(with_preparation(small, mask=net is unet), folder / f"{name}-uint8")


def save(model: Any, folder: Path) -> None:
    """Write `model` to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / "model.onnx")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
