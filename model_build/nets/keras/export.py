"""A net in Keras as ONNX opset 17 and as SavedModel, normalisation and probabilities in the graph."""

import contextlib
import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import tensorflow as tf
from tf2onnx import convert

from model_build.nets.interface import INPUT
from model_build.nets.keras.graph import frozen, output_name, serving

OPSET = 17


def export(net: Any, path: Path) -> None:
    """Write ONNX, see model_build.nets.interface.Learner. The same weights give the same bytes."""
    function = serving(net)
    with _quiet():
        model, _ = convert.from_function(function, input_signature=function.input_signature, opset=OPSET)
    _plainly_resized(model.graph)
    _renamed(model.graph)
    model.producer_version = model.doc_string = ""  # the version stands in run.json
    model.graph.name, model.graph.doc_string = "net", ""
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


def save_saved_model(net: Any, folder: Path) -> None:
    """Write a SavedModel with the signature `serving_default`: `image` in, `mask` or `score` out.

    Its weights are constants: OpenVINO does not find the variables of a function that Keras 3 traced.
    """
    graph, name = frozen(net), output_name(net)
    module = tf.Module()
    (given,) = graph.inputs

    def predict(image: Any) -> Any:
        answered = graph(image)
        return {name: tf.identity(answered[0] if isinstance(answered, list | tuple) else answered)}

    signature = tf.function(predict, input_signature=[tf.TensorSpec(given.shape, given.dtype, name=INPUT)])
    tf.saved_model.save(module, str(folder), signatures=signature)


def _plainly_resized(graph: Any) -> None:
    """Doubling by nearest neighbour in the words of opset 17: tf2onnx writes an attribute that was dropped in opset 13."""
    for node in graph.node:
        if node.op_type == "Resize":
            del node.attribute[:]
            modes = {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
            node.attribute.extend(onnx.helper.make_attribute(name, value) for name, value in modes.items())


def _renamed(graph: Any) -> None:
    """Names by place: the traced ones depend on how many nets the process had made before."""
    kept = {port.name for port in [*graph.input, *graph.output]}
    names: dict[str, str] = {}

    def of(name: str) -> str:
        return name if not name or name in kept else names.setdefault(name, f"t{len(names)}")

    for place, node in enumerate(graph.node):
        node.name, node.doc_string = f"n{place}", ""
        node.input[:] = [of(name) for name in node.input]
        node.output[:] = [of(name) for name in node.output]
    for tensor in graph.initializer:
        tensor.name = of(tensor.name)
    constants = sorted(graph.initializer, key=lambda tensor: tensor.name)
    del graph.initializer[:]
    graph.initializer.extend(constants)
    del graph.value_info[:]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """tf2onnx tells its progress on its logger and TensorFlow some on stdout; neither is for the person who trains."""
    logger = logging.getLogger("tf2onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(before)
