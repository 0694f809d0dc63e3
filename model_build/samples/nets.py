"""The two compact nets, plain torch. Inputs are float32 (N, 3, H, W), 0..1; outputs are logits."""
# torch is not installed where the types are checked:
# mypy: disable-error-code="misc"

import torch
from torch import Tensor, nn
from torch.nn import functional

from model_build.nets.pytorch.compact import ConvBlock, Trunk


class SurfaceClassifier(nn.Module):
    """Is this surface defective? A coarse map of evidence is learnt from masks and pooled with the features."""

    stride = 8

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Trunk()
        self.merge = ConvBlock(64 + 96, 64)
        self.evidence = nn.Conv2d(64, 1, 1)
        self.score = nn.Linear(2 * 64 + 2, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) -> score logit (N, 1), evidence logits (N, 1, H/8, W/8)."""
        _, _, eighth, deep = self.backbone(x)
        merged = self.merge(torch.cat([eighth, functional.interpolate(deep, scale_factor=2.0)], 1))
        evidence = self.evidence(merged)
        maps = torch.cat([merged, evidence], 1)
        return self.score(torch.cat([maps.amax((2, 3)), maps.mean((2, 3))], 1)), evidence


class SurfaceSegmenter(nn.Module):
    """Where is the defect, and of which kind? A small U-Net, one channel a kind, at the input's own resolution."""

    def __init__(self, kinds: int = 4) -> None:
        super().__init__()
        self.backbone = Trunk()
        self.deep = nn.Conv2d(96, 64, 1)
        self.up_eighth = ConvBlock(64, 64)
        self.to_quarter = nn.Conv2d(64, 32, 1)
        self.up_quarter = ConvBlock(32, 32)
        self.to_half = nn.Conv2d(32, 16, 1)
        self.up_half = ConvBlock(16, 16)
        self.last = nn.Conv2d(16, 4 * (1 + kinds), 1)
        self.shuffle = nn.PixelShuffle(2)
        # Defects are rare: starting from "nothing here" saves the first hundreds of steps.
        nn.init.normal_(self.last.weight, std=0.03)
        nn.init.constant_(self.last.bias[:4], -4.0)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 1 + kinds, H, W): is it a defect, and which kind it would be."""
        half, quarter, eighth, deep = self.backbone(x)
        y = self.up_eighth(functional.interpolate(self.deep(deep), scale_factor=2.0) + eighth)
        y = self.up_quarter(functional.interpolate(self.to_quarter(y), scale_factor=2.0) + quarter)
        y = self.up_half(functional.interpolate(self.to_half(y), scale_factor=2.0) + half)
        maps: Tensor = self.shuffle(self.last(y))
        return maps


def kind_masks(maps: Tensor) -> Tensor:
    """SurfaceSegmenter's logits as probabilities (N, kinds, H, W).

    The likeliest kind's channel holds the probability of a defect, the others less in proportion: being unsure of the
    kind must not hide the defect.
    """
    kinds = torch.softmax(maps[:, 1:], 1)
    return torch.sigmoid(maps[:, :1]) * kinds / kinds.amax(1, keepdim=True)


class ClassifierGraph(nn.Module):
    """What is exported: uint8 (1, H, W, 3) RGB in, score float32 (1, 1) in 0..1 out."""

    def __init__(self, net: SurfaceClassifier) -> None:
        super().__init__()
        self.net = net

    def forward(self, picture: Tensor) -> Tensor:
        """The probability of a defect."""
        return torch.sigmoid(self.net(picture.permute(0, 3, 1, 2).float() / 255.0)[0])


class SegmenterGraph(nn.Module):
    """What is exported: uint8 (1, H, W, 3) RGB in, mask uint8 (1, kinds, H, W) out, 255 is certain."""

    def __init__(self, net: SurfaceSegmenter) -> None:
        super().__init__()
        self.net = net

    def forward(self, picture: Tensor) -> Tensor:
        """The probability of each kind at each pixel."""
        mask = kind_masks(self.net(picture.permute(0, 3, 1, 2).float() / 255.0))
        return (mask * 255.0 + 0.5).to(torch.uint8)
