"""Defects drawn over a surface: each is an opacity plane (its exact mask) and the brightness it gives the surface."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from model_build.samples.textures import Plane, cloud

Points = NDArray[np.float64]
_SHIFT = 4  # cv2 draws with 1/16 pixel
_SOLID = 0.35  # from this opacity on a pixel belongs to the defect


@dataclass(frozen=True)
class Stroke:
    """`opacity`: 0..1, (H, W). `brightness`: what the surface becomes where it is opaque, relative to the surface."""

    opacity: Plane
    brightness: Plane | float


Maker = Callable[[np.random.Generator, int, int], Stroke]


def scratch(rng: np.random.Generator, height: int, width: int) -> Stroke:
    """A long, thin, slightly bent line, bright or dark, fading towards its ends."""
    unit = _unit(height, width)
    length, angle = rng.uniform(90, 300) * unit, rng.uniform(0, 2 * np.pi)
    bend = rng.uniform(-0.18, 0.18)
    t = np.linspace(-0.5, 0.5, 24)
    along = np.stack([t, bend * (0.25 - t**2) * 4], axis=1) * length
    points = _turned(along, angle) + _place(rng, height, width, 0.12)
    opacity = _tapered(points, rng.uniform(1.6, 3.6) * unit, height, width)
    return Stroke(opacity, float(_sign(rng, 0.6) * rng.uniform(32, 85)))


def crack(rng: np.random.Generator, height: int, width: int) -> Stroke:
    """A dark, jagged line of changing width with branches."""
    unit = _unit(height, width)
    opacity = np.zeros((height, width), np.float32)
    start, angle = _place(rng, height, width, 0.15), rng.uniform(0, 2 * np.pi)
    trunk = _walk(rng, start, angle, rng.uniform(90, 220) * unit, unit)
    _draw(opacity, trunk, rng.uniform(2.0, 4.2) * unit)
    for _ in range(int(rng.integers(0, 4))):
        fork = trunk[int(rng.integers(1, len(trunk)))]
        branch = _walk(rng, fork, angle + _sign(rng, 0.5) * rng.uniform(0.4, 1.2), rng.uniform(25, 80) * unit, unit)
        _draw(opacity, branch, rng.uniform(1.4, 2.4) * unit)
    return Stroke(cv2.GaussianBlur(opacity, (0, 0), 0.5), float(-rng.uniform(45, 100)))


def spot(rng: np.random.Generator, height: int, width: int) -> Stroke:
    """A stain or drop: a soft-edged ellipse, darker or brighter."""
    unit = _unit(height, width)
    opacity = np.zeros((height, width), np.float32)
    axes = rng.uniform(7, 26, 2) * unit
    _ellipse(opacity, _place(rng, height, width, 0.06), axes, rng.uniform(0, 180))
    soft = cv2.GaussianBlur(opacity, (0, 0), float(rng.uniform(1.2, 2.8) * unit))
    return Stroke(soft, float(_sign(rng, 0.3) * rng.uniform(30, 75)))


def inclusion(rng: np.random.Generator, height: int, width: int) -> Stroke:
    """Foreign matter: a sharp, irregular, grainy body with a bright rim on one side."""
    unit = _unit(height, width)
    radius = rng.uniform(6, 18) * unit
    corners = int(rng.integers(7, 13))
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    reach = radius * rng.uniform(0.55, 1.25, corners)
    outline = np.stack([np.cos(angles), np.sin(angles)], axis=1) * reach[:, None] + _place(rng, height, width, 0.06)
    body = np.zeros((height, width), np.float32)
    cv2.fillPoly(body, [_fixed(outline)], 1.0, cv2.LINE_AA, _SHIFT)
    grains = cloud(rng, height, width, max(height, width) / (3 * unit))
    offset = max(1, round(unit))
    rim = np.clip(body - np.roll(body, offset, axis=(0, 1)), 0, 1)
    brightness = grains * np.float32(55) + np.float32(_sign(rng, 0.35) * rng.uniform(25, 70)) + rim * np.float32(90)
    return Stroke(cv2.GaussianBlur(body, (0, 0), 0.6), brightness)


DEFECTS: dict[str, Maker] = {"scratch": scratch, "crack": crack, "spot": spot, "inclusion": inclusion}


def solid(opacity: Plane) -> NDArray[np.bool_]:
    """Which pixels belong to the defect."""
    return opacity >= _SOLID


def _unit(height: int, width: int) -> float:
    """Sizes are given for a picture of 640 x 480 and grow with the picture."""
    return max(0.25, min(height / 480, width / 640))


def _sign(rng: np.random.Generator, share_positive: float) -> float:
    return 1.0 if rng.random() < share_positive else -1.0


def _place(rng: np.random.Generator, height: int, width: int, margin: float) -> Points:
    return np.asarray(rng.uniform(margin, 1 - margin, 2) * (width, height), np.float64)


def _turned(points: Points, angle: float) -> Points:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.asarray(points @ np.array([[cos, sin], [-sin, cos]]), np.float64)


def _walk(rng: np.random.Generator, start: Points, angle: float, length: float, unit: float) -> Points:
    points, heading, gone = [start], angle, 0.0
    while gone < length:
        heading += rng.normal(0, 0.55) + 0.25 * (angle - heading)
        step = rng.uniform(5, 14) * unit
        points.append(points[-1] + step * np.array([np.cos(heading), np.sin(heading)]))
        gone += step
    return np.array(points)


def _fixed(points: Points) -> NDArray[np.int32]:
    return np.round(points * (1 << _SHIFT)).astype(np.int32)


def _draw(plane: Plane, points: Points, thickness: float) -> None:
    """Draw a polyline whose width shrinks towards its end."""
    fixed = _fixed(points)
    for index in range(len(points) - 1):
        shrunk = thickness * (1 - 0.6 * index / len(points))
        cv2.line(plane, _pair(fixed[index]), _pair(fixed[index + 1]), 1.0, max(1, round(shrunk)), cv2.LINE_AA, _SHIFT)


def _tapered(points: Points, thickness: float, height: int, width: int) -> Plane:
    """A line that is four times finer than a pixel and fades towards both ends."""
    zoom = 2
    plane = np.zeros((height * zoom, width * zoom), np.float32)
    fixed = _fixed(points * zoom)
    for index in range(len(points) - 1):
        middle = 1 - abs(2 * (index + 0.5) / (len(points) - 1) - 1)
        strength = min(1.0, 0.5 + middle)
        cv2.line(
            plane,
            _pair(fixed[index]),
            _pair(fixed[index + 1]),
            strength,
            max(1, round(thickness * zoom)),
            cv2.LINE_AA,
            _SHIFT,
        )
    small: Plane = cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA)
    return small


def _ellipse(plane: Plane, centre: Points, axes: Points, angle: float) -> None:
    cv2.ellipse(plane, _pair(_fixed(centre)), _pair(_fixed(axes)), angle, 0, 360, 1.0, -1, cv2.LINE_AA, _SHIFT)


def _pair(values: NDArray[np.int32]) -> tuple[int, int]:
    return int(values[0]), int(values[1])
