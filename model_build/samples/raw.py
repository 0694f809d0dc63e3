"""Generated pictures as raw data in a known layout (COCO, docs/data.md): where the chain of a sample model begins."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
from linewatch_common.files import write_atomically
from numpy.typing import NDArray

from model_build.data.readers.outlines import run_lengths
from model_build.samples.generator import KINDS, Sample, Settings, generate

SPLIT_SEEDS = {"train": 1001, "test": 3001}
_JPEG_SHARE = 0.5  # as cameras of both sorts send them
_QUALITIES = (55, 95)  # lowest and highest
_ANY = "defect"


def write_raw(split: str, settings: Settings, indices: Iterable[int], out: Path, *, kinds: bool = False) -> None:
    """Write images/SPLIT-NNNNNN.png or .jpg, each as it is made, and at last annotations/SPLIT.json.

    Masks are run lengths. `kinds`: each kind of defect is a category; else all are one. Raises OSError, StorageError.
    """
    names = KINDS if kinds else (_ANY,)
    (out / "images").mkdir(parents=True, exist_ok=True)
    (out / "annotations").mkdir(exist_ok=True)
    images, annotations = [], []
    for index in indices:
        sample, stem = generate(settings, index), f"{split}-{index:06d}"
        ending, data = _file(sample, settings.seed, index)
        (out / "images" / (stem + ending)).write_bytes(data)
        height, width = sample.picture.shape[:2]
        images.append({"id": index, "file_name": stem + ending, "width": width, "height": height})
        # A kind that a later one covers wholly is none.
        masks = sample.masks if kinds else {_ANY: sample.mask > 0}
        annotations += [
            {"image_id": index, **_annotation(names.index(name) + 1, masks[name])}
            for name in masks
            if masks[name].any()
        ]
    document = {
        "images": images,
        "annotations": [{"id": number, **annotation} for number, annotation in enumerate(annotations, start=1)],
        "categories": [{"id": number, "name": kind} for number, kind in enumerate(names, start=1)],
    }
    write_atomically(out / "annotations" / f"{split}.json", msgspec.json.encode(document), mode=0o644)


def _file(sample: Sample, seed: int, index: int) -> tuple[str, bytes]:
    """Ending and bytes: half of the pictures are JPEG, with a quality drawn from (seed, index)."""
    rng = np.random.default_rng([seed, index, 1])
    ending, options = ".png", list[int]()
    if rng.random() < _JPEG_SHARE:
        ending, options = ".jpg", [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(*_QUALITIES, endpoint=True))]
    done, data = cv2.imencode(ending, sample.picture, options)
    if not done:
        raise RuntimeError(f"OpenCV cannot encode a {sample.picture.shape} picture as {ending}")
    return ending, bytes(data)


def _annotation(category: int, mask: NDArray[np.bool_]) -> dict[str, Any]:
    return {
        "category_id": category,
        "segmentation": {"size": list(mask.shape), "counts": run_lengths(mask)},
        "area": int(mask.sum()),
        "iscrowd": 1,  # COCO's word for run lengths
    }
