"""How a net is trained: everything a person may turn, with defaults for each net."""

from typing import Annotated

from msgspec import Meta, Struct

Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Rate = Annotated[float, Meta(gt=0.0, le=1.0)]


class Augmentation(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How far a training picture may be changed: angle in degrees, the rest as shares; `flip` along both axes."""

    flip: bool = True
    angle: Annotated[float, Meta(ge=0.0, le=180.0)] = 6.0
    zoom: Share = 0.12
    shift: Share = 0.05
    contrast: Share = 0.25
    brightness: Share = 0.1
    noise: Share = 0.01


class Plan(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One course. An epoch is `steps` batches of `batch` pictures, half of them defective.

    `folds`: models trained beside the final one, each judged on the pictures that it did not see; they choose the thresholds and how
    long the final model learns. `fold_share`: their courses as a share of `epochs`. `patience`: epochs without a better figure
    before a fold stops. `average`: decay of the averaged weights that are judged and kept, 0 for none. `pixels`: of the input,
    where the net takes the part's own aspect ratio. `synthetic`: share of the good pictures in a batch that get a drawn defect.
    """

    epochs: Count = 12
    steps: Count = 25
    batch: Annotated[int, Meta(ge=2, le=512)] = 8
    rate: Rate = 2e-3
    weight_decay: Share = 1e-3
    average: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.98
    folds: Annotated[int, Meta(ge=2, le=20)] = 3
    fold_share: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.7
    patience: Count = 5
    pixels: Annotated[int, Meta(ge=1024, le=16_777_216)] = 172_032
    synthetic: Share = 0.0
    augmentation: Augmentation = Augmentation()


PLANS = {"inspector": Plan(), "resnet18": Plan(batch=16, rate=1e-3, average=0.0), "unet": Plan(batch=16, average=0.0)}
