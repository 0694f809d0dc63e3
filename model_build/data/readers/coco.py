"""COCO annotations: one JSON file for many pictures, an area for each defect."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from linewatch_common.errors import InputError

from model_build.data.pixels import read_bounded
from model_build.data.readers.listing import inside, reads
from model_build.data.readers.outlines import area_mask
from model_build.data.records import Masks, Options, Record, safe_id

_FILES = ("annotations.json", "_annotations.coco.json", "annotations/*.json", "*/_annotations.coco.json")
_SPLITS = {"train": "train", "valid": "validation", "val": "validation", "test": "test"}
_MAX_BYTES = 1024 * 1024 * 1024


class Image(msgspec.Struct):
    """A row of `images`; unknown fields are other tools' notes."""

    id: int | str
    file_name: str


class Category(msgspec.Struct):
    """A row of `categories`."""

    id: int | str
    name: str


class Annotation(msgspec.Struct):
    """A row of `annotations`. Without a segmentation (a box only) it is a weak label."""

    image_id: int | str
    category_id: int | str
    segmentation: Any = None


class Document(msgspec.Struct):
    """The file."""

    images: list[Image]
    annotations: list[Annotation]
    categories: list[Category]


class Coco:
    """COCO files beside their pictures; a picture without annotation is good."""

    name = "coco"
    layout = (
        "annotations.json, annotations/*.json or SPLIT/_annotations.coco.json; pictures beside it, in images/ or SPLIT/"
    )

    def fits(self, folder: Path) -> bool:
        """See Reader."""
        return bool(_documents(folder))

    def records(self, folder: Path, options: Options) -> Iterator[Record]:
        """See Reader."""
        for path in _documents(folder):
            yield from _of_document(path, folder, options)


def _documents(folder: Path) -> list[Path]:
    return [path for pattern in _FILES for path in sorted(folder.glob(pattern)) if path.is_file()]


def _of_document(path: Path, folder: Path, options: Options) -> Iterator[Record]:
    try:
        document = msgspec.json.decode(read_bounded(path, _MAX_BYTES), type=Document)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from error
    names = {category.id: category.name for category in document.categories}
    marks: dict[int | str, list[Annotation]] = defaultdict(list)
    for annotation in document.annotations:
        if annotation.category_id not in names:
            raise InputError(
                f"{path}: category {annotation.category_id} of picture {annotation.image_id} is not declared"
            )
        marks[annotation.image_id].append(annotation)
    split = _split(path)
    for image in document.images:
        picture = _picture(path, folder, image.file_name)
        name = "/".join([*([split] if split else []), str(Path(image.file_name).with_suffix(""))])
        found = marks.get(image.id, [])
        yield Record(
            id=safe_id(name),
            source=str(picture),
            part=options.part_of(name, name),
            defective=bool(found),
            picture=reads(picture),
            masks=_masks(found, names, f"{path}: picture {image.file_name}"),
            split=split,
        )


def _masks(marks: list[Annotation], names: dict[int | str, str], source: str) -> Callable[[int, int], Masks] | None:
    if not marks or not all(mark.segmentation for mark in marks):
        return None

    def draw(height: int, width: int) -> Masks:
        masks: Masks = {}
        for mark in marks:
            area, name = area_mask(mark.segmentation, height, width, source), names[mark.category_id]
            if name in masks and masks[name].shape != area.shape:
                raise InputError(f"{source}: its masks have different sizes")
            masks[name] = np.logical_or(masks[name], area) if name in masks else area
        return masks

    return draw


def _picture(path: Path, folder: Path, name: str) -> Path:
    for place in (path.parent, folder / "images", folder, folder / (_split(path) or "images")):
        candidate = inside(place, name)
        if candidate.is_file():
            return candidate
    raise InputError(f"{path}: picture {name!r} is neither beside it nor in images/")


def _split(path: Path) -> str | None:
    words = [path.parent.name, *path.stem.replace("-", "_").split("_")]
    return next((_SPLITS[word] for word in words if word in _SPLITS), None)
