"""What the line wrote down: the ledger's rows and the ring's count, read from outside."""

import json
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linewatch_common.errors import LinewatchError
from linewatch_common.ring import RingReader, ring_path

# A writer holds the ledger for milliseconds; a second means that something is wrong.
BUSY_SECONDS = 1.0
JUDGED = frozenset({"pass", "fail", "review", "late"})


@dataclass(frozen=True, slots=True)
class Inspected:
    """One row of the ledger; `verdict` is the published message."""

    frame_id: str
    epoch: int
    sequence: int
    outcome: str
    total_ms: float | None  # capture to verdict published
    verdict: dict[str, Any]

    @property
    def stages_ms(self) -> dict[str, float]:
        """What the verdict says of its stages, and the rest up to its publication. Empty when the part was not judged."""
        if self.total_ms is None or self.outcome not in JUDGED:
            return {}
        stages = {k: float(v) for k, v in self.verdict["timings_ms"].items() if k != "total"}
        return stages | {"journal and publish": self.total_ms - sum(stages.values())}


class Records:
    """Reads a running line's ledger and ring."""

    def __init__(self, ledger: Path, shared_memory: Path, station: str) -> None:
        self._ledger = ledger
        self._ring = ring_path(shared_memory, station)

    def captured(self) -> int:
        """How many frames Camera has numbered; 0 before its first."""
        reader = RingReader(self._ring)
        try:
            return reader.write_sequence
        except LinewatchError:
            return 0
        finally:
            reader.close()

    def outcomes(self) -> dict[str, int]:
        """Outcome to number of parts; empty before Inspector's first row."""
        return dict(self._query("SELECT outcome, count(*) FROM parts GROUP BY outcome"))

    def rows(self) -> list[Inspected]:
        """Every part so far, in the order of capture."""
        found = self._query(
            "SELECT frame_id, epoch, sequence, outcome, total_ms, verdict FROM parts ORDER BY epoch, sequence"
        )
        return [Inspected(f, e, s, o, t, json.loads(verdict)) for f, e, s, o, t, verdict in found]

    def unaccounted(self) -> list[str]:
        """What contradicts "every captured frame has exactly one outcome", a line each."""
        rows = self.rows()
        counts = Counter(row.sequence for row in rows)
        lines = [f"sequence {n}: no outcome" for n in range(1, self.captured() + 1) if n not in counts]
        return lines + [f"sequence {n}: {count} outcomes" for n, count in counts.items() if count > 1]

    def _query(self, sql: str) -> list[tuple[Any, ...]]:
        if not self._ledger.exists():
            return []
        try:
            with closing(sqlite3.connect(f"file:{self._ledger}?mode=ro", uri=True, timeout=BUSY_SECONDS)) as database:
                return database.execute(sql).fetchall()
        except sqlite3.OperationalError:
            return []  # being made, or busy: the caller asks again
