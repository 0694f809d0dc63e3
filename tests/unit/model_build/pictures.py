"""Tiny data sets in every layout, drawn for the tests."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

HEIGHT, WIDTH = 40, 60


def picture(seed: int) -> NDArray[np.uint8]:
    """Smooth noise that differs from seed to seed, as parts of different looks do."""
    coarse = np.random.default_rng(seed).integers(0, 256, (10, 15), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), np.uint8)


def mask(area: int = 4) -> NDArray[np.uint8]:
    """A square defect with that side."""
    found = np.zeros((HEIGHT, WIDTH), np.uint8)
    found[5 : 5 + area, 5 : 5 + area] = 255
    return found


def save(path: Path, pixels: NDArray[np.uint8]) -> Path:
    """Write a picture in its suffix's format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)
    return path


def reference(folder: Path, good: int = 8, defective: int = 6) -> Path:
    """normal/, anomalous/, masks/."""
    for number in range(good):
        save(folder / "normal" / f"{number:03d}.png", picture(number))
    for number in range(defective):
        save(folder / "anomalous" / f"{number + 100:03d}.png", picture(number + 100))
        save(folder / "masks" / f"{number + 100:03d}.png", mask(3 + number))
    return folder
