"""How a net in Keras learns: one step at a time, repeatable, with averaged weights beside."""

import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from linewatch_common.errors import InputError

from model_build.nets.interface import Batch, Pictures, Said, Setup, Start
from model_build.nets.keras.arrays import packed, unpacked
from model_build.nets.keras.export import export
from model_build.nets.keras.file import keras_bytes, load_keras_bytes
from model_build.nets.keras.losses import mask_loss
from model_build.nets.keras.unet import STRIDE, unet
from model_build.nets.rates import rate_at

_STEEPEST = 5.0  # gradients are cut at this norm: one odd picture must not undo an epoch


class KerasLearner:
    """See model_build.nets.interface.Learner."""

    def __init__(self, setup: Setup) -> None:
        if setup.width % STRIDE or setup.height % STRIDE:
            raise InputError(f"net {setup.net.name!r} needs sides that are multiples of {STRIDE}")
        # Without it the order of sums differs from run to run, and a resumed course drifts away.
        tf.config.experimental.enable_op_determinism()
        keras.utils.set_random_seed(setup.seed)
        self.start: Start = "scratch"
        self._setup = setup
        self._net, self._kept = (unet(setup.height, setup.width, setup.classes) for _ in range(2))
        self._kept.set_weights(self._net.get_weights())
        self._optimizer = keras.optimizers.AdamW(setup.rate, weight_decay=setup.weight_decay, global_clipnorm=_STEEPEST)
        self._optimizer.build(self._net.trainable_variables)
        self._step, self._predict = tf.function(self._descend), tf.function(self._probabilities, reduce_retracing=True)

    def learn(self, batch: Batch) -> float:
        """See Learner."""
        done = int(self._optimizer.iterations.numpy())
        self._optimizer.learning_rate.assign(self._setup.rate * rate_at(done / max(1, self._setup.steps)))
        tensors = (tf.constant(array) for array in (batch.pictures, batch.masks, batch.counts))
        # A short memory at first, so that the average does not remember the beginning.
        decay = min(self._setup.average, (done + 1) / (done + 11)) if self._setup.average else 0.0
        value = float(self._step(*tensors, tf.constant(decay, tf.float32)).numpy())
        if not math.isfinite(value):
            raise FloatingPointError(f"the loss is {value} at step {done}: try a smaller rate")
        return value

    def say(self, pictures: Pictures) -> Said:
        """See Learner."""
        return Said(None, np.asarray(self._predict(tf.constant(pictures)).numpy(), np.float32))

    def state(self) -> bytes:
        """See Learner."""
        return packed([variable.numpy() for variable in self._variables()])

    def restore(self, state: bytes) -> None:
        """See Learner."""
        variables = self._variables()
        arrays = unpacked(state, [tuple(variable.shape) for variable in variables])
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)

    def weights(self) -> bytes:
        """See Learner."""
        return keras_bytes(self._kept)

    def load(self, weights: bytes) -> None:
        """See Learner."""
        load_keras_bytes(self._kept, weights)

    def export(self, path: Path) -> None:
        """See Learner."""
        export(self._kept, path)

    @property
    def kept(self) -> Any:
        """The keras.Model of `say`: RGB 0..255 (N, H, W, 3) to mask logits (N, H, W, classes)."""
        return self._kept

    def _variables(self) -> list[Any]:
        """Everything that the next step depends on; nothing in this net is drawn at random while it learns."""
        return [*self._net.variables, *self._kept.variables, *self._optimizer.variables]

    def _descend(self, pictures: Any, masks: Any, counts: Any, decay: Any) -> Any:
        with tf.GradientTape() as tape:
            logits = self._net(tf.cast(pictures, tf.float32), training=True)
            loss = mask_loss(logits, masks, counts)
        variables = self._net.trainable_variables
        self._optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        for kept, now in zip(self._kept.variables, self._net.variables, strict=True):
            kept.assign(decay * kept + (1 - decay) * now)
        return loss

    def _probabilities(self, pictures: Any) -> Any:
        logits = self._kept(tf.cast(pictures, tf.float32), training=False)
        return tf.transpose(tf.sigmoid(logits), (0, 3, 1, 2))
