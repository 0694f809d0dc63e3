"""A Keras net as the graph that a device runs: one uint8 picture in, probabilities out, weights as constants."""

from typing import Any

import tensorflow as tf

# Not in TensorFlow's public names, and the only way to a graph without variables.
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from model_build.nets.interface import INPUT, MASK, SCORE


def serving(net: Any) -> Any:
    """A tf.function from `image` uint8 (1, H, W, 3) to `mask` (1, C, h, w), or for logits of rank 2 to `score` (1, 1)."""
    height, width = net.input_shape[1:3]
    is_mask = len(net.output_shape) == 4

    def predict(image: Any) -> Any:
        likely = tf.sigmoid(net(tf.cast(image, tf.float32), training=False))
        return {MASK: tf.transpose(likely, (0, 3, 1, 2))} if is_mask else {SCORE: likely}

    return tf.function(predict, input_signature=[tf.TensorSpec((1, height, width, 3), tf.uint8, name=INPUT)])


def frozen(net: Any) -> Any:
    """The same as a ConcreteFunction that holds its weights as constants: what OpenVINO and the Lite converter can read."""
    return convert_variables_to_constants_v2(serving(net).get_concrete_function())


def output_name(net: Any) -> str:
    """What `serving` calls its output."""
    return MASK if len(net.output_shape) == 4 else SCORE
