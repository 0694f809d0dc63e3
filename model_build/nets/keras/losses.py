"""What a segmenter in Keras is punished for: wrong pixels and a poor overlap, where somebody drew the truth and the pixel counts."""

from typing import Any

import tensorflow as tf

_DEFECTIVE_PIXEL = 3.0  # weight of a defective pixel: they are under one in a hundred
_PIXELS, _OVERLAP = 2.0, 0.5


def mask_loss(logits: Any, wanted: Any, counts: Any) -> Any:
    """A scalar. `logits` (N, H, W, C); `wanted` (N, C, H, W), how much of each pixel is defective; `counts` (N, H, W), which count.

    A weakly labelled picture counts nowhere, so it changes nothing.
    """
    wanted, counts = tf.transpose(wanted, (0, 2, 3, 1)), counts[..., tf.newaxis]
    pixels = tf.nn.weighted_cross_entropy_with_logits(wanted, logits, _DEFECTIVE_PIXEL) * counts
    classes = tf.cast(tf.shape(logits)[3], tf.float32)
    mean = tf.reduce_sum(pixels) / tf.maximum(tf.reduce_sum(counts) * classes, 1.0)
    likely, truth = tf.sigmoid(logits) * counts, wanted * counts
    area, both = (tf.reduce_sum(map_, (1, 2, 3)) for map_ in (truth, likely * truth))
    overlap = (2 * both + 1) / (tf.reduce_sum(likely, (1, 2, 3)) + area + 1)
    drawn = tf.cast(area > 0, tf.float32)
    missing = tf.reduce_sum((1 - overlap) * drawn) / tf.maximum(tf.reduce_sum(drawn), 1.0)
    return _PIXELS * mean + _OVERLAP * missing
