"""Two compact nets, one for each role, 0.4 M parameters each: they start from scratch and learn from many pictures.

A shared shape of trunk, residual, with plain 3x3 convolutions; what each adds to it is small.
"""
# torch is not installed where the types are checked:
# mypy: disable-error-code="misc"

import torch
from torch import Tensor, nn
from torch.nn import functional

_RARE = -4.0  # the mask starts from "nothing here": the first hundreds of steps would only learn that


class ConvBlock(nn.Sequential):
    """3x3 convolution, batch norm, ReLU."""

    def __init__(self, taken: int, given: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(taken, given, 3, stride, 1, bias=False), nn.BatchNorm2d(given), nn.ReLU(inplace=True)
        )


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut; same shape out as in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvBlock(channels, channels)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        return functional.relu(x + self.second(self.first(x)))


class Trunk(nn.Module):
    """Features of 16, 32, 64 and 96 channels at strides 2, 4, 8 and 16."""

    def __init__(self) -> None:
        super().__init__()
        self.at_half = ConvBlock(3, 16, 2)
        self.at_quarter = nn.Sequential(ConvBlock(16, 32, 2), Residual(32))
        self.at_eighth = nn.Sequential(ConvBlock(32, 64, 2), Residual(64))
        self.at_sixteenth = nn.Sequential(ConvBlock(64, 96, 2), Residual(96))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(N, 3, H, W) -> four maps, the finest first."""
        half = self.at_half(x)
        quarter = self.at_quarter(half)
        eighth = self.at_eighth(quarter)
        return half, quarter, eighth, self.at_sixteenth(eighth)


class CompactClassifier(nn.Module):
    """Normalised pictures (N, 3, H, W), sides multiples of 16, to score logits (N, 1) and evidence (N, classes, H/8, W/8) or None.

    The evidence is a coarse mask, pooled with the features into the score: masks teach the net where to look. Only while it learns is the
    evidence given out; in evaluation the net has a score alone.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.merge = ConvBlock(64 + 96, 64)
        self.evidence = nn.Conv2d(64, classes, 1)
        self.score = nn.Linear(2 * (64 + classes), 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits, see the class."""
        _, _, eighth, deep = self.trunk(x)
        merged = self.merge(torch.cat([eighth, _twice(deep)], 1))
        evidence = self.evidence(merged)
        maps = torch.cat([merged, evidence], 1)
        score = self.score(torch.cat([maps.amax((2, 3)), maps.mean((2, 3))], 1))
        return score, evidence if self.training else None


class CompactSegmenter(nn.Module):
    """Normalised pictures (N, 3, H, W), sides multiples of 16, to (None, mask logits (N, classes, H, W)). A small U-Net."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.to_eighth = nn.Conv2d(96, 64, 1)
        self.at_eighth = ConvBlock(64, 64)
        self.to_quarter = nn.Conv2d(64, 32, 1)
        self.at_quarter = ConvBlock(32, 32)
        self.to_half = nn.Conv2d(32, 16, 1)
        self.at_half = ConvBlock(16, 16)
        self.last = nn.Conv2d(16, 4 * classes, 1)  # four values a cell of stride 2, put side by side
        nn.init.normal_(self.last.weight, std=0.03)
        nn.init.constant_(self.last.bias, _RARE)

    def forward(self, x: Tensor) -> tuple[None, Tensor]:
        """Logits, see the class."""
        half, quarter, eighth, deep = self.trunk(x)
        y = self.at_eighth(_twice(self.to_eighth(deep)) + eighth)
        y = self.at_quarter(_twice(self.to_quarter(y)) + quarter)
        y = self.at_half(_twice(self.to_half(y)) + half)
        return None, functional.pixel_shuffle(self.last(y), 2)


def _twice(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")
