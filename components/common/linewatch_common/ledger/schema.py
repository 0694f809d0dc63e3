"""The ledger's tables. docs/inspector.md explains them to people who query the file themselves.

A row of `parts` never changes but for `stored_path`, which is filled when the picture lies in the store and emptied when the store let
go of it. `counts` follows `parts` by a trigger, so that totals cost nothing however long the ledger is, and outlive old rows.
"""

import sqlite3

LEDGER_FILE = "ledger.db"
SCHEMA_VERSION = 1
# A reader holds a lock for milliseconds; a second means that somebody has left a transaction open.
BUSY_SECONDS = 1.0

_TABLES = """
CREATE TABLE parts (
    id            INTEGER PRIMARY KEY,
    frame_id      TEXT NOT NULL UNIQUE,
    station       TEXT NOT NULL,
    epoch         INTEGER NOT NULL,
    sequence      INTEGER NOT NULL,
    part_id       TEXT,
    outcome       TEXT NOT NULL CHECK (outcome IN ('pass', 'fail', 'review', 'late', 'missed', 'error')),
    judged        TEXT CHECK (judged IN ('pass', 'fail', 'review')),
    score         REAL,
    threshold     REAL,
    defects_total INTEGER NOT NULL DEFAULT 0,
    reason        TEXT NOT NULL DEFAULT '',
    captured_at   TEXT NOT NULL,
    published_at  TEXT NOT NULL,
    total_ms      REAL,
    verdict       TEXT NOT NULL,
    stored_path   TEXT
) STRICT;
CREATE INDEX parts_by_sequence ON parts (epoch, sequence);
CREATE INDEX parts_by_outcome ON parts (outcome, id);
CREATE INDEX parts_by_time ON parts (captured_at);
CREATE INDEX parts_not_passed ON parts (id) WHERE outcome <> 'pass';
CREATE TABLE counts (
    outcome TEXT PRIMARY KEY,
    parts   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER parts_counted AFTER INSERT ON parts BEGIN
    INSERT INTO counts (outcome, parts) VALUES (new.outcome, 1)
    ON CONFLICT (outcome) DO UPDATE SET parts = parts + 1;
END;
CREATE TABLE labels (
    id         INTEGER PRIMARY KEY,
    command_id TEXT NOT NULL UNIQUE,
    frame_id   TEXT NOT NULL,
    label      TEXT NOT NULL CHECK (label IN ('pass', 'fail')),
    operator   TEXT NOT NULL,
    note       TEXT NOT NULL DEFAULT '',
    at         TEXT NOT NULL
) STRICT;
CREATE INDEX labels_by_frame ON labels (frame_id);
CREATE TABLE gaps (
    id             INTEGER PRIMARY KEY,
    from_at        TEXT,
    to_at          TEXT NOT NULL,
    after_frame_id TEXT,
    reason         TEXT NOT NULL
) STRICT;
CREATE TABLE state (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
"""


def schema_version(connection: sqlite3.Connection) -> int:
    """0 for a file without tables. Raises sqlite3.Error."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def create_schema(connection: sqlite3.Connection) -> None:
    """Make the tables in an empty file, all or nothing. Raises sqlite3.Error."""
    connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
