"""Pictures of textured surfaces with and without defects, with exact masks, each from (seed, index) alone."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from model_build.samples.defects import DEFECTS, solid
from model_build.samples.textures import TEXTURES, Plane, lit

KINDS = tuple(DEFECTS)


@dataclass(frozen=True)
class Sample:
    """`picture`: uint8 (H, W) grey or (H, W, 3) BGR. `masks`: kind -> bool (H, W), only kinds that are present."""

    picture: NDArray[np.uint8]
    masks: dict[str, NDArray[np.bool_]]
    texture: str

    @property
    def label(self) -> str:
        """As the classifier's labels call it."""
        return "anomalous" if self.masks else "normal"

    @property
    def mask(self) -> NDArray[np.uint8]:
        """Grey mask, (H, W): 0 is good, k is the k-th of KINDS counted from 1."""
        merged = np.zeros(self.picture.shape[:2], np.uint8)
        for kind, mask in self.masks.items():
            merged[mask] = KINDS.index(kind) + 1
        return merged


@dataclass(frozen=True)
class Settings:
    """What to generate. The same settings and index give the same picture, whatever else is generated."""

    seed: int
    width: int = 640
    height: int = 480
    defect_share: float = 0.3
    colour: bool = False


def generate(settings: Settings, index: int) -> Sample:
    """Draw the picture with that index."""
    rng = np.random.default_rng([settings.seed, index])
    names = list(TEXTURES)
    name = names[int(rng.integers(len(names)))]
    surface = lit(rng, TEXTURES[name](rng, settings.height, settings.width))
    masks: dict[str, NDArray[np.bool_]] = {}
    if rng.random() < settings.defect_share:
        for kind in _kinds(rng):
            surface = _with_defect(rng, surface, kind, masks)
    return Sample(_photographed(rng, surface, settings.colour), masks, name)


def _kinds(rng: np.random.Generator) -> list[str]:
    """Mostly one defect, sometimes two or three."""
    count = int(rng.choice([1, 2, 3], p=[0.7, 0.22, 0.08]))
    return [KINDS[int(pick)] for pick in rng.integers(len(KINDS), size=count)]


def _with_defect(rng: np.random.Generator, surface: Plane, kind: str, masks: dict[str, NDArray[np.bool_]]) -> Plane:
    stroke = DEFECTS[kind](rng, *surface.shape)
    changed = surface + stroke.opacity * stroke.brightness
    drawn = solid(stroke.opacity)
    if not drawn.any():
        return surface
    for mask in masks.values():
        mask[drawn] = False  # the newest lies on top
    masks[kind] = masks.get(kind, np.zeros_like(drawn)) | drawn
    return changed.astype(np.float32)


def _photographed(rng: np.random.Generator, surface: Plane, colour: bool) -> NDArray[np.uint8]:
    """A camera's blur, noise and, when wanted, a tint."""
    blurred = cv2.GaussianBlur(surface, (0, 0), float(rng.uniform(0.3, 0.8)))
    grainy = blurred + rng.standard_normal(blurred.shape, dtype=np.float32) * np.float32(rng.uniform(0.5, 2.5))
    if not colour:
        return _bytes(grainy)
    tint = rng.uniform(0.82, 1.12, 3).astype(np.float32)
    return _bytes(grainy[:, :, np.newaxis] * tint)


def _bytes(values: Plane) -> NDArray[np.uint8]:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
