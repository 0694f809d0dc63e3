"""A net that knows good parts alone: a pixel is as suspicious as its features are far from those of good surfaces.

The features are ImageNet's and stay as they are; of each depth it holds one Gaussian over all places of all good pictures. The distance
is P. C. Mahalanobis's, as in O. Rippel, P. Mertens, D. Merhof, "Modeling the distribution of normal data in pre-trained deep features for
anomaly detection", ICPR 2020, here of each place instead of the whole picture. Fine cracks show in the first features, foreign shapes in
the deep ones; which matter is not known beforehand, so each depth is measured by what good pictures reach there, and the most suspicious
one counts.
"""
# torch is not installed where the types are checked:
# mypy: disable-error-code="misc"

import torch
from torch import Tensor, nn
from torch.nn import functional

from model_build.nets.pytorch.backbone import CHANNELS, STEM, Backbone

_READ = (STEM, *CHANNELS)  # channels at strides 2, 4, 8 and 16
_WINDOW = 3  # side of the windows over which squared distances are averaged, in cells
_LEAST = 1e-6  # below it a distance has no logarithm to speak of
# Of the spreads above what the usual good picture's most suspicious place reaches, this one is as likely good as defective. What is sure
# beyond doubt must still differ from what is surer: half a unit of log-odds a spread keeps 30 spreads apart.
_EVEN, _STEEPNESS = 2.0, 0.5


class Reading(nn.Module):
    """One depth: features (N, C, h, w) to the logarithm of their squared distance from good ones (N, 1, h, w).

    `mean` (C), `whiten` (C, C) are the Gaussian's, see `fit`; `usual` and `spread` are mean and standard deviation of the largest such
    logarithm in a good picture.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("whiten", torch.eye(channels))
        self.register_buffer("usual", torch.zeros(()))
        self.register_buffer("spread", torch.ones(()))

    def fit(self, mean: Tensor, covariance: Tensor) -> None:
        """Take the Gaussian. `covariance` is positive definite."""
        # precision = L L^T, so the squared distance is the squared length of L^T (x - mean).
        self.whiten.copy_(torch.linalg.cholesky(torch.linalg.inv(covariance)).T)
        self.mean.copy_(mean)

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        weight = self.whiten[:, :, None, None]
        white = functional.conv2d(features, weight, -(self.whiten @ self.mean))
        distance = (white * white).sum(1, keepdim=True)
        around = functional.avg_pool2d(distance, _WINDOW, 1, _WINDOW // 2, count_include_pad=False)
        return around.clamp(min=_LEAST).log()

    def surprise(self, logarithm: Tensor) -> Tensor:
        """In spreads above what a good picture's most suspicious place reaches."""
        return (logarithm - self.usual) / self.spread


class Anomaly(nn.Module):
    """Normalised pictures (N, 3, H, W), sides multiples of 32, to logits: score (N, 1), mask (N, classes, H/4, W/4).

    It knows no classes: all channels of the mask say the same. The score is the mask's most suspicious cell.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.backbone = Backbone()
        self.readings = nn.ModuleList(Reading(channels) for channels in _READ)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, see the class."""
        surprises = [
            reading.surprise(reading(features))
            for reading, features in zip(self.readings, self.backbone.maps(x), strict=True)
        ]
        quarter = torch.cat([_at_quarter(map_, depth) for depth, map_ in enumerate(surprises)], 1)
        mask = (quarter.amax(1, keepdim=True) - _EVEN) * _STEEPNESS
        return mask.amax((2, 3)), torch.cat([mask] * self.classes, 1)


def _at_quarter(map_: Tensor, depth: int) -> Tensor:
    """A map at stride 2 * 2**depth, at stride 4."""
    if depth == 0:
        return functional.max_pool2d(map_, 2)
    if depth == 1:
        return map_
    return functional.interpolate(map_, scale_factor=2.0 ** (depth - 1), mode="bilinear", align_corners=False)
