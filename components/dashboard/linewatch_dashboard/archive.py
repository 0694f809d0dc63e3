"""What the page reads from Inspector's files: the port, and where the files are."""

from dataclasses import dataclass
from typing import Protocol

from linewatch_common.messages import Verdict

from linewatch_dashboard.packing import Pictures
from linewatch_dashboard.view import Reject


@dataclass(frozen=True, slots=True)
class Places:
    """Inspector's ledger file and store folder, as its heartbeat names them."""

    ledger: str
    store: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """One inspection as it was stored."""

    verdict: Verdict
    pictures: Pictures


class Archive(Protocol):
    """Reads ledger and store, and never writes. All methods block for a disk's time: call them from a worker thread.

    They raise InputError for a bad or missing file or id, and UnavailableError when the disk or the ledger does not answer.
    """

    def read(self, places: Places, path: str) -> Inspection:
        """The file at `path`, which must lie in the store."""

    def find(self, places: Places, frame_id: str) -> Inspection:
        """An inspection by its frame; without pictures when only the ledger knows it."""

    def outcomes(self, places: Places) -> dict[str, int]:
        """How often each outcome came, since the ledger began."""

    def rejects(self, places: Places, limit: int) -> list[Reject]:
        """The last parts that did not pass, the youngest first."""

    def latest(self, places: Places) -> tuple[Verdict, str | None] | None:
        """The youngest inspection and its file, or None for an empty ledger."""
