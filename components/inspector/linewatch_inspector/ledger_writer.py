"""The ledger's only writer. Operations are plain values, so that they can wait while the disk refuses."""

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from linewatch_common.errors import CorruptStateError, InputError, StorageError
from linewatch_common.files import make_private_folder
from linewatch_common.ledger import BUSY_SECONDS, SCHEMA_VERSION, create_schema, schema_version
from linewatch_common.logs import capped
from linewatch_common.messages import LabelVerdict, Verdict, encode
from linewatch_common.ring import parse_frame_id

# Old rows leave in small steps, so that a new row never waits for a long transaction.
PRUNE_ROWS = 200
# Kept whatever their age: the next start finds out from them which frames of the ring have ended.
NEVER_PRUNED_ROWS = 20_000

_INSERT = """
INSERT INTO parts (frame_id, station, epoch, sequence, part_id, outcome, judged, score, threshold, defects_total, reason,
                   captured_at, published_at, total_ms, verdict)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (frame_id) DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class AddPart:
    """A row of `parts`; ignored when the frame has one already."""

    verdict: Verdict
    total_ms: float | None


@dataclass(frozen=True, slots=True)
class SetStoredPath:
    """Where the picture of a frame lies; None when the store let go of it."""

    frame_id: str
    path: str | None


@dataclass(frozen=True, slots=True)
class AddGap:
    """A row of `gaps`."""

    from_at: str | None
    to_at: str
    after_frame_id: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class SetState:
    """A word that Inspector leaves for its next start."""

    key: str
    value: str


Operation = AddPart | SetStoredPath | AddGap | SetState


class LedgerWriter:
    """One connection, used by one thread at a time. Every method raises StorageError when the disk refuses; nothing is half done then."""

    def __init__(self, path: Path, *, prune_rows: int = PRUNE_ROWS, never_pruned_rows: int = NEVER_PRUNED_ROWS) -> None:
        self._path = path
        self._prune_rows = prune_rows
        self._never_pruned_rows = never_pruned_rows
        self._connection: sqlite3.Connection | None = None

    @property
    def path(self) -> Path:
        """The ledger file."""
        return self._path

    def open(self) -> None:
        """Open the file, make it when it is missing. Raises CorruptStateError when it is not a ledger that this version can go on with."""
        self.close()
        make_private_folder(self._path.parent)
        with self._translated():
            connection = sqlite3.connect(
                self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        self._path.chmod(0o600)

    def close(self) -> None:
        """Let go of the file; the write-ahead log is folded into it when nobody reads."""
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
        self._connection = None

    def write(self, operations: Sequence[Operation]) -> None:
        """All of them or none. Raises InputError when one is not admissible: again without it, please."""
        with self._transaction() as connection:
            for operation in operations:
                _carry_out(connection, operation)

    def add_label(self, command: LabelVerdict, at: str) -> bool:
        """Keep a person's word; False when there is no such frame. The same command twice is kept once.

        Raises InputError when the command_id has brought another word before: nobody would miss this one.
        """
        word = (command.frame_id, command.label, command.operator, command.note)
        with self._transaction() as connection:
            found = connection.execute("SELECT 1 FROM parts WHERE frame_id = ?", (command.frame_id,)).fetchone()
            if found is None:
                return False
            kept = connection.execute(
                "SELECT frame_id, label, operator, note FROM labels WHERE command_id = ?", (command.command_id,)
            ).fetchone()
            if kept is not None and kept != word:
                said = capped(command.command_id)
                raise InputError(
                    f"command_id {said} has brought another label already: send each under an id of its own"
                )
            if kept is None:
                connection.execute(
                    "INSERT INTO labels (command_id, frame_id, label, operator, note, at) VALUES (?, ?, ?, ?, ?, ?)",
                    (command.command_id, *word, at),
                )
        return True

    def outcomes(self) -> dict[str, int]:
        """How often each outcome came since the ledger began."""
        with self._translated():
            return dict(self._open_connection().execute("SELECT outcome, parts FROM counts").fetchall())

    def state(self, key: str) -> str | None:
        """What `SetState` left."""
        with self._translated():
            row = self._open_connection().execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def last_part(self) -> tuple[str, str] | None:
        """frame_id and published_at of the last row."""
        with self._translated():
            row = (
                self._open_connection()
                .execute("SELECT frame_id, published_at FROM parts ORDER BY id DESC LIMIT 1")
                .fetchone()
            )
        return None if row is None else (str(row[0]), str(row[1]))

    def stored_passes(self) -> set[str]:
        """The paths of all pictures in the store of parts that passed."""
        with self._translated():
            rows = self._open_connection().execute(
                "SELECT stored_path FROM parts WHERE stored_path IS NOT NULL AND outcome = 'pass'"
            )
            return {str(path) for (path,) in rows}

    def sync(self) -> None:
        """Make what was written so far survive a power cut. Takes a disk's time."""
        with self._translated():
            self._open_connection().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def prune(self, before: str) -> int:
        """Delete some of the rows captured before a time; returns how many. Totals in `counts` stay."""
        with self._transaction() as connection:
            deleted = connection.execute(
                "DELETE FROM parts WHERE id IN (SELECT id FROM parts WHERE captured_at < ? "
                "AND id <= (SELECT MAX(id) FROM parts) - ? ORDER BY captured_at LIMIT ?)",
                (before, self._never_pruned_rows, self._prune_rows),
            )
            return deleted.rowcount

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        # A commit survives a kill at once, and a power cut after the next `sync`.
        connection.execute("PRAGMA synchronous = NORMAL")
        version = schema_version(connection)
        if version == 0:
            create_schema(connection)
        elif version != SCHEMA_VERSION:
            raise CorruptStateError(
                f"{self._path}: the ledger has version {version}, this Inspector writes {SCHEMA_VERSION}; move it away"
            )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._translated():
            connection = self._open_connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.IntegrityError, OverflowError) as error:
            raise InputError(f"{self._path}: a row that the ledger's rules do not admit: {error}") from error
        except sqlite3.DatabaseError as error:
            # Errors that Python's own module raises have no name.
            if getattr(error, "sqlite_errorname", "") in ("SQLITE_NOTADB", "SQLITE_CORRUPT"):
                raise CorruptStateError(f"{self._path}: the ledger is damaged: {error}; move it away") from error
            raise StorageError(f"{self._path}: the ledger cannot be written: {error}") from error
        except (sqlite3.Error, OSError) as error:
            raise StorageError(f"{self._path}: the ledger cannot be written: {error}") from error

    def _open_connection(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StorageError(f"{self._path}: the ledger is not open")
        return self._connection


def parts_of(operations: Iterable[Operation]) -> list[str]:
    """The frame_ids of the rows among them."""
    return [operation.verdict.frame_id for operation in operations if isinstance(operation, AddPart)]


def _carry_out(connection: sqlite3.Connection, operation: Operation) -> None:
    match operation:
        case AddPart(verdict, total_ms):
            connection.execute(_INSERT, _row(verdict, total_ms))
        case SetStoredPath(frame_id, path):
            connection.execute("UPDATE parts SET stored_path = ? WHERE frame_id = ?", (path, frame_id))
        case AddGap(from_at, to_at, after_frame_id, reason):
            connection.execute(
                "INSERT INTO gaps (from_at, to_at, after_frame_id, reason) VALUES (?, ?, ?, ?)",
                (from_at, to_at, after_frame_id, reason),
            )
        case SetState(key, value):
            connection.execute(
                "INSERT INTO state (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                (key, value),
            )


def _row(verdict: Verdict, total_ms: float | None) -> tuple[object, ...]:
    station, epoch, sequence = parse_frame_id(verdict.frame_id)
    return (
        verdict.frame_id,
        station,
        epoch,
        sequence,
        verdict.part_id,
        str(verdict.outcome),
        None if verdict.judged is None else str(verdict.judged),
        verdict.score,
        verdict.threshold,
        verdict.defects_total,
        verdict.reason,
        verdict.captured_at,
        verdict.published_at,
        total_ms,
        encode(verdict).decode(),
    )
