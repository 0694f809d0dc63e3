"""Makes tests/data/models/trained/: a tiny Keras net, really trained, as SavedModel, ONNX and TensorFlow Lite, with what it must answer.

It learns the project's own generated surfaces, so its weights may be shipped. Run it where the group `train-tensorflow` is installed:
`PYTHONPATH=.:components/common .venv-tensorflow/bin/python tests/data/make_keras.py`.

`saved_model/`, `surface.onnx` and `surface.tflite` (INT8): `image` uint8 (1, 64, 64, 3) RGB in, `mask` float32 (1, 1, 32, 32) out.
`surface.npz`: `image` (8, 64, 64, 3), pictures that the net did not learn from, and Keras's own `mask` (8, 1, 32, 32).
`variables/`: a SavedModel whose weights lie in variables, as most of those that customers have; see `Weighted`.
"""

import shutil
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import tensorflow as tf
from keras import layers
from numpy.typing import NDArray

from model_build.nets.interface import INPUT, MASK
from model_build.nets.keras.export import export, save_saved_model
from model_build.nets.keras.losses import mask_loss
from model_build.nets.keras.tflite import tflite_int8
from model_build.samples.generator import Settings, generate

FOLDER = Path(__file__).parent / "models" / "trained"
SIDE, CELLS = 64, 32
LEARNT, SHOWN = 160, 8
STEPS, BATCH = 400, 16
Planes = NDArray[Any]


def cut(index: int) -> tuple[Planes, Planes]:
    """One piece of a generated surface, uint8 (64, 64, 3), and how much of each cell is defective, float32 (1, 32, 32)."""
    rng = np.random.default_rng([21, index])
    sample = generate(Settings(seed=21, width=320, height=240, defect_share=0.8), index)
    defective = np.argwhere(sample.mask > 0)
    middle = defective[rng.integers(len(defective))] if len(defective) else rng.integers(0, 240, 2)
    top, left = (int(np.clip(middle[axis] - SIDE // 2, 0, (240, 320)[axis] - SIDE)) for axis in (0, 1))
    window = np.s_[top : top + SIDE, left : left + SIDE]
    truth = (sample.mask[window] > 0).astype(np.float32)
    small = cv2.resize(truth, (CELLS, CELLS), interpolation=cv2.INTER_AREA)
    return np.repeat(sample.picture[window][:, :, None], 3, axis=2), np.asarray(small)[None]


def small_net() -> Any:
    """Every operation that the U-Net has, with 7,000 weights."""
    picture = keras.Input((SIDE, SIDE, 3), name=INPUT)
    x = layers.Rescaling(1 / 64, -2.0, name="normalised")(picture)
    half = filtered(x, 12, 2, "half")
    quarter = filtered(half, 20, 2, "quarter")
    deep = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")(quarter)
    deep = layers.Add(name="again")([quarter, filtered(deep, 20, 1, "deep")])
    up = layers.Resizing(CELLS, CELLS, interpolation="nearest", name="up")(deep)
    x = filtered(layers.Concatenate(name="join")([up, half]), 12, 1, "merged")
    return keras.Model(picture, layers.Conv2D(1, 1, name=MASK)(x), name="surface")


def filtered(x: Any, channels: int, stride: int, name: str) -> Any:
    x = layers.Conv2D(channels, 3, stride, padding="same", use_bias=False, name=name)(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x))


def taught(pictures: Planes, masks: Planes) -> Any:
    net, rng = small_net(), np.random.default_rng(0)
    optimizer = keras.optimizers.Adam(3e-3)

    def step(picture: Any, mask: Any) -> Any:
        with tf.GradientTape() as tape:
            logits = net(tf.cast(picture, tf.float32), training=True)
            loss = mask_loss(logits, mask, tf.ones((BATCH, CELLS, CELLS)))
        variables = net.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    optimizer.build(net.trainable_variables)
    compiled = tf.function(step)
    for number in range(STEPS):
        batch = rng.choice(len(pictures), BATCH, replace=False)
        loss = float(compiled(tf.constant(pictures[batch]), tf.constant(masks[batch])).numpy())
        if number % 100 == 0 or number == STEPS - 1:
            print(f"step {number}: loss {loss:.3f}")
    return net


class Weighted(tf.Module):  # type: ignore[misc]  # TensorFlow has no types here
    """`image` float32 (n, 4, 4, 3) in; `score` (n, 2), its mean colour by (1, -1), (0.5, 2), (0, 3), and `total` (n,), its sum, out."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = tf.Variable([[1.0, -1.0], [0.5, 2.0], [0.0, 3.0]])

    @tf.function(input_signature=[tf.TensorSpec((None, 4, 4, 3), tf.float32, name="image")])  # type: ignore[untyped-decorator]  # nor has its decorator
    def __call__(self, image: Any) -> Any:
        return {
            "score": tf.matmul(tf.reduce_mean(image, (1, 2)), self.weights),
            "total": tf.reduce_sum(image, (1, 2, 3)),
        }


def main() -> None:
    keras.utils.set_random_seed(0)
    tf.config.experimental.enable_op_determinism()
    pairs = [cut(index) for index in range(LEARNT + SHOWN)]
    pictures, masks = (np.stack([pair[place] for pair in pairs]) for place in (0, 1))
    net = taught(pictures[:LEARNT], masks[:LEARNT])
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    save_saved_model(net, FOLDER / "saved_model")
    export(net, FOLDER / "surface.onnx")
    (FOLDER / "surface.tflite").write_bytes(tflite_int8(net, pictures[:LEARNT:2]))
    weighted = Weighted()
    tf.saved_model.save(weighted, str(FOLDER / "variables"), signatures=weighted.__call__)
    shown = pictures[LEARNT:]
    said = tf.sigmoid(net(shown.astype(np.float32), training=False)).numpy().transpose(0, 3, 1, 2)
    np.savez_compressed(FOLDER / "surface.npz", **{INPUT: shown, MASK: said})
    found, truth = said > 0.5, masks[LEARNT:] > 0.5
    print(f"IoU on pictures it did not learn from: {(found & truth).sum() / (found | truth).sum():.2f}")


if __name__ == "__main__":
    main()
