"""Layouts in which the folder says what a picture shows."""

from collections.abc import Iterator
from pathlib import Path

from model_build.data.readers.listing import folders_in, pictures_below, pictures_in, reads
from model_build.data.readers.mask_files import MaskFolder, mask_from
from model_build.data.records import DEFECT, GOOD_NAMES, Options, Record, safe_id, unusable

_MASKS = "ground_truth"
_FORMS = "NAME.png, NAME_mask.png or NAME/*.png with the picture's NAME"


class Reference:
    """The reference's layout: normal/, anomalous/ and masks/; in each there may be further folders."""

    name = "normal-anomalous"
    layout = (
        "normal/*, anomalous/*, masks/ with the picture's name (a defective picture without a mask is a weak label)"
    )

    def fits(self, folder: Path) -> bool:
        """See Reader. A line that has no defect yet has no anomalous/, and nothing else that could say what is defective."""
        others = set(_folders(folder)) - {"normal", "masks"}
        labels = any(folder.glob("*.manifest")) or any(folder.glob("*.json"))
        return (folder / "normal").is_dir() and ("anomalous" in others or not (others or labels))

    def records(self, folder: Path, options: Options) -> Iterator[Record]:
        """See Reader."""
        masks = MaskFolder(folder / "masks")
        defective = {stem for stem, _ in _named(folder / "anomalous")}
        for kind in ("normal", "anomalous"):
            for stem, path in _named(folder / kind):
                # A mask of a name that both kinds have is the defective picture's.
                shared = kind == "normal" and stem in defective
                name, mask = f"{kind}/{stem}", () if shared else masks.of(stem)
                yield Record(
                    id=safe_id(name),
                    source=str(path),
                    part=options.part_of(name, name),
                    defective=kind == "anomalous",
                    picture=reads(path),
                    masks=mask_from(mask) if mask else None,
                )
        yield from _lost(masks, "normal/ or anomalous/")


class MvTec:
    """MVTec AD's layout and its followers (LOCO, AD 2, VisA and BTAD as they are converted): a folder a split, in it one a kind."""

    name = "mvtec"
    layout = f"train/good/*, test/good/*, test/KIND/* with {_MASKS}/KIND/NAME_mask.png"

    def fits(self, folder: Path) -> bool:
        """See Reader."""
        return any((folder / "train" / good).is_dir() for good in GOOD_NAMES)

    def records(self, folder: Path, options: Options) -> Iterator[Record]:
        """See Reader."""
        yield from _of_splits(folder, folder / _MASKS, ("train", "validation", "test"), options)
        # MVTec AD 2; what it calls private has no labels.
        yield from _of_splits(folder, folder / "test_public" / _MASKS, ("test_public",), options)


def _of_splits(folder: Path, masks: Path, splits: tuple[str, ...], options: Options) -> Iterator[Record]:
    """The pictures of these splits, whose masks all lie in `masks`."""
    found = {split: _kinds(folder / split) for split in splits}
    # The training split's names begin anew, so a mask of a name that several splits have is the last one's.
    owners = {(kind, path.stem): split for split, kinds in found.items() for kind in kinds for path in kinds[kind]}
    drawn = {kind: MaskFolder(masks / kind) for kind in _folders(masks)}
    for split, kinds in found.items():
        for kind, pictures in kinds.items():
            for path in pictures:
                owns = kind in drawn and owners[kind, path.stem] == split
                mask = drawn[kind].of(path.stem) if owns else ()
                yield _mvtec_record(path, split, kind, mask, options)
    for kind, folder_of_masks in drawn.items():
        yield from _lost(folder_of_masks, f"{splits[-1]}/{kind}/")


def _mvtec_record(path: Path, split: str, kind: str, mask: tuple[Path, ...], options: Options) -> Record:
    name, good = f"{split}/{kind}/{path.stem}", kind in GOOD_NAMES
    return Record(
        id=safe_id(name),
        source=str(path),
        part=options.part_of(name, name),
        defective=not good,
        picture=reads(path),
        masks=mask_from(mask, DEFECT if good else kind) if mask else None,
        split=split.removesuffix("_public"),
    )


def _lost(masks: MaskFolder, where: str) -> Iterator[Record]:
    """Masks of no picture: a name that was not understood would make a weak label of what somebody drew."""
    for path in masks.unused():
        yield unusable(
            f"mask/{path.stem}", str(path), f"{path}: is the mask of no picture in {where}; expected {_FORMS}"
        )


def _named(folder: Path) -> list[tuple[str, Path]]:
    """Each picture with its path in `folder`, without suffix; none where there is no such folder."""
    found = pictures_below(folder) if folder.is_dir() else []
    return [(path.relative_to(folder).with_suffix("").as_posix(), path) for path in found]


def _folders(folder: Path) -> list[str]:
    return [path.name for path in folders_in(folder)] if folder.is_dir() else []


def _kinds(split: Path) -> dict[str, list[Path]]:
    return {kind: pictures_in(split / kind) for kind in _folders(split) if kind != _MASKS}
