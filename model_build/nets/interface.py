"""What a net is to the rest of the chain: its facts (`NETS`), what it learns from (`Batch`) and who teaches it (`Learner`).

A net in PyTorch is a module in `model_build.nets.pytorch` whose forward takes normalised pictures float32 (N, 3, H, W) and gives
`(score logits (N, 1) or None, mask logits (N, classes, h, w) or None)`; `model_build.nets.pytorch.learner` does the rest. Another
framework, and a net that learns otherwise, brings a `Learner` of its own. `model_build.nets.learners` finds the right one; only the
environment of its framework can import it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from linewatch_common.errors import InputError
from linewatch_common.manifest import Preparation, Role
from numpy.typing import NDArray

from model_build.nets.sizes import Size, aspect_size, fits_squashed

Framework = Literal["torch", "tensorflow"]
Output = Literal["score", "mask"]
Start = Literal["imagenet", "scratch"]
Pictures = NDArray[np.uint8]

INPUT = "image"  # uint8 (1, H, W, 3) RGB: the one input of every exported model
SCORE, MASK = "score", "mask"  # its outputs: float32 (1, 1) and float32 (1, classes, h, w), both probabilities
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, of RGB 0..1; they lie in the graph


@dataclass(frozen=True, slots=True)
class Net:
    """Facts about one net. `side`: it wants a square of that side, pictures squashed; None: the part's own aspect ratio.

    `good_only`: it learns from good pictures alone, and defective ones only judge it.
    """

    name: str
    framework: Framework
    outputs: tuple[Output, ...]
    roles: tuple[Role, ...]
    side: int | None
    about: str
    good_only: bool = False

    def preparation(self, sizes: Sequence[Size], pixels: int) -> Preparation:
        """How pictures of these (width, height) become its input of about `pixels` pixels."""
        if self.side is not None:
            return Preparation(width=self.side, height=self.side, resize="squash")
        width, height = aspect_size(sizes, pixels)
        resize: Literal["squash", "letterbox"] = "squash" if fits_squashed(sizes, (width, height)) else "letterbox"
        return Preparation(width=width, height=height, resize=resize)


NETS = {
    net.name: net
    for net in (
        Net(
            "inspector",
            "torch",
            ("score", "mask"),
            ("classifier", "segmenter"),
            None,
            "ours: one compact net, score and mask",
        ),
        Net(
            "compact-classifier",
            "torch",
            ("score",),
            ("classifier",),
            224,
            "the bundle's classifier, small, learns from masks too",
        ),
        Net("compact-segmenter", "torch", ("mask",), ("segmenter",), None, "the bundle's segmenter, a small U-Net"),
        Net(
            "anomaly",
            "torch",
            ("score", "mask"),
            ("classifier", "segmenter"),
            None,
            "a start without defects: learns good parts alone",
            good_only=True,
        ),
        Net("resnet18", "torch", ("score",), ("classifier",), 224, "the reference's classifier"),
        Net(
            "unet", "tensorflow", ("mask",), ("segmenter",), 224, "the reference's segmenter, MobileNetV2-0.35 encoder"
        ),
    )
}


def net_named(name: str) -> Net:
    """Raises InputError for an unknown name."""
    if name not in NETS:
        raise InputError(f"net {name!r} is unknown, expected one of {', '.join(NETS)}")
    return NETS[name]


@dataclass(frozen=True, slots=True)
class Batch:
    """N prepared and augmented pictures with their truth.

    `pictures` uint8 (N, H, W, 3) RGB. `masks` float32 (N, classes, H, W): how much of each pixel is defective, 0..1. `counts` float32
    (N, H, W): 1 where a pixel counts, 0 in padding, outside the region and where ignored; all 0 for a weak label, whose mask nobody
    drew. `defective` float32 (N,): 0 or 1.
    """

    pictures: Pictures
    masks: NDArray[np.float32]
    counts: NDArray[np.float32]
    defective: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Said:
    """What a net says about N pictures: probabilities, float32 (N,) and (N, classes, h, w)."""

    scores: NDArray[np.float32] | None
    masks: NDArray[np.float32] | None


@dataclass(frozen=True, slots=True)
class Setup:
    """What a learner is made from. `steps`: how many batches its course has. `average`: decay of averaged weights, 0 for none."""

    net: Net
    classes: int
    width: int
    height: int
    seed: int
    steps: int
    rate: float
    weight_decay: float
    average: float


class Learner(Protocol):
    """One net that learns. The course (order of pictures, augmentation, judging, checkpoints) is `model_build.training`'s."""

    start: Start  # what the weights came from

    def learn(self, batch: Batch) -> float:
        """One step; the loss. The learning rate follows from the number of steps so far. Raises FloatingPointError for no number."""

    def say(self, pictures: Pictures) -> Said:
        """Predict with the weights that `export` would write; uint8 (N, H, W, 3)."""

    def state(self) -> bytes:
        """Everything that the next step depends on, and the weights of `say`."""

    def restore(self, state: bytes) -> None:
        """Go on where `state` was taken. Raises InputError when it is of another net or corrupt."""

    def weights(self) -> bytes:
        """The weights of `say` alone, in the framework's own form."""

    def load(self, weights: bytes) -> None:
        """Take `weights` for `say` and `export`. Raises InputError when they are of another net or corrupt."""

    def export(self, path: Path) -> None:
        """Write ONNX: input `image`, normalisation in the graph, outputs `score` and/or `mask`, see INPUT, SCORE and MASK."""
