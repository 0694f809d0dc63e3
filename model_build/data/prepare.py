"""Writes the prepared form: whole or not at all, and after an interruption only what is still missing."""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from linewatch_common.errors import InputError, StorageError
from linewatch_common.files import write_atomically
from linewatch_common.manifest import Region

from model_build.data.orientation import ON_ITS_SIDE, UPRIGHT, orientation
from model_build.data.pixels import (
    MAX_CLASSES,
    decode_mask,
    decode_picture,
    encode_masks,
    encode_png,
    look_hash,
    pixel_digest,
    read_bounded,
)
from model_build.data.prepared import (
    IGNORE_FILE,
    INDEX_FILE,
    Entry,
    Index,
    LeftOut,
    PreparedSet,
    counting,
    mask_name,
    picture_name,
)
from model_build.data.records import DEFECT, Mask, Masks, Picture, Problems, Record, printable, without_root

JOURNAL_FILE = "journal.jsonl"
FREE_BYTES = 256 * 1024 * 1024  # kept free on the disk: others work there too


@dataclass(frozen=True, slots=True)
class Settings:
    """What a person decides. `bad`: refuse the whole set for one bad picture, or leave it out and list it.

    `free_bytes` stay free on the disk. `root`: the source's folder, from which the index counts names: the same pictures have the same
    digest wherever they lie.
    """

    layout: str
    bad: Literal["refuse", "leave-out"] = "refuse"
    region: Region | None = None
    ignore: Path | None = None
    free_bytes: int = FREE_BYTES
    root: Path | None = None

    def told(self, text: str) -> str:
        """A source's name, or a reason that holds some, as the index says it."""
        return printable(text if self.root is None else without_root(text, self.root))


@dataclass(frozen=True, slots=True)
class _Read:
    """A record with its pixels. `digest` covers all that decides the written files."""

    picture: Picture
    masks: Masks
    defective: bool
    weak: bool
    digest: str


def listed(records: Iterator[Record], settings: Settings) -> tuple[list[Record], list[LeftOut]]:
    """All records, those with a name that came before apart. Raises InputError for them, unless they are to be left out."""
    seen: dict[str, str] = {}
    kept, left, problems = [], [], Problems()
    for record in records:
        if record.id in seen:
            reason = f"duplicate name {record.id!r}: also {seen[record.id]}"
            problems.lines.append(f"{record.source}: {reason}")
            left.append(_left_out(record, reason, settings))
        else:
            seen[record.id] = record.source
            kept.append(record)
    if settings.bad == "refuse":
        problems.raise_any("the names")
    if not kept:
        raise InputError("the source holds no picture")
    return kept, left


def _left_out(record: Record, reason: str, settings: Settings) -> LeftOut:
    return LeftOut(id=record.id, source=settings.told(record.source), reason=settings.told(reason))


def checked(record: Record, ignore: Mask | None, settings: Settings) -> _Read:
    """Read and judge one record. Raises InputError with one line: corrupt, masks of another size, label against mask."""
    raw = record.picture()
    picture = decode_picture(raw, record.source)
    height, width = picture.shape[:2]
    masks = record.masks(height, width) if record.masks is not None else {}
    for name, mask in masks.items():
        if mask.shape != (height, width):
            size = f"{mask.shape[1]}x{mask.shape[0]}"
            raise InputError(
                f"{record.source}: the mask {name!r} is {size}, the picture {width}x{height}{_turned(raw)}"
            )
    drawn = any(mask.any() for mask in masks.values())
    if drawn and _may_lie_otherwise(raw, height, width):
        raise InputError(f"{record.source}: nobody knows which way its mask lies{_turned(raw)}")
    if record.defective and record.masks is not None and not drawn:
        raise InputError(f"{record.source}: labelled defective, and its mask is empty")
    if record.defective is False and drawn:
        raise InputError(f"{record.source}: labelled good, and its mask marks a defect")
    try:
        counts = counting(height, width, settings.region, ignore)
    except InputError as error:
        raise InputError(f"{record.source}: {error}") from error
    masks = {name: mask & counts for name, mask in masks.items() if mask.any()}
    defective = drawn if record.defective is None else record.defective
    if drawn and not any(mask.any() for mask in masks.values()):
        raise InputError(
            f"{record.source}: its whole defect lies where pixels do not count (region of interest, ignore mask)"
        )
    digest = hashlib.sha256(raw)
    for name, mask in sorted(masks.items()):
        digest.update(name.encode() + np.packbits(mask).tobytes())
    return _Read(picture, masks, defective, defective and not drawn, digest.hexdigest())


def _turned(raw: bytes) -> str:
    """What to do about a picture that its EXIF turns; nothing for others."""
    found = orientation(raw)
    advice = f" (its EXIF, orientation {found}, has it shown turned: save picture and mask upright, without EXIF)"
    return "" if found == UPRIGHT else advice


def _may_lie_otherwise(raw: bytes, height: int, width: int) -> bool:
    """Whether a mask of the stored picture's size may have been drawn on the picture as it is shown."""
    found = orientation(raw)
    return found != UPRIGHT and (found not in ON_ITS_SIDE or height == width)


def counting_of(settings: Settings) -> Callable[[int, int], Mask]:
    """Which pixels of a picture (height, width) will count. Raises InputError when the ignore mask cannot be read."""
    ignore = None if settings.ignore is None else decode_mask(read_bounded(settings.ignore), str(settings.ignore))
    return lambda height, width: counting(height, width, settings.region, ignore)


class Preparer:
    """Prepares records into `target`; what is not whole yet lies in `target` + ".partial", and is gone on with next time."""

    def __init__(self, target: Path, settings: Settings) -> None:
        self._target, self._settings = target, settings
        self._partial = target.with_name(target.name + ".partial")

    def run(self, records: list[Record], left: list[LeftOut], steps: Iterator[Record]) -> PreparedSet:
        """Prepare all `records`; `steps` gives them again, with progress shown.

        Raises InputError with a line for each bad picture (nothing is left in `target`), StorageError when the disk refuses.
        """
        if self._target.exists():
            raise InputError(f"{self._target}: is there already; prepare into another folder, or delete it first")
        ignore_bytes, ignore = self._ignore()
        problems, entries = Problems(), []
        # A class takes its bit when it is first seen: the order of the records is fixed, so the bits are too.
        classes = _Classes()
        done = self._journal()
        out = list(left)
        for record in steps:
            try:
                read = checked(record, ignore, self._settings)
            except InputError as error:
                problems.lines.append(str(error))
                out.append(_left_out(record, str(error), self._settings))
                continue
            classes.take(read.masks)
            entries.append(self._entry(record, read, classes, done))
        if self._settings.bad == "refuse" and problems.lines:
            self.discard()
            problems.raise_any("the pictures")
        return self._finish(entries, out, classes.names, ignore_bytes, len(records))

    def discard(self) -> None:
        """Remove what an earlier run left half done."""
        shutil.rmtree(self._partial, ignore_errors=True)

    def _entry(self, record: Record, read: _Read, classes: "_Classes", done: dict[str, tuple[str, Entry]]) -> Entry:
        # The bits of its masks must not have moved either: a class takes its bit when it is first seen.
        key = f"{read.digest}:{classes.bits(read.masks)}"
        kept = done.get(record.id)
        if kept is not None and kept[0] == key and self._is_whole(kept[1]):
            # The files are as before; what the source says of the picture may be something else by now.
            return msgspec.structs.replace(
                kept[1],
                source=self._settings.told(record.source),
                part=printable(record.part),
                split=record.split,
                defective=read.defective,
                weak=read.weak,
            )
        self._room(read.picture.nbytes)
        shape = (read.picture.shape[0], read.picture.shape[1])
        picture = encode_png(read.picture)
        mask = encode_masks(read.masks, tuple(classes.names), shape) if read.masks else None
        self._write(picture_name(record.id), picture)
        if mask is not None:
            self._write(mask_name(record.id), mask)
        entry = Entry(
            id=record.id,
            source=self._settings.told(record.source),
            part=printable(record.part),
            split=record.split,
            defective=read.defective,
            weak=read.weak,
            width=shape[1],
            height=shape[0],
            areas={name: int(area.sum()) for name, area in sorted(read.masks.items())},
            picture=hashlib.sha256(picture).hexdigest(),
            mask=hashlib.sha256(mask).hexdigest() if mask is not None else None,
            pixels=pixel_digest(read.picture),
            look=look_hash(read.picture),
        )
        self._note(key, entry)
        return entry

    def _finish(
        self, entries: list[Entry], left: list[LeftOut], classes: list[str], ignore: bytes | None, total: int
    ) -> PreparedSet:
        if not entries:
            self.discard()
            raise InputError(f"none of {total} pictures is good enough: {left[0].reason}")
        if ignore is not None:
            self._write(IGNORE_FILE, ignore)
        index = Index(
            layout=self._settings.layout,
            classes=tuple(classes or [DEFECT]),
            region=self._settings.region,
            ignore=hashlib.sha256(ignore).hexdigest() if ignore is not None else None,
            entries=tuple(entries),
            left_out=tuple(left),
        )
        self._write(INDEX_FILE, msgspec.json.encode(index))
        (self._partial / JOURNAL_FILE).unlink(missing_ok=True)
        try:
            self._partial.rename(self._target)
        except OSError as error:
            raise StorageError(f"{self._target}: cannot be put in place: {error.strerror}") from error
        return PreparedSet.open(self._target)

    def _ignore(self) -> tuple[bytes | None, Mask | None]:
        if self._settings.ignore is None:
            return None, None
        mask = decode_mask(read_bounded(self._settings.ignore), str(self._settings.ignore))
        return encode_png(mask.astype(np.uint8) * 255), mask

    def _journal(self) -> dict[str, tuple[str, Entry]]:
        """What an earlier run finished: id to (digest of its source, entry). A broken last line is a cut write."""
        done: dict[str, tuple[str, Entry]] = {}
        with contextlib.suppress(InputError):
            for line in read_bounded(self._partial / JOURNAL_FILE).splitlines():
                with contextlib.suppress(msgspec.DecodeError):
                    digest, entry = msgspec.json.decode(line, type=tuple[str, Entry])
                    done[entry.id] = digest, entry
        return done

    def _note(self, digest: str, entry: Entry) -> None:
        line = msgspec.json.encode((digest, entry)) + b"\n"
        try:
            with (self._partial / JOURNAL_FILE).open("ab") as file:
                file.write(line)
        except OSError as error:
            raise StorageError(f"{self._partial}: cannot note {entry.id}: {error.strerror}") from error

    def _is_whole(self, entry: Entry) -> bool:
        try:
            picture = read_bounded(self._partial / picture_name(entry.id))
            mask = read_bounded(self._partial / mask_name(entry.id)) if entry.mask else b""
        except InputError:
            return False
        return hashlib.sha256(picture).hexdigest() == entry.picture and (
            entry.mask is None or hashlib.sha256(mask).hexdigest() == entry.mask
        )

    def _write(self, name: str, data: bytes) -> None:
        path = self._partial / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{path.parent}: cannot make the folder: {error.strerror}") from error
        write_atomically(path, data, mode=0o644)

    def _room(self, size: int) -> None:
        place = self._target.parent
        stat = os.statvfs(place if place.is_dir() else Path())
        if stat.f_bavail * stat.f_frsize < self._settings.free_bytes + 2 * size:
            raise StorageError(
                f"{place}: less than {self._settings.free_bytes} bytes are free; what is done is kept, make room and run again"
            )


class _Classes:
    """Defect classes in the order in which they first appear."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def take(self, masks: Masks) -> None:
        """Add what is new. Raises InputError when it is too much."""
        self.names += [name for name in sorted(masks) if name not in self.names]
        if len(self.names) > MAX_CLASSES:
            raise InputError(f"over {MAX_CLASSES} defect classes, merge some in the source: {', '.join(self.names)}")

    def bits(self, masks: Masks) -> str:
        """Which bit each class of `masks` has."""
        return ",".join(f"{name}={self.names.index(name)}" for name in sorted(masks))
