"""How a net is trained: everything a person may turn, with defaults for each net."""

from typing import Annotated

import msgspec
from linewatch_common.errors import InputError
from msgspec import Meta, Struct
from msgspec.structs import replace

_STEPS = (24, 80)  # batches an epoch, at least and at most
# More defective pictures, more looks in all, but fewer at each: 24 batches an epoch for 35 of them, 80 for 260.
_STEPS_A_DEFECT, _GROWTH = 2.85, 0.6
# Small pictures cost little: they buy up to half as many steps again, for no more time than full-sized ones take. Sides that are
# multiples of the stride leave up to a tenth of the full size unused: that buys nothing.
_SMALL, _FULL = 1.5, 0.9
_FEW = 24  # defective pictures; with fewer, drawn defects are added
_DRAWN = 0.25  # share of the good pictures that then get one

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
    """One course. An epoch is `steps` batches of `batch` pictures, half of them defective; 0 steps: as the data wants.

    `fold_share`: the courses of the folds' models as a share of `epochs`. `patience`: epochs without a better figure before a fold
    stops. `average`: decay of the averaged weights that are judged and kept, 0 for none. `pixels`: of the input, where the net takes
    the part's own aspect ratio. `synthetic`: share of the good pictures that get a drawn defect. `defects`: learn from at most so many of
    the defective pictures, drawn by the seed; all of them judge.
    """

    epochs: Count = 10
    steps: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    batch: Annotated[int, Meta(ge=2, le=512)] = 8
    rate: Rate = 2e-3
    weight_decay: Share = 1e-3
    average: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.98
    fold_share: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.7
    patience: Count = 4
    pixels: Annotated[int, Meta(ge=1024, le=16_777_216)] = 172_032
    synthetic: Share = 0.0
    defects: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    augmentation: Augmentation = Augmentation()

    def checked(self) -> "Plan":
        """The same. Raises InputError for a value out of its range."""
        try:
            return msgspec.convert(msgspec.to_builtins(self), Plan)
        except msgspec.ValidationError as error:
            raise InputError(f"the plan: {error}") from error

    def for_data(self, defective: int, pixels: int) -> "Plan":
        """With what the data decides filled in: more defects take longer to learn, few or none are helped by drawn ones.

        `pixels`: of the input that these pictures get, at most `self.pixels`.
        """
        defective = defective if self.defects is None else min(defective, self.defects)
        wanted = min(_STEPS[1], max(_STEPS[0], round(_STEPS_A_DEFECT * defective**_GROWTH)))
        steps = self.steps or int(wanted * min(_SMALL, max(1.0, _FULL * self.pixels / pixels)))
        drawn = self.synthetic if defective >= _FEW else max(self.synthetic, _DRAWN if defective else 0.5)
        return replace(self, steps=steps, synthetic=drawn)
