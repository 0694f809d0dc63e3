"""Makes tests/data/models/*.tflite: the tiny models of make_models.py for TensorFlow Lite, built node by node.

Run it where the group `litert` is installed: `python tests/data/make_tflite.py`.
"""

from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

FOLDER = Path(__file__).parent / "models"
KIND, OPTIONS, TYPE = schema.BuiltinOperator, schema.BuiltinOptions, schema.TensorType
TYPES = {"float32": TYPE.FLOAT32, "uint8": TYPE.UINT8, "int32": TYPE.INT32, "bool": TYPE.BOOL}


class Net:
    """A model that grows node by node; tensors are known by their place."""

    def __init__(self) -> None:
        self._graph = schema.SubGraphT()
        self._graph.tensors, self._graph.operators = [], []
        self._model = schema.ModelT()
        self._model.version, self._model.subgraphs = 3, [self._graph]
        self._model.operatorCodes, self._model.buffers = [], [schema.BufferT()]

    def tensor(self, name: str, dtype: str, shape: list[int], value: Any = None) -> int:
        """A tensor; a side of -1 is dynamic; one with a value is constant."""
        made = schema.TensorT()
        made.name, made.type, made.buffer = name.encode(), TYPES[dtype], 0
        made.shape = [abs(side) for side in shape]
        if -1 in shape:
            made.shapeSignature = shape
        if value is not None:
            buffer = schema.BufferT()
            buffer.data = list(np.asarray(value, dtype).tobytes())
            self._model.buffers.append(buffer)
            made.buffer = len(self._model.buffers) - 1
        self._graph.tensors.append(made)
        return len(self._graph.tensors) - 1

    def node(self, kind: int, inputs: list[int], output: int, options: tuple[int, Any] | None = None) -> None:
        """One operation."""
        code = schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode, code.version = (
            kind,
            kind,
            2 if kind in (KIND.SLICE, KIND.TRANSPOSE) else 1,
        )
        self._model.operatorCodes.append(code)
        made = schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = len(self._model.operatorCodes) - 1, inputs, [output]
        if options is not None:
            made.builtinOptionsType, made.builtinOptions = options
        self._graph.operators.append(made)

    def save(self, name: str, inputs: list[int], outputs: list[int]) -> None:
        """Write the model."""
        self._graph.inputs, self._graph.outputs = inputs, outputs
        builder = flatbuffers.Builder(1024)
        builder.Finish(self._model.Pack(builder), b"TFL3")
        (FOLDER / f"{name}.tflite").write_bytes(bytes(builder.Output()))


def score() -> None:
    """picture uint8 [1, 4, 4, 3] -> score float32 [1, 1], the mean of all elements over 255."""
    net = Net()
    picture = net.tensor("picture", "uint8", [1, 4, 4, 3])
    numbers, mean = net.tensor("numbers", "float32", [1, 4, 4, 3]), net.tensor("mean", "float32", [1])
    part, result = net.tensor("part", "float32", [1]), net.tensor("score", "float32", [1, 1])
    net.node(KIND.CAST, [picture], numbers)
    reducer = schema.ReducerOptionsT()
    reducer.keepDims = False
    net.node(KIND.MEAN, [numbers, net.tensor("axes", "int32", [3], [1, 2, 3])], mean, (OPTIONS.ReducerOptions, reducer))
    scale = net.tensor("scale", "float32", [1], [1 / 255])
    net.node(KIND.MUL, [mean, scale], part, (OPTIONS.MulOptions, schema.MulOptionsT()))
    net.node(KIND.RESHAPE, [part, net.tensor("shape", "int32", [2], [1, 1])], result)
    net.save("score", [picture], [result])


def mask() -> None:
    """picture uint8 [1, 4, 4, 3] -> mask uint8 [1, 1, 4, 4], the first channel."""
    net = Net()
    picture, red = net.tensor("picture", "uint8", [1, 4, 4, 3]), net.tensor("red", "uint8", [1, 4, 4, 1])
    result = net.tensor("mask", "uint8", [1, 1, 4, 4])
    begin, size = net.tensor("begin", "int32", [4], [0, 0, 0, 0]), net.tensor("size", "int32", [4], [1, 4, 4, 1])
    net.node(KIND.SLICE, [picture, begin, size], red)
    net.node(KIND.TRANSPOSE, [red, net.tensor("order", "int32", [4], [0, 3, 1, 2])], result)
    net.save("mask", [picture], [result])


def pair() -> None:
    """a float32 [batch, 3], b float32 [3] -> total float32 [batch, 3] and difference float32 [batch, 3]."""
    net = Net()
    a, b = net.tensor("a", "float32", [-1, 3]), net.tensor("b", "float32", [3])
    total, difference = net.tensor("total", "float32", [-1, 3]), net.tensor("difference", "float32", [-1, 3])
    net.node(KIND.ADD, [a, b], total, (OPTIONS.AddOptions, schema.AddOptionsT()))
    net.node(KIND.SUB, [a, b], difference, (OPTIONS.SubOptions, schema.SubOptionsT()))
    net.save("pair", [a, b], [total, difference])


def truth() -> None:
    """number float32 [1] -> positive bool [1]: an element type that the wire cannot carry."""
    net = Net()
    number, positive = net.tensor("number", "float32", [1]), net.tensor("positive", "bool", [1])
    net.node(KIND.GREATER, [number, net.tensor("zero", "float32", [1], [0])], positive)
    net.save("truth", [number], [positive])


if __name__ == "__main__":
    score()
    mask()
    pair()
    truth()
