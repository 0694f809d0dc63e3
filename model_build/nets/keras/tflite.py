"""A net in Keras as TensorFlow Lite in INT8: weights and activations; a float head and tail, so that the tensors stay ours."""

import warnings
from collections.abc import Iterator
from typing import Any

import flatbuffers
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from model_build.nets.interface import INPUT, Pictures
from model_build.nets.keras.graph import frozen, output_name


def tflite_int8(net: Any, calibration: Pictures) -> bytes:
    """The file's bytes: `image` uint8 (1, H, W, 3) in; `mask` or `score`, float32 probabilities, out.

    `calibration` uint8 (N, H, W, 3): prepared training pictures, which show the range of every activation.
    """
    # With the variables inside, calibration fails: the interpreter that watches the activations does not initialise them.
    converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen(net)])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]

    def looks() -> Iterator[list[Any]]:
        for picture in calibration:
            yield [picture[None]]

    converter.representative_dataset = looks
    with warnings.catch_warnings():
        # The converter warns that our uint8 input has no statistics: it is cast in the graph, and stays uint8.
        warnings.simplefilter("ignore")
        content = converter.convert()
    return _named(content, output_name(net))


def _named(content: bytes, output: str) -> bytes:
    """The converter loses the names of a frozen graph: the agent's clients and the manifest need them."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    (graph,) = model.subgraphs
    graph.tensors[graph.inputs[0]].name = INPUT.encode()
    graph.tensors[graph.outputs[0]].name = output.encode()
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
