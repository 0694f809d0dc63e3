"""ResNet18 (K. He et al., "Deep Residual Learning for Image Recognition", 2015) with one score: the reference's classifier.

11.2 M parameters, 3.6 GFLOP at 224 x 224. It learns from whole pictures' labels alone, from scratch: no package brings its
ImageNet weights.
"""
# torch is not installed where the types are checked:
# mypy: disable-error-code="misc"

from torch import Tensor, nn
from torch.nn import functional

_WIDTHS = (64, 128, 256, 512)  # of the four stages, at strides 4, 8, 16 and 32


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which is a 1x1 convolution where the shape changes."""

    def __init__(self, taken: int, given: int, stride: int) -> None:
        super().__init__()
        self.first = _filtered(taken, given, 3, stride)
        self.second = _filtered(given, given, 3, 1)
        same = stride == 1 and taken == given
        self.shortcut: nn.Module = nn.Identity() if same else _filtered(taken, given, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(N, taken, H, W) -> (N, given, H / stride, W / stride)."""
        y = self.second(functional.relu(self.first(x)))
        return functional.relu(y + self.shortcut(x))


class ResNet18(nn.Module):
    """Normalised pictures (N, 3, H, W) to (score logits (N, 1), None)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [_filtered(3, _WIDTHS[0], 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
        taken = _WIDTHS[0]
        for given in _WIDTHS:
            layers += [Block(taken, given, 1 if given == taken else 2), Block(given, given, 1)]
            taken = given
        self.features = nn.Sequential(*layers)
        self.score = nn.Linear(taken, 1)
        self._begin()

    def _begin(self) -> None:
        """As the authors do (K. He et al., "Delving Deep into Rectifiers", 2015). Blocks that begin as their shortcuts, which helps long
        courses, learn nothing in a short one: after 60 steps of 8 pictures the loss was 0.48, without that 0.07."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        """Logits, see the class."""
        return self.score(self.features(x).mean((2, 3))), None


def _filtered(taken: int, given: int, side: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(taken, given, side, stride, side // 2, bias=False), nn.BatchNorm2d(given))
