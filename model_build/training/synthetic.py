"""Drawn defects on good training pictures: a start where there are no defective ones, or too few.

Scratches, cracks, spots and inclusions as the sample generator draws them, and pieces of the same surface put elsewhere after
C. Li, K. Sohn, J. Yoon, T. Pfister, "CutPaste", CVPR 2021. What they look like hardly matters; that something does not belong, does.
"""

from dataclasses import replace

import cv2
import numpy as np
from linewatch_common.manifest import Preparation
from numpy.typing import NDArray

from model_build.samples.defects import DEFECTS, Stroke, solid
from model_build.training.pictures import Look

_MAKERS = tuple(DEFECTS.values())
_PASTED = 0.35  # share of the drawn defects that are pieces of the surface
_FAINTEST = 0.45  # of the strength that the generator draws: real defects are often faint
_TRIES = 8
_LEAST = 6  # defective pixels of the input: fewer teach nothing

Plane = NDArray[np.float32]


class Painter:
    """Draws a defect on a share of the good pictures."""

    def __init__(self, preparation: Preparation, share: float) -> None:
        self._height, self._width, self._share = preparation.height, preparation.width, share

    def painted(self, look: Look, rng: np.random.Generator) -> Look:
        """`look` itself, or, for a share of the good ones, with one drawn defect in the first class's mask."""
        if look.defective or self._share == 0 or rng.random() >= self._share:
            return look
        for _ in range(_TRIES):
            made = self._drawn(look, rng)
            if made is not None:
                return made
        return look

    def _drawn(self, look: Look, rng: np.random.Generator) -> Look | None:
        pasted = rng.random() < _PASTED
        picture, where = _pasted(look, rng) if pasted else self._stroke(look, rng)
        where &= look.counts >= 128
        if int(where.sum()) < _LEAST:
            return None
        mask = np.zeros_like(look.mask)
        mask[0] = where.astype(np.uint8) * 255
        return replace(look, picture=picture, mask=mask, defective=True)

    def _stroke(self, look: Look, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        stroke: Stroke = _MAKERS[int(rng.integers(len(_MAKERS)))](rng, self._height, self._width)
        strength = rng.uniform(_FAINTEST, 1.0)
        shift = (stroke.opacity * stroke.brightness * strength).astype(np.float32)[:, :, None]
        picture = np.clip(look.picture + shift, 0, 255).astype(np.uint8)
        return picture, np.asarray(solid(stroke.opacity))


def _pasted(look: Look, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A ragged piece from elsewhere in the picture, mirrored and in another light."""
    height, width = look.counts.shape
    piece = np.flip(np.roll(look.picture, rng.integers(0, (height, width)), axis=(0, 1)), int(rng.integers(2)))
    lit = np.clip(piece * np.float32(rng.uniform(0.7, 1.3)) + np.float32(rng.uniform(-30, 30)), 0, 255)
    soft = cv2.GaussianBlur(_blob(height, width, rng), (0, 0), 1.0)[:, :, None]
    picture = (look.picture * (1 - soft) + lit * soft).astype(np.uint8)
    return picture, np.asarray(soft[:, :, 0] >= 0.5)


def _blob(height: int, width: int, rng: np.random.Generator) -> Plane:
    """0 or 1 (H, W): a ragged ellipse."""
    short = min(height, width)
    axes = rng.uniform(0.02, 0.12, 2) * short * (1, rng.uniform(1, 4))
    middle = rng.uniform(0.05, 0.95, 2) * (width, height)
    plane = np.zeros((height, width), np.float32)
    box = (tuple(map(float, middle)), tuple(map(float, 2 * axes)), float(rng.uniform(0, 180)))
    cv2.ellipse(plane, box, 1.0, -1)
    coarse = rng.random((max(2, height // 6), max(2, width // 6)), np.float32)
    ragged = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray((plane > 0) & (ragged > 0.3), np.float32)
