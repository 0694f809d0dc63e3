"""Training pictures, changed a little each time: seeded, the picture and its truth alike."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from model_build.nets.interface import Batch
from model_build.training.pictures import Look
from model_build.training.plan import Augmentation

Planes = NDArray[np.uint8]


def batch_of(looks: Sequence[Look], how: Augmentation | None, rng: np.random.Generator) -> Batch:
    """A batch of these pictures, each changed by `how`; as they are with None."""
    changed = [(look.picture, look.mask, look.counts) if how is None else augmented(look, how, rng) for look in looks]
    pictures, masks, counts = (np.stack([parts[place] for parts in changed]) for place in range(3))
    return Batch(
        pictures=pictures,
        masks=masks.astype(np.float32) / 255.0,
        counts=counts.astype(np.float32) / 255.0,
        defective=np.array([look.defective for look in looks], np.float32),
    )


def augmented(look: Look, how: Augmentation, rng: np.random.Generator) -> tuple[Planes, Planes, Planes]:
    """Picture (H, W, 3), mask (C, H, W) and counts (H, W) after flips, a small turn, zoom and shift, and another light."""
    picture, truth = look.picture, np.stack([*look.mask, look.counts], axis=2)
    for axis in (0, 1):
        if how.flip and rng.random() < 0.5:
            picture, truth = np.flip(picture, axis), np.flip(truth, axis)
    picture, truth = np.ascontiguousarray(picture), np.ascontiguousarray(truth)
    if rng.random() < 0.5:
        matrix = _turn(picture.shape[1], picture.shape[0], how, rng)
        picture, truth = _warped(picture, matrix), _warped(truth, matrix)
    planes = np.ascontiguousarray(truth.transpose(2, 0, 1))
    return _lit(picture, how, rng), planes[:-1], planes[-1]


def _turn(width: int, height: int, how: Augmentation, rng: np.random.Generator) -> NDArray[np.float64]:
    matrix = cv2.getRotationMatrix2D(
        (width / 2, height / 2), rng.uniform(-how.angle, how.angle), 1 + rng.uniform(-how.zoom, how.zoom)
    )
    matrix[:, 2] += rng.uniform(-how.shift, how.shift, 2) * (width, height)
    return np.asarray(matrix, np.float64)


def _warped(planes: Planes, matrix: NDArray[np.float64]) -> Planes:
    size = planes.shape[1], planes.shape[0]
    # Mirrored at the edge: a black corner would be a defect that is none. OpenCV warps up to 4 channels at once.
    parts = [
        cv2.warpAffine(planes[:, :, first : first + 4], matrix, size, borderMode=cv2.BORDER_REFLECT_101)
        for first in range(0, planes.shape[2], 4)
    ]
    return np.concatenate([part.reshape(*part.shape[:2], -1) for part in parts], axis=2)


def _lit(picture: Planes, how: Augmentation, rng: np.random.Generator) -> Planes:
    gain, shift = 1 + rng.uniform(-how.contrast, how.contrast), 255 * rng.uniform(-how.brightness, how.brightness)
    noise = rng.uniform(0, how.noise) * 255
    if noise < 0.5:
        table = np.clip(np.arange(256) * gain + shift, 0, 255).astype(np.uint8)
        return np.asarray(cv2.LUT(picture, table), np.uint8)
    grain = rng.standard_normal(picture.shape[:2], np.float32)[:, :, None] * np.float32(noise)
    return np.clip(picture * np.float32(gain) + np.float32(shift) + grain, 0, 255).astype(np.uint8)
