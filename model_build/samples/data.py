"""Splits of generated pictures, prepared for training by the code that prepares them on the line."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from linewatch_common.manifest import Preparation
from linewatch_vision.preparation import prepare
from numpy.typing import NDArray

from model_build.samples.generator import KINDS, Sample, Settings, generate

_CELL = 0.33  # a cell of a smaller mask is defective when this share of its pixels is


@dataclass(frozen=True)
class Split:
    """One split of the data: its pictures come from one seed that no other split uses."""

    name: str
    seed: int
    pictures: int
    defect_share: float

    @property
    def settings(self) -> Settings:
        """What the generator needs."""
        return Settings(seed=self.seed, defect_share=self.defect_share)


@dataclass(frozen=True)
class Prepared:
    """A split as arrays. `pictures`: uint8 (N, H, W) grey. `masks`: uint8 (N, H, W), 0 good, k the k-th kind from 1.

    `labels`: bool (N,), defective. `checksum`: SHA-256 over the generated frames, in order.
    """

    pictures: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    labels: NDArray[np.bool_]
    checksum: str


def prepared(split: Split, preparation: Preparation, indices: Iterable[int] | None = None) -> Prepared:
    """Generate and prepare a split. `indices` may be a wrapped range that shows progress."""
    shape = (split.pictures, preparation.height, preparation.width)
    pictures, masks = np.empty(shape, np.uint8), np.empty(shape, np.uint8)
    labels = np.zeros(split.pictures, np.bool_)
    digest = hashlib.sha256()
    for index in range(split.pictures) if indices is None else indices:
        sample = generate(split.settings, index)
        frame = photographed(sample, split.seed, index)
        digest.update(frame.tobytes())
        pictures[index] = prepare(frame, "Mono8", preparation).tensor[0, :, :, 0]
        masks[index] = small_mask(sample, preparation.width, preparation.height)
        labels[index] = bool(sample.masks)
    return Prepared(pictures, masks, labels, digest.hexdigest())


def photographed(sample: Sample, seed: int, index: int) -> NDArray[np.uint8]:
    """The frame as the line gets it: half of the pictures went through JPEG, with a quality drawn from (seed, index)."""
    rng = np.random.default_rng([seed, index, 1])
    quality = int(rng.integers(55, 96))
    if rng.random() < 0.5:
        return sample.picture
    _, data = cv2.imencode(".jpg", sample.picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)


def small_mask(sample: Sample, width: int, height: int) -> NDArray[np.uint8]:
    """The sample's mask at another size: each cell takes the kind that covers most of it, when it covers enough."""
    best = np.full((height, width), _CELL, np.float32)
    merged = np.zeros((height, width), np.uint8)
    for kind, mask in sample.masks.items():
        share = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
        wins = share > best
        merged[wins] = KINDS.index(kind) + 1
        best[wins] = share[wins]
    return merged


def batches(count: int, size: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Shuffled index batches of one epoch; a rest smaller than a batch is left out."""
    order = rng.permutation(count)
    return (order[start : start + size] for start in range(0, count - size + 1, size))
