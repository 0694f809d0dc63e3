"""Surfaces without a defect: float32 grey pictures, about 0..255, drawn from a seeded random generator."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]
Texture = Callable[[np.random.Generator, int, int], Plane]


def noise(rng: np.random.Generator, height: int, width: int) -> Plane:
    """White noise with unit deviation."""
    return rng.standard_normal((height, width), dtype=np.float32)


def cloud(rng: np.random.Generator, height: int, width: int, cells: float) -> Plane:
    """Smooth noise in about -1..1 with `cells` features along the longer side."""
    grain = max(height, width) / cells
    small = noise(rng, max(2, round(height / grain) + 2), max(2, round(width / grain) + 2))
    grown = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(grown / np.float32(2.0), np.float32)


def brushed(rng: np.random.Generator, height: int, width: int) -> Plane:
    """Brushed metal: streaks along one direction, nearly horizontal or vertical."""
    upright = rng.random() < 0.3
    streaks = noise(rng, width if upright else height, height if upright else width)
    length = int(rng.integers(30, 90)) * 2 + 1
    streaks = cv2.blur(streaks, (length, 1)) * np.float32(np.sqrt(length))
    plane = streaks.T if upright else streaks
    return _sum(np.ascontiguousarray(plane) * np.float32(rng.uniform(4, 9)), noise(rng, height, width) * np.float32(2))


def cast(rng: np.random.Generator, height: int, width: int) -> Plane:
    """Cast or blasted metal: grains of several sizes."""
    fine = cv2.GaussianBlur(noise(rng, height, width), (0, 0), float(rng.uniform(0.7, 1.2)))
    coarse = cloud(rng, height, width, float(rng.uniform(60, 120)))
    return _sum(fine * np.float32(rng.uniform(10, 18)), coarse * np.float32(rng.uniform(8, 16)))


def fabric(rng: np.random.Generator, height: int, width: int) -> Plane:
    """A woven or knurled surface: two crossing waves, a little irregular."""
    angle, period = float(rng.uniform(0, np.pi)), float(rng.uniform(7, 16))
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    drift = cloud(rng, height, width, 5) * np.float32(1.2)
    cos, sin, step = np.float32(np.cos(angle)), np.float32(np.sin(angle)), np.float32(2 * np.pi / period)
    warp = np.sin((x * cos + y * sin) * step + drift)
    weft = np.sin((y * cos - x * sin) * step + drift)
    return _sum((warp + weft) * np.float32(rng.uniform(6, 13)), noise(rng, height, width) * np.float32(4))


def turned(rng: np.random.Generator, height: int, width: int) -> Plane:
    """A turned face: arcs around a centre outside or inside the picture."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    centre = rng.uniform(-0.6, 1.6, 2) * (width, height)
    radius = np.hypot(x - np.float32(centre[0]), y - np.float32(centre[1]))
    profile = cv2.GaussianBlur(noise(rng, 1, 4 * (width + height)), (0, 0), float(rng.uniform(0.8, 1.8)))[0]
    rings = profile[np.minimum(radius.astype(np.int32), profile.size - 1)]
    return _sum(rings * np.float32(rng.uniform(12, 22)), noise(rng, height, width) * np.float32(3))


def painted(rng: np.random.Generator, height: int, width: int) -> Plane:
    """Paint or plastic: orange peel and little noise."""
    peel = cloud(rng, height, width, float(rng.uniform(25, 60)))
    return peel * np.float32(rng.uniform(2, 6)) + noise(rng, height, width) * np.float32(rng.uniform(1, 3))


TEXTURES: dict[str, Texture] = {
    "brushed": brushed,
    "cast": cast,
    "fabric": fabric,
    "turned": turned,
    "painted": painted,
}


def lit(rng: np.random.Generator, texture: Plane) -> Plane:
    """Put the texture under a lamp: base brightness, a slope, a vignette and harmless soft shading."""
    height, width = texture.shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    slope = (x / width - 0.5) * np.float32(rng.uniform(-50, 50)) + (y / height - 0.5) * np.float32(rng.uniform(-50, 50))
    away = (x / width - np.float32(rng.uniform(0.3, 0.7))) ** 2 + (y / height - np.float32(rng.uniform(0.3, 0.7))) ** 2
    vignette = away * np.float32(rng.uniform(0, 50))
    shading = cloud(rng, height, width, 4) * np.float32(rng.uniform(0, 14))
    return _sum(texture + np.float32(rng.uniform(90, 175)), slope - vignette + shading)


def _sum(first: Plane, second: Plane) -> Plane:
    return np.asarray(first + second, np.float32)
