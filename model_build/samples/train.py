"""Training of the two sample nets, seeded; the best weights by validation are kept."""

import copy
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from model_build.evaluation.scores import average_precision
from model_build.samples.data import Prepared, batches
from model_build.samples.nets import SurfaceClassifier, SurfaceSegmenter, kind_masks
from model_build.samples.plan import Course

CROP = 160  # the segmenter learns from crops: three times as many looks at defects in the same time


Loss = Callable[[NDArray[np.int64], np.random.Generator], Tensor]


def train_classifier(data: Prepared, validation: Prepared, course: Course) -> tuple[SurfaceClassifier, list[float]]:
    """Best net by the validation's average precision, and that figure after each epoch."""
    _seed(course.seed)
    net = SurfaceClassifier()
    pictures, coarse = torch.from_numpy(data.pictures), _coarse(data.masks, SurfaceClassifier.stride)
    labels = torch.from_numpy(data.labels.astype(np.float32))

    def loss(batch: NDArray[np.int64], rng: np.random.Generator) -> Tensor:
        picture, mask = augmented(pictures[batch], coarse[batch], rng)
        score, evidence = net(picture)
        image = functional.binary_cross_entropy_with_logits(score[:, 0], labels[batch])
        where = functional.binary_cross_entropy_with_logits(
            evidence, mask[:, None].float(), pos_weight=torch.tensor(4.0)
        )
        return image + 2.0 * where

    def judge() -> float:
        return average_precision(validation.labels, classifier_scores(net, validation.pictures))

    return net, _run(net, loss, judge, len(data.pictures), course)


def train_segmenter(data: Prepared, validation: Prepared, course: Course) -> tuple[SurfaceSegmenter, list[float]]:
    """Best net by the validation's intersection over union of all kinds together, and that figure after each epoch."""
    _seed(course.seed)
    net = SurfaceSegmenter()

    def loss(batch: NDArray[np.int64], rng: np.random.Generator) -> Tensor:
        picture, mask = augmented(*_crops(data, batch, rng), rng)
        maps, kinds = net(picture), mask.long()
        defective, wanted = maps[:, 0], (kinds > 0).float()
        pixels = functional.binary_cross_entropy_with_logits(defective, wanted, pos_weight=torch.tensor(3.0))
        likely = torch.sigmoid(defective)
        overlap = (2 * (likely * wanted).sum() + 1) / (likely.sum() + wanted.sum() + 1)
        kind = functional.cross_entropy(maps[:, 1:], kinds - 1, ignore_index=-1)
        return 10.0 * pixels + (1 - overlap) + 0.3 * kind

    def judge() -> float:
        found = segmenter_masks(net, validation.pictures).max(1) >= 0.5
        truth = validation.masks > 0
        return float((found & truth).sum() / max(1, (found | truth).sum()))

    return net, _run(net, loss, judge, len(data.pictures), course)


def classifier_scores(net: SurfaceClassifier, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Scores 0..1 of grey pictures (N, H, W)."""
    net.eval()
    with torch.inference_mode():
        return np.concatenate([torch.sigmoid(net(part)[0])[:, 0].numpy() for part in _parts(pictures)])


def segmenter_masks(net: SurfaceSegmenter, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Probabilities (N, kinds, H, W) of grey pictures (N, H, W)."""
    net.eval()
    with torch.inference_mode():
        return np.concatenate([kind_masks(net(part)).numpy() for part in _parts(pictures)])


def augmented(pictures: Tensor, masks: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Flips, contrast, brightness, a tint and noise. (N, H, W) uint8 -> (N, 3, H, W) float 0..1, masks alike."""
    if rng.random() < 0.5:
        pictures, masks = pictures.flip(2), masks.flip(2)
    if rng.random() < 0.5:
        pictures, masks = pictures.flip(1), masks.flip(1)
    count = len(pictures)
    planes = pictures[:, None].float() / 255.0
    gain = _random(rng, 0.75, 1.25, (count, 1, 1, 1)) * _random(rng, 0.93, 1.07, (count, 3, 1, 1))
    shift = _random(rng, -0.12, 0.12, (count, 1, 1, 1))
    noise = torch.from_numpy(rng.standard_normal(planes.shape, dtype=np.float32)) * float(rng.uniform(0, 0.015))
    changed = ((planes + noise) * gain + shift).clamp(0, 1)
    return changed.contiguous(memory_format=torch.channels_last), masks  # a fifth faster on a processor


def _run(net: nn.Module, loss: Loss, judge: Callable[[], float], count: int, course: Course) -> list[float]:
    net.to(memory_format=torch.channels_last)
    rng = np.random.default_rng(course.seed)
    steps = course.epochs * (count // course.batch)
    optimizer = torch.optim.AdamW(net.parameters(), lr=course.rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=course.rate, total_steps=steps, pct_start=0.2)
    best, best_state, history = -1.0, copy.deepcopy(net.state_dict()), []
    with tqdm(total=steps, desc=type(net).__name__, unit="step", mininterval=2) as bar:
        for _ in range(course.epochs):
            net.train()
            for batch in batches(count, course.batch, rng):
                optimizer.zero_grad()
                value = loss(batch, rng)
                value.backward()
                optimizer.step()
                schedule.step()
                bar.update()
            history.append(judge())
            bar.set_postfix(validation=f"{history[-1]:.4f}", loss=f"{value.item():.3f}")
            if history[-1] >= best:
                best, best_state = history[-1], copy.deepcopy(net.state_dict())
    net.load_state_dict(best_state)
    net.eval()
    return history


def _seed(seed: int) -> None:
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)  # the order of sums, and so the weights, depends on it; two trainings run side by side


def _random(rng: np.random.Generator, low: float, high: float, shape: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(rng.uniform(low, high, shape).astype(np.float32))


def _coarse(masks: NDArray[np.uint8], stride: int) -> Tensor:
    return functional.max_pool2d(torch.from_numpy((masks > 0).astype(np.float32))[:, None], stride)[:, 0]


def _crops(data: Prepared, batch: NDArray[np.int64], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Random crops; two of three from a defective picture hold a part of its defect."""
    pictures, masks = [], []
    for index in batch:
        top, left = _corner(data.masks[index], rng)
        window = np.s_[top : top + CROP, left : left + CROP]
        pictures.append(data.pictures[index][window])
        masks.append(data.masks[index][window])
    return torch.from_numpy(np.stack(pictures)), torch.from_numpy(np.stack(masks))


def _corner(mask: NDArray[np.uint8], rng: np.random.Generator) -> tuple[int, int]:
    limit = np.array(mask.shape) - CROP
    corner = rng.integers(0, limit + 1)
    defective = np.flatnonzero(mask)
    if defective.size and rng.random() < 0.67:
        seen = np.array(np.unravel_index(int(rng.choice(defective)), mask.shape))
        corner = np.clip(seen - rng.integers(0, CROP, 2), 0, limit)
    return int(corner[0]), int(corner[1])


def _parts(pictures: NDArray[np.uint8]) -> Iterator[Tensor]:
    """Grey pictures (N, H, W) uint8 as batches (n, 3, H, W) of 0..1."""
    return (part[:, None].float().repeat(1, 3, 1, 1) / 255.0 for part in torch.from_numpy(pictures).split(32))
