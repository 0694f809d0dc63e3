"""The Kolektor surface-defect sets: KolektorSDD as published, with a manifest, and KolektorSDD2."""

import csv
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

from linewatch_common.errors import InputError

from model_build.data.pixels import read_bounded
from model_build.data.readers.listing import folders_in, inside, pictures_in, reads
from model_build.data.readers.mask_files import mask_from
from model_build.data.records import Options, Record, safe_id, unusable

_MANIFEST_BYTES = 64 * 1024 * 1024
_DEFECTIVE = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


class KolektorWithManifest:
    """KolektorSDD with a manifest: one row a picture."""

    name = "kolektorsdd-manifest"
    layout = "manifest.csv (id, defective, item, suggested_split), images/ID.jpg, masks/ID.png"

    def fits(self, folder: Path) -> bool:
        """See Reader."""
        return (folder / "manifest.csv").is_file() and (folder / "images").is_dir() and (folder / "masks").is_dir()

    def records(self, folder: Path, options: Options) -> Iterator[Record]:
        """See Reader."""
        path = folder / "manifest.csv"
        rows = csv.DictReader(StringIO(read_bounded(path, _MANIFEST_BYTES).decode("utf-8-sig", "replace")))
        missing = {"id", "defective"} - set(rows.fieldnames or ())
        if missing:
            raise InputError(f"{path}: column(s) {', '.join(sorted(missing))} missing")
        pictures = {file.stem: file for file in pictures_in(folder / "images")}
        for line, row in enumerate(rows, start=2):
            if row["id"] not in pictures:
                yield unusable(row["id"], str(path), f"{path} line {line}: no picture {row['id']!r} in images/")
                continue
            if _word(row) not in _DEFECTIVE:
                said = f"defective is {row['defective']!r}, expected one of {', '.join(_DEFECTIVE)}"
                yield unusable(row["id"], str(path), f"{path} line {line}: {said}")
                continue
            yield self._record(row, pictures[row["id"]], inside(folder, f"masks/{row['id']}.png"), options)

    def _record(self, row: dict[str, str], picture: Path, mask: Path, options: Options) -> Record:
        part = row.get("item") or row["id"]
        return Record(
            id=safe_id(row["id"]),
            source=str(picture),
            part=options.part_of(picture.name, part),
            defective=_DEFECTIVE[_word(row)],
            picture=reads(picture),
            masks=mask_from(mask) if mask.is_file() else None,
            split=row.get("suggested_split") or None,
        )


def _word(row: dict[str, str]) -> str:
    """What a row says of its picture; a short row says nothing."""
    return (row["defective"] or "").strip().lower()


class KolektorSDD:
    """KolektorSDD as published: a folder a part, each picture with its label beside it."""

    name = "kolektorsdd"
    layout = "kosNN/PartM.jpg with kosNN/PartM_label.bmp"

    def fits(self, folder: Path) -> bool:
        """See Reader."""
        return any(folder.glob("kos*/Part*_label.bmp"))

    def records(self, folder: Path, options: Options) -> Iterator[Record]:
        """See Reader."""
        for part in folders_in(folder):
            for path in pictures_in(part):
                if path.stem.endswith("_label"):
                    continue
                name = f"{part.name}/{path.stem}"
                yield Record(
                    id=safe_id(name),
                    source=str(path),
                    part=options.part_of(name, part.name),
                    defective=None,
                    picture=reads(path),
                    masks=mask_from(path.with_name(f"{path.stem}_label.bmp")),
                )


class KolektorSDD2:
    """KolektorSDD2: train/ and test/, a mask for every picture. The published archive holds one pair twice, as `NNNNN (copy).png`."""

    name = "kolektorsdd2"
    layout = "train/NNNNN.png and test/NNNNN.png, each with NNNNN_GT.png beside it"

    def fits(self, folder: Path) -> bool:
        """See Reader."""
        return any(folder.glob("train/*_GT.png"))

    def records(self, folder: Path, options: Options) -> Iterator[Record]:
        """See Reader."""
        for split in ("train", "test"):
            if not (folder / split).is_dir():
                continue
            for path in pictures_in(folder / split):
                if path.stem.endswith(("_GT", " (copy)")):
                    continue
                name = f"{split}/{path.stem}"
                yield Record(
                    id=safe_id(name),
                    source=str(path),
                    part=options.part_of(name, name),
                    defective=None,
                    picture=reads(path),
                    masks=mask_from(path.with_name(f"{path.stem}_GT.png")),
                    split=split,
                )
