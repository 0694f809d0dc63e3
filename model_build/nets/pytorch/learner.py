"""How a net in PyTorch learns: one step at a time, with averaged weights beside, on a GPU where there is one."""
# torch is not installed where the types are checked:
# mypy: disable-error-code="misc"

import copy
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from linewatch_common.errors import InputError
from torch import Tensor, nn

from model_build.nets.interface import Batch, Pictures, Said, Setup, Start
from model_build.nets.pytorch.compact import CompactClassifier, CompactSegmenter
from model_build.nets.pytorch.export import export
from model_build.nets.pytorch.inspector import Inspector
from model_build.nets.pytorch.losses import loss_of
from model_build.nets.pytorch.resnet18 import ResNet18
from model_build.nets.pytorch.tensors import device, loaded, planes_of, said, saved, take
from model_build.nets.pytorch.weights import begin
from model_build.nets.rates import rate_at

_STEEPEST = 5.0  # gradients are cut at this norm: one odd picture must not undo an epoch
_FROZEN = 3  # blocks that keep their ImageNet weights: edges are edges, and most of a step's time is spent there


class TorchLearner:
    """See model_build.nets.interface.Learner."""

    def __init__(self, setup: Setup) -> None:
        torch.manual_seed(setup.seed)
        self._setup, self._steps = setup, 0
        self._device = device()
        net, self.start = _made(setup)
        # channels_last: a step on 2 cores takes 1.3 s instead of 2.5.
        self._net = net.to(self._device).to(memory_format=torch.channels_last)
        if self.start == "imagenet":
            _freeze_edges(self._net)
        self._kept = copy.deepcopy(self._net).eval()
        parameters = [parameter for parameter in self._net.parameters() if parameter.requires_grad]
        self._optimizer = torch.optim.AdamW(parameters, lr=setup.rate, weight_decay=setup.weight_decay)

    def learn(self, batch: Batch) -> float:
        """See Learner."""
        self._net.train()
        if self.start == "imagenet":
            # The trunk keeps ImageNet's statistics: those of small batches, half of them defective, are not those of the line.
            self._net.backbone.eval()
        for group in self._optimizer.param_groups:
            group["lr"] = self._setup.rate * rate_at(self._steps / max(1, self._setup.steps))
        score, mask = self._net(planes_of(batch.pictures, self._device))
        truth = (self._tensor(array) for array in (batch.defective, batch.masks, batch.counts))
        loss = loss_of(score, mask, *truth)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise FloatingPointError(f"the loss is {value} at step {self._steps}: try a smaller rate")
        self._optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._net.parameters(), _STEEPEST)
        self._optimizer.step()
        self._steps += 1
        self._average()
        return value

    def say(self, pictures: Pictures) -> Said:
        """See Learner."""
        with torch.inference_mode():
            return said(*self._kept(planes_of(pictures, self._device)))

    def state(self) -> bytes:
        """See Learner."""
        return saved(
            {
                "net": self._net.state_dict(),
                "kept": self._kept.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "steps": self._steps,
                "random": torch.get_rng_state(),
            }
        )

    def restore(self, state: bytes) -> None:
        """See Learner."""
        found = loaded(state, self._device)
        try:
            self._net.load_state_dict(found["net"])
            self._kept.load_state_dict(found["kept"])
            self._optimizer.load_state_dict(found["optimizer"])
            self._steps = int(found["steps"])
            torch.set_rng_state(found["random"].cpu())
        except (KeyError, ValueError, RuntimeError) as error:
            raise InputError(f"the checkpoint is of another net: {error}") from error

    def weights(self) -> bytes:
        """See Learner."""
        return saved(self._kept.state_dict())

    def load(self, weights: bytes) -> None:
        """See Learner."""
        take(self._kept, weights, self._device)

    def export(self, path: Path) -> None:
        """See Learner."""
        export(self._kept, self._setup, path)

    def _average(self) -> None:
        """The kept weights follow the learning ones; at first nearly at once, so that they do not remember the beginning."""
        decay = min(self._setup.average, self._steps / (self._steps + 10)) if self._setup.average else 0.0
        with torch.no_grad():
            for kept, now in zip(self._kept.state_dict().values(), self._net.state_dict().values(), strict=True):
                if kept.is_floating_point():
                    kept.lerp_(now, 1.0 - decay)
                else:
                    kept.copy_(now)

    def _tensor(self, array: Any) -> Tensor:
        return torch.from_numpy(array).to(self._device)


def _made(setup: Setup) -> tuple[nn.Module, Start]:
    makers: Mapping[str, Callable[[], nn.Module]] = {
        "inspector": lambda: Inspector(setup.classes),
        "compact-classifier": lambda: CompactClassifier(setup.classes),
        "compact-segmenter": lambda: CompactSegmenter(setup.classes),
        "resnet18": ResNet18,
    }
    net = makers[setup.net.name]()
    return net, begin(net.backbone) if isinstance(net, Inspector) else "scratch"


def _freeze_edges(net: nn.Module) -> None:
    """The first blocks keep their weights."""
    for module in (net.backbone.stem, *net.backbone.blocks[:_FROZEN]):
        module.requires_grad_(False)
