"""Generated pictures on disk: a folder to train on or to look at, and the demo's parts."""

import csv
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from model_build.samples.generator import Sample, Settings, generate

DEMO_SEED = 4001  # no split's
JPEG_BYTES = 25 * 1024
_QUALITIES = range(92, 20, -4)


def write_folder(settings: Settings, indices: Iterable[int], out: Path) -> None:
    """Write pictures/, masks/ (0 good, k the k-th kind from 1) as PNG and manifest.csv, each picture as it is made."""
    for name in ("pictures", "masks"):
        (out / name).mkdir(parents=True, exist_ok=True)
    with (out / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["picture", "mask", "label", "kinds", "texture", "seed", "index"])
        for index in indices:
            sample, name = generate(settings, index), f"picture-{index:06d}.png"
            _write(out / "pictures" / name, _encoded(".png", sample.picture, []))
            _write(out / "masks" / name, _encoded(".png", sample.mask, []))
            kinds = " ".join(sample.masks)
            rows.writerow(
                [f"pictures/{name}", f"masks/{name}", sample.label, kinds, sample.texture, settings.seed, index]
            )


def write_parts(settings: Settings, indices: Iterable[int], out: Path) -> None:
    """Write the demo's parts as small JPEG files `part-NNNN.jpg`, and their truth beside the folder as `<folder>.csv`."""
    out.mkdir(parents=True, exist_ok=True)
    with out.with_name(f"{out.name}.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["part_id", "label", "kinds"])
        for index in indices:
            sample, name = generate(settings, index), f"part-{index + 1:04d}"
            _write(out / f"{name}.jpg", jpeg(sample))
            rows.writerow([name, sample.label, " ".join(sample.masks)])


def jpeg(sample: Sample) -> bytes:
    """The picture as JPEG, in the best quality that fits JPEG_BYTES."""
    for quality in _QUALITIES:
        data = _encoded(".jpg", sample.picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if len(data) <= JPEG_BYTES:
            return data
    return data


def _encoded(extension: str, picture: NDArray[np.uint8], options: list[int]) -> bytes:
    done, data = cv2.imencode(extension, picture, options)
    if not done:
        raise RuntimeError(f"OpenCV cannot encode a {picture.shape} picture as {extension}")
    return bytes(data)


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)
