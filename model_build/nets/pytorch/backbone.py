"""The first eleven blocks of EfficientNet-Lite0 (Google, 2020): features at strides 4, 8 and 16, 0.6 M parameters.

Lite variants have neither squeeze-and-excite nor swish, so they keep their accuracy in INT8. Unlike the original, which pads as TensorFlow
does, padding is symmetric: the same filters see the picture shifted by a pixel, and no runtime needs a padding step of its own.
"""
# torch is not installed where the types are checked:
# mypy: disable-error-code="misc"

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

CHANNELS = (24, 40, 112)  # at strides 4, 8 and 16
STEM = 32  # at stride 2
_TAPS = (2, 4, 10)  # the last block at each of these strides


@dataclass(frozen=True, slots=True)
class _Shape:
    """One inverted bottleneck."""

    taken: int
    given: int
    kernel: int
    stride: int
    expansion: int


def _shapes() -> list[_Shape]:
    """Blocks 0 to 10: (channels, kernel, stride of the first, expansion, how many)."""
    stages = [(16, 3, 1, 1, 1), (24, 3, 2, 6, 2), (40, 5, 2, 6, 2), (80, 3, 2, 6, 3), (112, 5, 1, 6, 3)]
    shapes, taken = [], STEM
    for given, kernel, stride, expansion, count in stages:
        for number in range(count):
            shapes.append(_Shape(taken, given, kernel, stride if number == 0 else 1, expansion))
            taken = given
    return shapes


class Bottleneck(nn.Module):
    """Widen, filter each channel, narrow; beside a shortcut where the shape allows it."""

    def __init__(self, shape: _Shape) -> None:
        super().__init__()
        wide = shape.taken * shape.expansion
        layers: list[nn.Module] = []
        if shape.expansion != 1:
            layers += [nn.Conv2d(shape.taken, wide, 1, bias=False), _norm(wide), nn.ReLU6(inplace=True)]
        side = shape.kernel
        layers += [nn.Conv2d(wide, wide, side, shape.stride, side // 2, groups=wide, bias=False), _norm(wide)]
        layers += [nn.ReLU6(inplace=True), nn.Conv2d(wide, shape.given, 1, bias=False), _norm(shape.given)]
        self.layers = nn.Sequential(*layers)
        self.shortcut = shape.stride == 1 and shape.taken == shape.given

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H / stride, W / stride)."""
        y: Tensor = self.layers(x)
        return x + y if self.shortcut else y


class Backbone(nn.Module):
    """Normalised pictures (N, 3, H, W), H and W multiples of 16, to three maps, the finest first."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, STEM, 3, 2, 1, bias=False), _norm(STEM), nn.ReLU6(inplace=True))
        self.blocks = nn.ModuleList(Bottleneck(shape) for shape in _shapes())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Maps of 24, 40 and 112 channels at strides 4, 8 and 16."""
        _, fine, middle, deep = self.maps(x)
        return fine, middle, deep

    def maps(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What `forward` gives, and before it the stem's 32 channels at stride 2."""
        x = self.stem(x)
        maps = [x]
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in _TAPS:
                maps.append(x)
        return maps[0], maps[1], maps[2], maps[3]


def load_imagenet(backbone: Backbone, file: Path) -> None:
    """Copy the published weights; their names are in the order of our layers."""
    published = torch.load(file, map_location="cpu", weights_only=True)
    ours = backbone.state_dict()
    wanted = [name for name in published if _taken(name)]
    if len(wanted) != len(ours):
        raise ValueError(f"{file}: holds {len(wanted)} tensors of the blocks, {len(ours)} are needed")
    backbone.load_state_dict({mine: published[theirs] for mine, theirs in zip(ours, wanted, strict=True)})


def _taken(name: str) -> bool:
    """Whether a published tensor belongs to the stem or to one of the blocks that are used."""
    head, _, rest = name.partition(".")
    return head in ("_conv_stem", "_bn0") or (head == "_blocks" and int(rest.partition(".")[0]) < len(_shapes()))


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(
        channels, eps=1e-3, momentum=0.1
    )  # momentum: short courses from scratch; ImageNet's statistics are kept
