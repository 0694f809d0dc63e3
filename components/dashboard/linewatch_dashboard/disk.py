"""The archive on disk: Inspector's ledger and store, opened read-only."""

import re
from pathlib import Path

from linewatch_common.errors import InputError, MessageError
from linewatch_common.ledger import LedgerReader, Part
from linewatch_common.messages import Verdict
from linewatch_common.store import SUFFIX, StoredInspection, read_inspection

from linewatch_dashboard.archive import Inspection, Places
from linewatch_dashboard.line import reject_of
from linewatch_dashboard.packing import Pictures
from linewatch_dashboard.timeline import NEVER_TAKEN, NOT_STORED
from linewatch_dashboard.view import Reject

_DAY = re.compile(r"[0-9]{8}")


class DiskArchive:
    """See `Archive`. Has no state: every call opens, reads and closes."""

    def read(self, places: Places, path: str) -> Inspection:
        return _inspection(read_inspection(_in_store(places, path)))

    def find(self, places: Places, frame_id: str) -> Inspection:
        part = LedgerReader(Path(places.ledger)).find(frame_id)
        if part is None:
            raise InputError(f"{frame_id}: the ledger knows no such frame")
        if part.stored_path is None:
            missing = NEVER_TAKEN if part.outcome == "missed" else NOT_STORED
            return Inspection(part.verdict, Pictures(missing=missing))
        found = self.read(places, part.stored_path)
        if found.verdict.frame_id != frame_id:
            raise InputError(f"{part.stored_path}: holds the inspection of {found.verdict.frame_id}")
        return found

    def outcomes(self, places: Places) -> dict[str, int]:
        return LedgerReader(Path(places.ledger)).outcomes()

    def rejects(self, places: Places, limit: int) -> list[Reject]:
        parts = LedgerReader(Path(places.ledger)).rejects(limit)
        return [reject for part in parts if (reject := _reject(part)) is not None]

    def latest(self, places: Places) -> tuple[Verdict, str | None] | None:
        parts = LedgerReader(Path(places.ledger)).latest(1)
        return (parts[0].verdict, parts[0].stored_path) if parts else None


def _in_store(places: Places, path: str) -> Path:
    """`path` as `<store>/<day>/<name>.zip`, links resolved. Raises InputError when it is none: paths come from the bus."""
    given, store = Path(path).resolve(), Path(places.store).resolve()
    if given.parent.parent != store or not _DAY.fullmatch(given.parent.name) or given.suffix != SUFFIX:
        raise InputError(f"{path}: not a file of the store {places.store}")
    return given


def _inspection(stored: StoredInspection) -> Inspection:
    return Inspection(stored.verdict, Pictures(stored.picture, stored.mask))


def _reject(part: Part) -> Reject | None:
    """None for a row whose verdict cannot be read: one bad row must not hide the others."""
    try:
        return reject_of(part.verdict, stored=part.stored_path is not None)
    except MessageError:
        return None
