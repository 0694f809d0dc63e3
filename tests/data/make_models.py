"""Makes tests/data/models/*.onnx: tiny real models for the agent's tests.

Run it with an environment that has `onnx` (the group `train`): `python tests/data/make_models.py`.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FOLDER = Path(__file__).parent / "models"


def save(name: str, nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: dict[str, Any]) -> None:
    """Check a graph and write it."""
    initializers = [numpy_helper.from_array(value, key) for key, value in constants.items()]
    graph = helper.make_graph(nodes, name, inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    (FOLDER / f"{name}.onnx").write_bytes(model.SerializeToString())


def score() -> None:
    """picture uint8 [1, 4, 4, 3] -> score float32 [1, 1], the mean of all elements over 255."""
    nodes = [
        helper.make_node("Cast", ["picture"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["numbers"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Div", ["mean", "scale"], ["part"]),
        helper.make_node("Reshape", ["part", "shape"], ["score"]),
    ]
    save(
        "score",
        nodes,
        [helper.make_tensor_value_info("picture", TensorProto.UINT8, [1, 4, 4, 3])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [1, 1])],
        {"scale": np.array(255, np.float32), "shape": np.array([1, 1], np.int64)},
    )


def mask() -> None:
    """picture uint8 [1, 4, 4, 3] -> mask uint8 [1, 1, 4, 4], the first channel."""
    nodes = [
        helper.make_node("Slice", ["picture", "from", "to", "axes"], ["red"]),
        helper.make_node("Transpose", ["red"], ["mask"], perm=[0, 3, 1, 2]),
    ]
    save(
        "mask",
        nodes,
        [helper.make_tensor_value_info("picture", TensorProto.UINT8, [1, 4, 4, 3])],
        [helper.make_tensor_value_info("mask", TensorProto.UINT8, [1, 1, 4, 4])],
        {"from": np.array([0], np.int64), "to": np.array([1], np.int64), "axes": np.array([3], np.int64)},
    )


def inspector() -> None:
    """image uint8 [1, 32, 48, 3] -> mask float32 [1, 1, 8, 12], the brightness of each 4x4 cell, and score [1, 1], its largest."""
    nodes = [
        helper.make_node("Cast", ["image"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["numbers", "scale"], ["shares"]),
        helper.make_node("ReduceMean", ["shares"], ["grey"], axes=[3], keepdims=1),
        helper.make_node("Transpose", ["grey"], ["plane"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["plane"], ["mask"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("ReduceMax", ["mask"], ["score"], axes=[2, 3], keepdims=0),
    ]
    save(
        "inspector",
        nodes,
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 32, 48, 3])],
        [
            helper.make_tensor_value_info("score", TensorProto.FLOAT, [1, 1]),
            helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1, 1, 8, 12]),
        ],
        {"scale": np.array(255, np.float32)},
    )


def classifier() -> None:
    """image uint8 [1, 32, 48, 3] -> score float32 [1, 1], the brightness of the brightest cell of 4x4, as inspector's."""
    nodes = [
        helper.make_node("Cast", ["image"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["numbers", "scale"], ["shares"]),
        helper.make_node("ReduceMean", ["shares"], ["grey"], axes=[3], keepdims=1),
        helper.make_node("Transpose", ["grey"], ["plane"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["plane"], ["cells"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("ReduceMax", ["cells"], ["score"], axes=[2, 3], keepdims=0),
    ]
    save(
        "classifier",
        nodes,
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 32, 48, 3])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [1, 1])],
        {"scale": np.array(255, np.float32)},
    )


def pair() -> None:
    """a float32 [batch, 3], b float32 [3] -> total float32 [batch, 3] and difference float32 [batch, 3]."""
    nodes = [helper.make_node("Add", ["a", "b"], ["total"]), helper.make_node("Sub", ["a", "b"], ["difference"])]
    batch = ["batch", 3]
    save(
        "pair",
        nodes,
        [
            helper.make_tensor_value_info("a", TensorProto.FLOAT, batch),
            helper.make_tensor_value_info("b", TensorProto.FLOAT, [3]),
        ],
        [
            helper.make_tensor_value_info("total", TensorProto.FLOAT, batch),
            helper.make_tensor_value_info("difference", TensorProto.FLOAT, batch),
        ],
        {},
    )


def truth() -> None:
    """a float32 [2] -> positive bool [2]: an element type that the interface cannot carry."""
    save(
        "truth",
        [helper.make_node("Greater", ["a", "zero"], ["positive"])],
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info("positive", TensorProto.BOOL, [2])],
        {"zero": np.array(0, np.float32)},
    )


def fused() -> None:
    """cells float32 [1, 4, 2, 2] -> mask float32 [1, 1, 4, 4]: runtimes reorder the nodes, and their tensors' names with them."""
    nodes = [
        helper.make_node("DepthToSpace", ["cells"], ["/inner"], blocksize=2, mode="CRD"),
        helper.make_node("Sigmoid", ["/inner"], ["mask"]),
    ]
    save(
        "fused",
        nodes,
        [helper.make_tensor_value_info("cells", TensorProto.FLOAT, [1, 4, 2, 2])],
        [helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1, 1, 4, 4])],
        {},
    )


def gain() -> None:
    """a float32 [2], gain float32 [] -> scaled float32 [2]: an input without dimensions."""
    save(
        "gain",
        [helper.make_node("Mul", ["a", "gain"], ["scaled"])],
        [
            helper.make_tensor_value_info("a", TensorProto.FLOAT, [2]),
            helper.make_tensor_value_info("gain", TensorProto.FLOAT, []),
        ],
        [helper.make_tensor_value_info("scaled", TensorProto.FLOAT, [2])],
        {},
    )


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for make in (score, mask, inspector, classifier, pair, truth, fused, gain):
        make()
