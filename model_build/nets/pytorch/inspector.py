"""Our net: one compact trunk, two heads. Where the part is defective (mask, at stride 2), and whether it is (score)."""
# torch is not installed where the types are checked:
# mypy: disable-error-code="misc"

import torch
from torch import Tensor, nn
from torch.nn import functional

from model_build.nets.pytorch.backbone import CHANNELS, Backbone

_WIDTHS = (48, 32, 24)  # of the decoder, at strides 16, 8 and 4
_SCALES = (
    1,
    4,
)  # sides of the windows, in cells at stride 4, over which evidence is averaged before its maximum is taken
_RARE = -4.0  # the mask starts from "nothing here": the first hundreds of steps would only learn that


class Inspector(nn.Module):
    """Normalised pictures (N, 3, H, W), sides multiples of 32, to logits: score (N, 1), mask (N, classes, H/2, W/2).

    The score reads the trunk's deepest features, the decoder's and the mask itself, but its loss does not reach the decoder: whole-image
    labels must not blur the mask (J. Bozic, D. Tabernik, D. Skocaj, "Mixed supervision for surface-defect detection", 2021).
    It is the sum of two readings: of the mask's evidence, which few pictures suffice to calibrate, and of the features.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.backbone = Backbone()
        fine, middle, deep = CHANNELS
        self.enter = nn.Conv2d(deep, _WIDTHS[0], 1)
        self.eighth = _merge(_WIDTHS[0] + middle, _WIDTHS[1])
        self.quarter = _merge(_WIDTHS[1] + fine, _WIDTHS[2])
        self.evidence = nn.Conv2d(_WIDTHS[2], 4 * classes, 1)
        self.evidence_score = nn.Linear(1 + len(_SCALES), 1)
        self.feature_score = nn.Sequential(nn.Dropout(0.3), nn.Linear(2 * (deep + _WIDTHS[2]), 1))
        self._begin()

    def _begin(self) -> None:
        nn.init.normal_(self.evidence.weight, std=0.03)
        nn.init.constant_(self.evidence.bias, _RARE)
        # A certain cell means a defective part: where the score starts from.
        nn.init.constant_(self.evidence_score.weight, 0.5)
        nn.init.zeros_(self.evidence_score.bias)
        nn.init.zeros_(self.feature_score[1].weight)
        nn.init.zeros_(self.feature_score[1].bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, see the class."""
        fine, middle, deep = self.backbone(x)
        y = self.eighth(torch.cat([_twice(self.enter(deep)), middle], 1))
        y = self.quarter(torch.cat([_twice(y), fine], 1))
        quarters = self.evidence(y)
        return self._score(deep, y.detach(), quarters.detach()), functional.pixel_shuffle(quarters, 2)

    def _score(self, deep: Tensor, y: Tensor, quarters: Tensor) -> Tensor:
        likely = quarters.amax(1, keepdim=True)
        peaks = [functional.avg_pool2d(likely, side).amax((2, 3)) for side in _SCALES]
        evidence = torch.cat([*peaks, likely.mean((2, 3))], 1) * 0.25
        pooled = torch.cat([map_.mean((2, 3)) for map_ in (deep, y)] + [map_.amax((2, 3)) for map_ in (deep, y)], 1)
        score: Tensor = self.evidence_score(evidence) + self.feature_score(pooled)
        return score


def _merge(taken: int, given: int) -> nn.Sequential:
    """A depthwise-separable convolution."""
    return nn.Sequential(
        nn.Conv2d(taken, taken, 3, padding=1, groups=taken, bias=False),
        nn.BatchNorm2d(taken),
        nn.ReLU(inplace=True),
        nn.Conv2d(taken, given, 1, bias=False),
        nn.BatchNorm2d(given),
        nn.ReLU(inplace=True),
    )


def _twice(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")
