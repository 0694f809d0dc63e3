"""What an earlier process left: its journal goes into the ledger or out to the plant, and a gap row tells of a power cut."""

import logging
from collections.abc import Callable, Iterable

import msgspec
from linewatch_common.clock import boot_id, utc_now
from linewatch_common.errors import InputError, StorageError, UnavailableError
from linewatch_common.ledger import LedgerReader
from linewatch_common.ring import parse_frame_id

from linewatch_inspector.ended import JUDGED, Ended, as_late
from linewatch_inspector.journal import Entry, Journal
from linewatch_inspector.ledger_writer import AddGap, AddPart, LedgerWriter, Operation, SetState

log = logging.getLogger(__name__)

BOOT, EPOCH, CLEAN = "boot", "epoch", "clean"


class Past:
    """Read once at the start, on the main thread, before the other threads begin."""

    def __init__(self, journal: Journal, writer: LedgerWriter, submit: Callable[[Operation], None]) -> None:
        self._journal = journal
        self._writer = writer
        self._submit = submit
        self._entries: list[Entry] = []
        self._unclean = False
        self._begun = False
        self._continued = False  # the ledger is known to be the last run's
        self._epoch: int | None = None
        self._last: tuple[str, str] | None = None
        self.journal_problem = ""

    def read_journal(self) -> None:
        """A journal that cannot be opened is a problem, not an end."""
        try:
            self._entries = self._journal.open()
        except StorageError as error:
            self.journal_problem = str(error)
            log.error("%s; verdicts go on, but a crash now would lose some", error)  # noqa: TRY400 - one clear line
        self._entries = [entry for entry in self._entries if _is_ours(entry)]
        for entry in self._entries:
            if entry.published:
                self._submit(AddPart(entry.verdict, entry.verdict.timings_ms.get("total")))

    def unpublished(self) -> list[Ended]:
        """Verdicts that were decided and perhaps never published; those of another boot are late whatever their age."""
        found = []
        for entry in self._entries:
            if entry.published:
                continue
            verdict = msgspec.structs.replace(entry.verdict, published_at=utc_now())
            if entry.monotonic_ns is None and verdict.outcome in JUDGED:
                verdict = as_late(verdict, "of an earlier boot")
            found.append(Ended(verdict=verdict, monotonic_ns=entry.monotonic_ns))
        if self._entries:
            log.info("journal: %d verdicts of the last run, %d of them unpublished", len(self._entries), len(found))
        return found

    def begin_run(self) -> None:
        """Compare this boot with the last run's, and note that a run has begun. Raises StorageError when the ledger is away.

        Called again when the ledger was opened again: a new one is then told of the run that is under way.
        """
        boot = self._writer.state(BOOT)
        if self._begun:
            if boot is None:
                self._note_run()
            return
        self._continued = boot is not None
        self._unclean = boot is not None and self._writer.state(CLEAN) != "1"
        epoch = self._writer.state(EPOCH)
        self._epoch = int(epoch) if epoch is not None else None
        self._last = self._writer.last_part()
        if self._unclean and boot != boot_id():
            self._gap("a power cut or a reboot: Inspector had not stopped")
            self._unclean = False
        self._begun = True
        self._note_run()

    def _note_run(self) -> None:
        self._submit(SetState(BOOT, boot_id()))
        self._submit(SetState(CLEAN, "0"))
        if self._epoch is not None:
            self._submit(SetState(EPOCH, str(self._epoch)))

    def ring_seen(self, epoch: int) -> None:
        """The ring's epoch is known now, or has changed."""
        if epoch == self._epoch:
            self._unclean = False
            return
        if self._unclean:
            self._gap("the frame ring was made anew while Inspector was down")
            self._unclean = False
        self._epoch = epoch
        self._submit(SetState(EPOCH, str(epoch)))

    def end_run(self) -> None:
        """The process stops as it should."""
        self._submit(SetState(CLEAN, "1"))

    def frames_given_up(self, epoch: int, frames: int, first: int) -> None:
        """A stretch of frames is too long to list."""
        now = utc_now()
        reason = f"{frames} frames of ring {epoch} before sequence {first} were never seen by Inspector"
        self._submit(AddGap(None, now, None, reason))
        log.error("%s", reason)

    def _gap(self, reason: str) -> None:
        frame_id, at = self._last or (None, None)
        self._submit(AddGap(at, utc_now(), frame_id, reason))
        log.warning("gap after %s: %s", frame_id or "the beginning", reason)

    def ended_frames(self, epoch: int, since: int) -> Iterable[int]:
        """The frames of a ring that have an outcome already; see intake.EndedFrames.

        A ledger that was begun anew, or is away, does not know them all: what came before the journal's first has ended then as well.
        """
        found = set(_sequences(self._entries, epoch, since))
        first = min(found, default=since)
        try:
            found.update(LedgerReader(self._writer.path).sequences(epoch, since))
        except UnavailableError as error:
            log.warning("the ledger does not tell which frames have ended: %s", error)
            return found.union(range(since, first))
        if self._continued or first == since:
            return found
        reason = (
            f"frames of ring {epoch} before sequence {first} ended before this ledger began: an earlier ledger has them"
        )
        self._submit(AddGap(None, utc_now(), None, reason))
        log.warning("%s", reason)
        return found.union(range(since, first))


def _is_ours(entry: Entry) -> bool:
    try:
        parse_frame_id(entry.verdict.frame_id)
    except InputError as error:
        log.warning("journal: left out: %s", error)
        return False
    return True


def _sequences(entries: Iterable[Entry], epoch: int, since: int) -> Iterable[int]:
    for entry in entries:
        _, of_epoch, sequence = parse_frame_id(entry.verdict.frame_id)
        if of_epoch == epoch and sequence >= since:
            yield sequence
