"""A compiled model beside the float model, picture by picture, on training pictures that did not calibrate it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from linewatch_common.manifest import Preparation
from numpy.typing import NDArray

from model_build.compiling.artefact import Comparison, Figure, Tolerance
from model_build.compiling.asking import asked
from model_build.compiling.running import Model
from model_build.data.prepared import Entry, PreparedSet
from model_build.evaluation.pixels import PixelCounts
from model_build.evaluation.scores import average_precision
from model_build.training.joining import Joined

Steps = Callable[[Iterable[str]], Iterable[str]]


@dataclass(frozen=True, slots=True)
class Limits:
    """The two thresholds of the operating point: pass below `review`, fail at or above `fail`."""

    review: float
    fail: float

    def verdicts(self, scores: NDArray[np.float64]) -> NDArray[np.int64]:
        """0 pass, 1 review, 2 fail."""
        return (scores >= self.review).astype(np.int64) + (scores >= self.fail)


@dataclass(frozen=True, slots=True)
class Ground:
    """What models are compared on. `seen`: the float model learnt from these pictures."""

    data: PreparedSet
    preparation: Preparation
    ids: tuple[str, ...]
    limits: Limits
    seen: bool


def said_of(model: Model, ground: Ground, steps: Steps = iter) -> Iterator[Joined]:
    """What `model` says of every picture, in order. Raises InputError when it is no model of ours."""
    return (asked(model, ground.data.example(name), ground.preparation) for name in steps(ground.ids))


def compare(floating: Sequence[Joined], compiled: Sequence[Joined], ground: Ground) -> Comparison:
    """Figures of both over the same pictures."""
    labels = np.array([ground.data.entry(name).defective for name in ground.ids], np.bool_)
    before, after = (np.array([said.score for said in side], np.float64) for side in (floating, compiled))
    both = labels.any() and not labels.all()
    return Comparison(
        ids=ground.ids,
        seen=ground.seen,
        review=ground.limits.review,
        fail=ground.limits.fail,
        image_ap=_figure(average_precision(labels, before), average_precision(labels, after)) if both else None,
        pixel_ap=_pixel_figure(floating, compiled, ground),
        score_difference=_rounded(np.abs(before - after).max()),
        mask_difference=_mask_difference(floating, compiled),
        flips=int((ground.limits.verdicts(before) != ground.limits.verdicts(after)).sum()),
    )


def losses(found: Comparison, tolerance: Tolerance) -> list[str]:
    """Each loss above the tolerance as a line; none when the compiled model may take the float model's place."""
    lines = [
        f"loses {figure.loss:.4f} of {name} ({figure.floating:.4f} to {figure.compiled:.4f}), {allowed} is allowed"
        for name, figure, allowed in (
            ("image AP", found.image_ap, tolerance.image_ap),
            ("pixel AP", found.pixel_ap, tolerance.pixel_ap),
        )
        if figure is not None and figure.loss > allowed
    ]
    allowed = max(1, int(tolerance.flips * len(found.ids)))  # one picture at the threshold proves nothing
    if found.flips > allowed:
        lines.append(f"judges {found.flips} of {len(found.ids)} pictures otherwise, {allowed} allowed")
    return lines


def _pixel_figure(floating: Sequence[Joined], compiled: Sequence[Joined], ground: Ground) -> Figure | None:
    """Pooled over all pixels that count, at the pictures' own resolution; None without masks or without a defective pixel."""
    counts = PixelCounts(), PixelCounts()
    for name, *sides in zip(ground.ids, floating, compiled, strict=True):
        entry = ground.data.entry(name)
        masks = [said.mask for said in sides if said.mask is not None]
        if entry.weak or len(masks) != 2:
            continue
        truth, matter = ground.data.mask(name).any(axis=0), ground.data.counts(name)
        for count, mask in zip(counts, masks, strict=True):
            count.add(entry.part, np.asarray(truth), matter, _full(mask, entry, ground.preparation))
    before, after = (count.precision() for count in counts)
    return None if before is None or after is None else _figure(before.value, after.value)


def _full(mask: NDArray[np.float32], entry: Entry, preparation: Preparation) -> NDArray[np.float32]:
    """The mask at the picture's resolution, as evaluation upsamples it; 0 outside the region of interest."""
    full, region = np.zeros((entry.height, entry.width), np.float32), preparation.region_of_interest
    place = full if region is None else full[region.y : region.y + region.height, region.x : region.x + region.width]
    size = place.shape[1], place.shape[0]
    place[:] = np.clip(cv2.resize(mask.max(axis=0), size, interpolation=cv2.INTER_LINEAR), 0, 1)
    return full


def _mask_difference(floating: Sequence[Joined], compiled: Sequence[Joined]) -> float | None:
    means = [
        float(np.abs(before.mask - after.mask).mean())
        for before, after in zip(floating, compiled, strict=True)
        if before.mask is not None and after.mask is not None
    ]
    return _rounded(np.mean(means)) if means else None


def _figure(before: float, after: float) -> Figure:
    return Figure(floating=_rounded(before), compiled=_rounded(after), loss=_rounded(before - after))


def _rounded(value: float | np.floating) -> float:
    return round(float(value), 6)
