"""Reading the ledger beside its writer: every method is one short read-only transaction on a connection of its own."""

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

from linewatch_common.errors import UnavailableError
from linewatch_common.ledger.schema import BUSY_SECONDS, SCHEMA_VERSION, schema_version
from linewatch_common.messages import Verdict, decode

MAX_ROWS = 1000
MAX_LABELS = 20_000  # more than people type between two changes of a model


@dataclass(frozen=True, slots=True)
class Part:
    """One row: what became of one frame.

    `total_ms` is capture to verdict published; None where it cannot be known. `verdict_json` is the message as it was published.
    `stored_path` is the file in the store, or None.
    """

    id: int
    frame_id: str
    station: str
    epoch: int
    sequence: int
    part_id: str | None
    outcome: str
    judged: str | None
    score: float | None
    threshold: float | None
    defects_total: int
    reason: str
    captured_at: str
    published_at: str
    total_ms: float | None
    verdict_json: str
    stored_path: str | None

    @property
    def verdict(self) -> Verdict:
        """Raises MessageError when the row was not written by us."""
        found: Verdict = decode(self.verdict_json.encode(), Verdict)
        return found


@dataclass(frozen=True, slots=True)
class Label:
    """A person's word on a verdict; the last one of a frame counts."""

    frame_id: str
    label: str
    operator: str
    note: str
    at: str


@dataclass(frozen=True, slots=True)
class LedgerGap:
    """A stretch of which the ledger knows nothing, e.g. around a power cut."""

    from_at: str | None
    to_at: str
    after_frame_id: str | None
    reason: str


_PART_COLUMNS = ", ".join("verdict" if field.name == "verdict_json" else field.name for field in fields(Part))


class LedgerReader:
    """Safe to use from several threads. Every method raises UnavailableError while there is no ledger that can be read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def outcomes(self) -> dict[str, int]:
        """How often each outcome came since the ledger began."""
        return {str(outcome): int(parts) for outcome, parts in self._rows("SELECT outcome, parts FROM counts")}

    def latest(self, limit: int) -> list[Part]:
        """The last rows, the youngest first."""
        return self._parts("ORDER BY id DESC LIMIT ?", _bounded(limit))

    def rejects(self, limit: int) -> list[Part]:
        """The last parts that were not found good: fail, review, error, and late ones that would have been one; the youngest first."""
        return self._parts(
            "WHERE outcome <> 'pass' AND (outcome IN ('fail', 'review', 'error') OR judged IN ('fail', 'review')) "
            "ORDER BY id DESC LIMIT ?",
            _bounded(limit),
        )

    def review_queue(self, limit: int) -> list[Part]:
        """Parts that a person must decide and nobody has yet, the oldest first."""
        return self._parts(
            "WHERE outcome <> 'pass' AND 'review' IN (outcome, judged) "
            "AND NOT EXISTS (SELECT 1 FROM labels WHERE labels.frame_id = parts.frame_id) ORDER BY id LIMIT ?",
            _bounded(limit),
        )

    def find(self, frame_id: str) -> Part | None:
        """The row of a frame, or None."""
        found = self._parts("WHERE frame_id = ?", frame_id)
        return found[0] if found else None

    def sequences(self, epoch: int, since: int) -> list[int]:
        """The frames of a ring epoch that have a row, from sequence `since` on."""
        rows = self._rows("SELECT sequence FROM parts WHERE epoch = ? AND sequence >= ?", epoch, since)
        return [int(sequence) for (sequence,) in rows]

    def labels(self, frame_id: str) -> list[Label]:
        """What people said of a frame, the oldest first."""
        rows = self._rows(
            "SELECT frame_id, label, operator, note, at FROM labels WHERE frame_id = ? ORDER BY id LIMIT ?",
            frame_id,
            MAX_ROWS,
        )
        return [Label(*row) for row in rows]

    def labelled(self, since: str) -> dict[str, tuple[str, str]]:
        """Frame id to (what the models said, a person's last word), of labelled parts captured since then; the youngest MAX_LABELS."""
        rows = self._rows(
            "SELECT parts.frame_id, COALESCE(parts.judged, parts.outcome), labels.label FROM labels "
            "JOIN parts ON parts.frame_id = labels.frame_id WHERE parts.captured_at >= ? ORDER BY labels.id DESC LIMIT ?",
            since,
            MAX_LABELS,
        )
        return {str(frame): (str(judged), str(label)) for frame, judged, label in reversed(rows)}

    def gaps(self, limit: int) -> list[LedgerGap]:
        """The last gaps, the youngest first."""
        rows = self._rows(
            "SELECT from_at, to_at, after_frame_id, reason FROM gaps ORDER BY id DESC LIMIT ?", _bounded(limit)
        )
        return [LedgerGap(*row) for row in rows]

    def _parts(self, condition: str, *values: Any) -> list[Part]:
        # The conditions are this module's own text; values are bound.
        return [Part(*row) for row in self._rows(f"SELECT {_PART_COLUMNS} FROM parts {condition}", *values)]  # noqa: S608

    def _rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        try:
            with self._connection() as connection:
                return connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise UnavailableError(f"{self._path}: cannot read the ledger: {error}") from error

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(
            f"file:{quote(str(self._path))}?mode=ro", uri=True, timeout=BUSY_SECONDS, isolation_level=None
        )
        try:
            version = schema_version(connection)
            if version != SCHEMA_VERSION:
                state = "is not there yet" if version == 0 else f"has version {version}, this reads {SCHEMA_VERSION}"
                raise UnavailableError(f"{self._path}: the ledger {state}")
            yield connection
        finally:
            connection.close()


def _bounded(limit: int) -> int:
    return max(0, min(limit, MAX_ROWS))
