"""What our own line stored, with the words of the people who reviewed it."""

from collections.abc import Iterator
from pathlib import Path

from linewatch_common.errors import InputError, UnavailableError
from linewatch_common.ledger import LEDGER_FILE, LedgerReader
from linewatch_common.store import SUFFIX, StoredInspection, read_inspection

from model_build.data.records import Options, Record, safe_id, unusable


class Captured:
    """The inspector's store and ledger. Only parts that a person labelled count, and the last label of a part decides.

    A part labelled `fail` is a weak label: the model's own mask is not the truth.
    """

    name = "captured"
    layout = f"YYYYMMDD/FRAME{SUFFIX} as Inspector stores them (here or in store/), {LEDGER_FILE} here or by --ledger"

    def fits(self, folder: Path) -> bool:
        """See Reader."""
        return any(_store(folder).glob(f"[0-9]*/*{SUFFIX}"))

    def records(self, folder: Path, options: Options) -> Iterator[Record]:
        """See Reader."""
        place = options.ledger or _ledger(folder)
        ledger = LedgerReader(place)
        for path in sorted(_store(folder).glob(f"[0-9]*/*{SUFFIX}")):
            try:
                labels = ledger.labels(path.stem)
            except UnavailableError as error:
                raise InputError(str(error)) from error
            if labels:
                yield _record(path, labels[-1].label == "fail", options)


def _record(path: Path, defective: bool, options: Options) -> Record:
    try:
        part = _stored(path).verdict.part_id or path.stem
    except InputError as error:  # the newest files of a store may be broken after a power cut
        return unusable(path.stem, str(path), str(error))
    return Record(
        id=safe_id(path.stem),
        source=str(path),
        part=options.part_of(path.stem, part),
        defective=defective,
        picture=lambda: _stored(path).picture,
    )


def _stored(path: Path) -> StoredInspection:
    try:
        return read_inspection(path)
    except UnavailableError as error:
        raise InputError(str(error)) from error


def _store(folder: Path) -> Path:
    return folder / "store" if (folder / "store").is_dir() else folder


def _ledger(folder: Path) -> Path:
    for place in (folder / LEDGER_FILE, folder.parent / LEDGER_FILE):
        if place.is_file():
            return place
    raise InputError(f"{folder}: no {LEDGER_FILE} here: name it with --ledger, the operators' labels are in it")
