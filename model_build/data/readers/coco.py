"""COCO annotations: one JSON file for many pictures, an area for each defect."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
import numpy as np
from linewatch_common.errors import InputError

from model_build.data.pixels import read_bounded
from model_build.data.readers.listing import inside, reads
from model_build.data.readers.outlines import area_mask
from model_build.data.records import Masks, Options, Record, is_good, safe_id, unusable

_FILES = ("annotations.json", "_annotations.coco.json", "result.json", "annotations/*.json", "*/_annotations.coco.json")
_SPLITS = {"train": "train", "valid": "validation", "val": "validation", "validation": "validation", "test": "test"}
_MAX_BYTES = 1024 * 1024 * 1024


class Image(msgspec.Struct):
    """A row of `images`; unknown fields are other tools' notes."""

    id: int | str
    file_name: str
    width: int | None = None
    height: int | None = None


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
    """COCO files beside their pictures; a picture without annotation, or with those of a good category alone, is good."""

    name = "coco"
    layout = (
        "annotations.json, result.json, annotations/*.json or SPLIT/_annotations.coco.json; "
        "pictures beside it, in images/, SPLIT/ or images/SPLIT/"
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
        document = msgspec.json.decode(read_bounded(path, _MAX_BYTES).removeprefix(b"\xef\xbb\xbf"), type=Document)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from error
    names = {category.id: category.name for category in document.categories}
    marks: dict[int | str, list[Annotation]] = defaultdict(list)
    for annotation in document.annotations:
        marks[annotation.image_id].append(annotation)
    split, places = _split(path.relative_to(folder)), _places(path, folder)
    for image in document.images:
        yield _record(image, marks.pop(image.id, []), names, _Source(path, split, places), options)
    if marks:
        strangers = (
            f"{path}: {len(marks)} picture(s) are annotated that are not in its images, e.g. {next(iter(marks))}"
        )
        yield unusable(f"{path.stem}/not-in-images", str(path), strangers)


@dataclass(frozen=True, slots=True)
class _Source:
    """A document, the split that its name tells, and where its pictures may lie."""

    path: Path
    split: str | None
    places: tuple[Path, ...]


def _record(
    image: Image, marks: list[Annotation], names: dict[int | str, str], source: _Source, options: Options
) -> Record:
    where = f"{source.path}: picture {image.file_name!r}"
    picture = _picture(source.places, image.file_name)
    name = "/".join([*([source.split] if source.split else []), re.sub(r"\.\w+$", "", _plain(image.file_name))])
    if picture is None:
        return unusable(name, str(source.path), f"{where} is neither beside it nor in images/")
    unknown = next((mark for mark in marks if mark.category_id not in names), None)
    if unknown is not None:
        return unusable(name, str(picture), f"{where}: category {unknown.category_id} is not declared")
    found = [mark for mark in marks if not is_good(names[mark.category_id])]
    return Record(
        id=safe_id(name),
        source=str(picture),
        # Roboflow writes several changed copies of a picture: NAME.rf.DIGEST.
        part=options.part_of(name, name.split(".rf.")[0]),
        defective=bool(found),
        picture=reads(picture),
        masks=_masks(found, names, image, where),
        split=source.split,
    )


def _masks(
    marks: list[Annotation], names: dict[int | str, str], image: Image, source: str
) -> Callable[[int, int], Masks] | None:
    if not marks or not all(mark.segmentation for mark in marks):
        return None

    def draw(height: int, width: int) -> Masks:
        annotated = image.width or width, image.height or height
        if annotated != (width, height):
            raise InputError(
                f"{source} is {width}x{height}, its annotations are for {annotated[0]}x{annotated[1]}: export both in one size"
            )
        masks: Masks = {}
        for mark in marks:
            area, name = area_mask(mark.segmentation, height, width, source), names[mark.category_id]
            if name in masks and masks[name].shape != area.shape:
                raise InputError(f"{source}: its masks have different sizes")
            masks[name] = np.logical_or(masks[name], area) if name in masks else area
        return masks

    return draw


def _plain(name: str) -> str:
    """The name with the slashes that this machine knows."""
    return name.replace("\\", "/")


def _picture(places: tuple[Path, ...], name: str) -> Path | None:
    """The file, under the name as it is written or as an address would have it. Raises InputError when it leaves the places."""
    names = dict.fromkeys((_plain(name), unquote(_plain(name))))
    files = (inside(place, each) for place in places for each in names)
    return next((file for file in files if file.is_file()), None)


def _places(path: Path, folder: Path) -> tuple[Path, ...]:
    """Where pictures may lie: beside the document, in folders named like it (`instances_train2017.json`) or its split, in images/."""
    subset = path.stem.removeprefix("instances_")
    named = [folder / "images" / subset, folder / subset]
    split = _split(path.relative_to(folder))
    named += [folder / split] if split else []
    return (path.parent, *named, folder / "images", folder)


def _split(path: Path) -> str | None:
    """Of a path in the data set."""
    words = re.findall("[a-z]+", f"{path.parent.name} {path.stem}".lower())
    return next((_SPLITS[word] for word in words if word in _SPLITS), None)
