"""The reference's segmenter: a U-Net (O. Ronneberger et al., 2015) on the encoder of MobileNetV2 with 0.35 of its channels.

0.42 M parameters, 2.5 GFLOP at 224 x 224. The encoder ends at stride 16; four times the map is doubled, joined with the encoder's map
of that size, and filtered twice. Keras would download ImageNet weights for the encoder: it starts from scratch instead.
"""

from typing import Any

import keras
from keras import layers

from model_build.nets.interface import DEVIATION, INPUT, MEAN

ALPHA = 0.35
STRIDE = 16  # both sides of the input must be multiples of it
_DEEPEST = "block_13_expand_relu"
# The maps that are joined, from stride 8 to stride 1, and the channels after each of them.
_JOINED = (("block_6_expand_relu", 64), ("block_3_expand_relu", 48), ("block_1_expand_relu", 32), (None, 16))
# Keras remembers 0.999 of a batch norm's statistics from step to step: after a few hundred steps they still hold the start.
_REMEMBERED = 0.9
_RARE = -4.0  # the mask starts from "nothing here": the first hundreds of steps would only learn that


def unet(height: int, width: int, classes: int) -> Any:
    """A keras.Model from RGB 0..255 (N, height, width, 3) to mask logits (N, height, width, classes)."""
    picture = keras.Input((height, width, 3), name=INPUT)
    scale = [1 / (255 * deviation) for deviation in DEVIATION]
    offset = [-mean / deviation for mean, deviation in zip(MEAN, DEVIATION, strict=True)]
    normal = layers.Rescaling(scale, offset, name="normalised")(picture)
    encoder = keras.applications.MobileNetV2(input_tensor=normal, alpha=ALPHA, include_top=False, weights=None)
    x = encoder.get_layer(_DEEPEST).output
    for place, (name, channels) in enumerate(_JOINED):
        joined = normal if name is None else encoder.get_layer(name).output
        # Resizing, not UpSampling2D: the latter becomes eight operations in a graph, this one.
        x = layers.Resizing(joined.shape[1], joined.shape[2], interpolation="nearest", name=f"up_{place}")(x)
        x = layers.Concatenate(name=f"join_{place}")([x, joined])
        for again in range(2):
            x = _filtered(x, channels, f"merge_{place}_{again}")
    logits = layers.Conv2D(classes, 1, bias_initializer=keras.initializers.Constant(_RARE), name="mask")(x)
    net = keras.Model(picture, logits, name="unet")
    for layer in net.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = _REMEMBERED
    return net


def _filtered(x: Any, channels: int, name: str) -> Any:
    x = layers.Conv2D(channels, 3, padding="same", use_bias=False, name=name)(x)
    x = layers.BatchNormalization(name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)
