"""A learner that learns one number: how bright a defective pixel is. It keeps Learner's contract, see learner_contract."""

import json
from pathlib import Path

import numpy as np
from linewatch_common.errors import InputError

from model_build.nets.interface import Batch, Pictures, Said, Setup, Start


class FakeLearner:
    """Says that bright pixels are defective; the loss falls with every step and depends on the batch."""

    def __init__(self, setup: Setup) -> None:
        self.start: Start = "scratch"
        self._setup, self._steps, self._cut = setup, 0, 255.0 - setup.seed % 7

    def learn(self, batch: Batch) -> float:
        """Move the cut towards the batch's brightness."""
        mean = float(batch.pictures.mean())
        self._cut += 0.1 * (mean - self._cut)
        self._steps += 1
        return float(abs(mean - self._cut) + batch.masks.mean() + batch.counts.mean())

    def say(self, pictures: Pictures) -> Said:
        """The share of the cut that each pixel reaches, at half the size."""
        bright = np.clip(pictures[:, ::2, ::2].mean(axis=3) / max(1.0, self._cut) / 2, 0, 1).astype(np.float32)
        masks = np.repeat(bright[:, None], self._setup.classes, axis=1)
        return Said(masks.max(axis=(1, 2, 3)), masks)

    def state(self) -> bytes:
        """Steps and cut."""
        return json.dumps([self._steps, self._cut]).encode()

    def restore(self, state: bytes) -> None:
        """See Learner."""
        self._steps, self._cut = self._read(state)

    def weights(self) -> bytes:
        """The cut; nothing else speaks."""
        return json.dumps([0, self._cut]).encode()

    def load(self, weights: bytes) -> None:
        """See Learner."""
        self._cut = self._read(weights)[1]

    def export(self, path: Path) -> None:
        """A file that stands for one."""
        path.write_bytes(self.weights())

    @staticmethod
    def _read(data: bytes) -> tuple[int, float]:
        try:
            steps, cut = json.loads(data)
        except ValueError as error:
            raise InputError(f"the weights cannot be read: {error}") from error
        return int(steps), float(cut)
