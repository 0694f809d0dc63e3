"""Layouts in which the folder says what a picture shows."""

from collections.abc import Iterator
from pathlib import Path

from linewatch_common.errors import InputError

from model_build.data.readers.listing import folders_in, mask_from, pictures_in, reads
from model_build.data.records import DEFECT, Options, Record, safe_id

_GOOD = "good"
_ENDINGS = ("", "_mask", "_GT", "_gt", "_label")


class Reference:
    """The reference's layout: normal/, anomalous/ and masks/."""

    name = "normal-anomalous"
    layout = (
        "normal/*, anomalous/*, masks/ with the picture's name (a defective picture without a mask is a weak label)"
    )

    def fits(self, folder: Path) -> bool:
        """See Reader."""
        return (folder / "normal").is_dir() and (folder / "anomalous").is_dir()

    def records(self, folder: Path, options: Options) -> Iterator[Record]:
        """See Reader."""
        masks = _by_stem(folder / "masks")
        for kind in ("normal", "anomalous"):
            for path in pictures_in(folder / kind):
                name, mask = f"{kind}/{path.stem}", _mask_of(path.stem, masks)
                yield Record(
                    id=safe_id(name),
                    source=str(path),
                    part=options.part_of(name, name),
                    defective=kind == "anomalous",
                    picture=reads(path),
                    masks=mask_from(mask) if mask else None,
                )


class MvTec:
    """MVTec AD's layout and its followers: a folder a split, in it one a kind."""

    name = "mvtec"
    layout = "train/good/*, test/good/*, test/KIND/* with ground_truth/KIND/NAME_mask.png"

    def fits(self, folder: Path) -> bool:
        """See Reader."""
        return (folder / "train" / _GOOD).is_dir()

    def records(self, folder: Path, options: Options) -> Iterator[Record]:
        """See Reader."""
        for split in ("train", "validation", "test"):
            for kind in folders_in(folder / split) if (folder / split).is_dir() else ():
                masks = _by_stem(folder / "ground_truth" / kind.name)
                for path in pictures_in(kind):
                    yield _mvtec_record(path, split, kind.name, _mask_of(path.stem, masks), options)


def _mvtec_record(path: Path, split: str, kind: str, mask: Path | None, options: Options) -> Record:
    name = f"{split}/{kind}/{path.stem}"
    return Record(
        id=safe_id(name),
        source=str(path),
        part=options.part_of(name, name),
        defective=kind != _GOOD,
        picture=reads(path),
        # Only the test split's pictures have masks there; a name of the training split may be the same.
        masks=mask_from(mask, DEFECT if kind == _GOOD else kind) if mask and split != "train" else None,
        split=split,
    )


def _by_stem(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        return {}
    found: dict[str, Path] = {}
    for path in pictures_in(folder):
        if path.stem in found:
            raise InputError(
                f"{folder}: duplicate name: {found[path.stem].name} and {path.name} are masks of one picture"
            )
        found[path.stem] = path
    return found


def _mask_of(stem: str, masks: dict[str, Path]) -> Path | None:
    return next((masks[stem + ending] for ending in _ENDINGS if stem + ending in masks), None)
