"""How the anomaly net learns: it counts, no gradient. First what good features look like, then how far good pictures stray."""
# torch is not installed where the types are checked:
# mypy: disable-error-code="misc"

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from linewatch_common.errors import InputError
from torch import Tensor

from model_build.nets.interface import Batch, Pictures, Said, Setup, Start
from model_build.nets.pytorch.anomaly import Anomaly
from model_build.nets.pytorch.export import export
from model_build.nets.pytorch.tensors import device, loaded, planes_of, said, saved, take
from model_build.nets.pytorch.weights import begin

_FITTING = 0.6  # share of the steps that make the Gaussians
# Of the features' mean variance, added to each: directions in which good pictures hardly differ must not decide alone.
_SHRINK = 1e-3
_LEAST_SPREAD = 0.05  # of logarithms: a few alike pictures do not show how far good ones stray


class _Sums:
    """Number, sum and sum of products of vectors (n, C), in double precision."""

    def __init__(self, channels: int, where: torch.device) -> None:
        self.number = torch.zeros((), dtype=torch.float64, device=where)
        self.sum = torch.zeros(channels, dtype=torch.float64, device=where)
        self.products = torch.zeros((channels, channels), dtype=torch.float64, device=where)

    def add(self, vectors: Tensor) -> None:
        vectors = vectors.double()
        self.number += len(vectors)
        self.sum += vectors.sum(0)
        self.products += vectors.T @ vectors

    def gaussian(self) -> tuple[Tensor, Tensor]:
        """Mean and a covariance that is positive definite."""
        mean = self.sum / self.number
        covariance = self.products / self.number - torch.outer(mean, mean)
        floor = _SHRINK * covariance.diagonal().mean() + 1e-9
        return mean, covariance + floor * torch.eye(len(mean), dtype=torch.float64, device=mean.device)

    def tensors(self) -> list[Tensor]:
        return [self.number, self.sum, self.products]


class AnomalyLearner:
    """See model_build.nets.interface.Learner. Defective pictures of a batch teach nothing.

    All of a good picture is good, padding and ignored places too: the score sees them as well.
    """

    def __init__(self, setup: Setup) -> None:
        torch.manual_seed(setup.seed)
        self._setup, self._steps, self._device = setup, 0, device()
        net = Anomaly(setup.classes)
        self.start: Start = begin(net.backbone)
        self._net = net.to(self._device).to(memory_format=torch.channels_last).eval()
        self._features = [_Sums(len(reading.mean), self._device) for reading in net.readings]
        self._peaks = [_Sums(1, self._device) for _ in net.readings]

    def learn(self, batch: Batch) -> float:
        """See Learner. The loss: the mean squared distance of the batch's good features from what is known, 1 a channel when settled."""
        fitting = self._steps < math.ceil(self._setup.steps * _FITTING)
        self._steps += 1
        good = batch.pictures[batch.defective == 0]
        if not len(good):
            return 0.0
        with torch.inference_mode():
            maps = self._net.backbone.maps(planes_of(good, self._device))
            if fitting:
                self._fit(maps)
            distances = [reading(features) for reading, features in zip(self._net.readings, maps, strict=True)]
            if not fitting:
                self._stray(distances)
            apart = [
                distance.exp().mean() / features.shape[1] for distance, features in zip(distances, maps, strict=True)
            ]
            return float(torch.stack(apart).mean())

    def say(self, pictures: Pictures) -> Said:
        """See Learner."""
        with torch.inference_mode():
            return said(*self._net(planes_of(pictures, self._device)))

    def state(self) -> bytes:
        """See Learner."""
        return saved({"net": self._net.state_dict(), "sums": self._sums(), "steps": self._steps})

    def restore(self, state: bytes) -> None:
        """See Learner."""
        found = loaded(state, self._device)
        try:
            self._net.load_state_dict(found["net"])
            for mine, theirs in zip(self._sums(), found["sums"], strict=True):
                mine.copy_(theirs)
            self._steps = int(found["steps"])
        except (KeyError, ValueError, RuntimeError, TypeError) as error:
            raise InputError(f"the checkpoint is of another net: {error}") from error

    def weights(self) -> bytes:
        """See Learner."""
        return saved(self._net.state_dict())

    def load(self, weights: bytes) -> None:
        """See Learner."""
        take(self._net, weights, self._device)

    def export(self, path: Path) -> None:
        """See Learner."""
        export(self._net, self._setup, path)

    def _sums(self) -> list[Tensor]:
        return [tensor for sums in (*self._features, *self._peaks) for tensor in sums.tensors()]

    def _fit(self, maps: Sequence[Tensor]) -> None:
        for reading, sums, features in zip(self._net.readings, self._features, maps, strict=True):
            sums.add(features.movedim(1, -1).flatten(0, 2))
            reading.fit(*sums.gaussian())

    def _stray(self, distances: Sequence[Tensor]) -> None:
        for reading, sums, distance in zip(self._net.readings, self._peaks, distances, strict=True):
            sums.add(distance.amax((2, 3)))
            mean, variance = sums.gaussian()
            reading.usual.copy_(mean[0])
            reading.spread.copy_(variance[0, 0].sqrt().clamp(min=_LEAST_SPREAD))
