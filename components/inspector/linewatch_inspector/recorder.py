"""The recording thread: ledger rows, pictures and labels, after the verdict is out. A slow disk delays nobody but itself.

Rows are never dropped for speed: they wait in memory (and in the journal) until the ledger takes them. Pictures are: when PICTURES wait
already, a new one is dropped and counted.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from linewatch_common.bus import LocalBus
from linewatch_common.clock import utc_now
from linewatch_common.errors import CorruptStateError, InputError, LinewatchError, StorageError
from linewatch_common.messages import CommandResult, InspectionStored, LabelVerdict, Message, Outcome, encode
from linewatch_common.store import StoredInspection, inspection_path, write_inspection
from linewatch_common.topics import Topics

from linewatch_inspector.announcer import Published
from linewatch_inspector.ended import Ended
from linewatch_inspector.journal import Journal
from linewatch_inspector.ledger_writer import AddGap, AddPart, LedgerWriter, Operation, SetStoredPath, parts_of
from linewatch_inspector.pictures import mask_of, picture_jpeg
from linewatch_inspector.storekeeper import Storekeeper

log = logging.getLogger(__name__)

PICTURES = 8  # a megabyte or more each
LABELS = 64
# Some hours of a fast line; beyond it the oldest row is given up, counted, and a gap row tells of it.
MAX_ROWS = 50_000
# One transaction holds so many rows at most, so that readers and new pictures are never kept waiting for long.
ROWS_AT_ONCE = 500
RETRY_SECONDS = 1.0  # a full disk is not freed within milliseconds
SYNC_SECONDS = 5.0  # what a power cut may cost at most
PRUNE_EVERY_SECONDS = 60.0
STOCK_AGAIN_SECONDS = 60.0  # a look through a full store takes a second
IDLE_SECONDS = 0.5

StorePictures = Literal["all", "not-pass", "none"]


@dataclass(frozen=True, slots=True)
class Keeping:
    """What the configuration says about keeping; `component` signs the answers to commands."""

    component: str
    store: Path
    pictures: StorePictures
    ledger_days: int


class Recorder:
    """Any thread may call `record`, `submit` and `label`; the counters may be read by any."""

    def __init__(
        self,
        keeping: Keeping,
        *,
        writer: LedgerWriter,
        keeper: Storekeeper,
        journal: Journal,
        bus: LocalBus,
        topics: Topics,
        max_rows: int = MAX_ROWS,
        stock_again_seconds: float = STOCK_AGAIN_SECONDS,
    ) -> None:
        self._keeping = keeping
        self._writer = writer
        self._keeper = keeper
        self._journal = journal
        self._bus = bus
        self._topics = topics
        self._max_rows = max_rows
        self._stock_again_seconds = stock_again_seconds
        self._operations: deque[Operation] = deque()
        self._pictures: deque[Ended] = deque()
        self._labels: deque[LabelVerdict] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._open = False
        self._unsynced = False
        self._stocktaken = False
        self._next_try = self._next_sync = self._next_prune = self._next_stock = 0.0
        self._thread = threading.Thread(target=self._run, name="recording", daemon=True)
        self.outcomes: dict[str, int] = {}
        self.problem = ""
        self.store_problem = ""
        self.store_paused = False
        self.pictures_dropped = 0
        self.pictures_stored = 0
        self.rows_lost = 0
        self.labels_dropped = 0
        self._on_open: Callable[[], None] = _nothing
        self._on_label: Callable[[LabelVerdict], None] = _no_label
        self._journal_refused = False

    @property
    def ledger_open(self) -> bool:
        """Whether the ledger was opened; it may still refuse a write, see `problem`."""
        return self._open

    @property
    def rows_pending(self) -> int:
        """Operations that the ledger has not taken yet."""
        return len(self._operations)

    @property
    def pictures_deleted(self) -> int:
        """Pictures that left the store for its bounds."""
        return self._keeper.deleted

    def when_open(self, on_open: Callable[[], None]) -> None:
        """Call `on_open` whenever the ledger was opened, on the thread that may use the writer then. Comes before `open`."""
        self._on_open = on_open

    def when_labelled(self, on_label: Callable[[LabelVerdict], None]) -> None:
        """Call `on_label` on the recording thread for each label that the ledger took. Comes before `start`."""
        self._on_label = on_label

    def open(self) -> None:
        """Open the ledger, on the caller's thread, before `start`. Raises StorageError, CorruptStateError."""
        self._writer.open()
        self.outcomes = self._writer.outcomes()
        self._on_open()
        self._open = True

    def start(self) -> None:
        """Begin to record; an absent ledger is tried again and again."""
        self._thread.start()

    def stop(self, seconds: float) -> bool:
        """Record what waits, within `seconds`; False when something had to stay in the journal."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(seconds)
        return not self._thread.is_alive() and not self._operations

    def record(self, published: Published) -> None:
        """A verdict is out: its row, and its picture when there is room."""
        item = published.ended
        self.submit(AddPart(item.verdict, published.total_ms))
        if not item.had_picture or not self._wanted(item):
            return
        with self._changed:
            if item.picture_given_up or len(self._pictures) >= PICTURES or self.store_paused:
                self.pictures_dropped += 1
            else:
                self._pictures.append(item)

    def submit(self, operation: Operation) -> None:
        """Anything else that the ledger shall hold."""
        with self._changed:
            self._operations.append(operation)
            if len(self._operations) > self._max_rows:
                self._give_up_oldest()
            self._changed.notify()

    def label(self, command: LabelVerdict) -> None:
        """A person's word on a verdict; answered on `commands/results`. Handler's thread: does not block."""
        with self._changed:
            if len(self._labels) >= LABELS:  # more at once than people can type; who gets no answer tries again
                self.labels_dropped += 1
                return
            self._labels.append(command)
            self._changed.notify()

    def _wanted(self, item: Ended) -> bool:
        if self._keeping.pictures == "none":
            return False
        return self._keeping.pictures == "all" or item.verdict.outcome is not Outcome.PASS

    def _give_up_oldest(self) -> None:
        """One gap row in front grows over the rows that memory cannot keep; the journal may still have them at the next start."""
        first = self._operations.popleft()
        gap = first if isinstance(first, AddGap) else None
        lost = self._operations.popleft() if gap else first
        if isinstance(lost, AddPart):
            self.rows_lost += 1
            since = gap.from_at if gap else lost.verdict.captured_at
            reason = f"the ledger failed: {self.problem}"[:300]
            gap = AddGap(since, lost.verdict.captured_at, lost.verdict.frame_id, reason)
        if gap:
            self._operations.appendleft(gap)

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._stopping and not self._has_work():
                    self._changed.wait(IDLE_SECONDS)
                stopping = self._stopping
            try:
                self._step()
            except CorruptStateError as error:
                self._failed(error)
            except Exception:  # a thread's top: rows must go on
                log.exception("recording: an internal error")
                time.sleep(RETRY_SECONDS)
            if stopping and (not self._has_work() or self.problem):
                break
        self._writer.close()

    def _has_work(self) -> bool:
        rows = bool(self._operations) and time.monotonic() >= self._next_try
        return rows or bool(self._labels) or bool(self._pictures)

    def _step(self) -> None:
        if time.monotonic() >= self._next_try:
            self._write_rows()
        self._answer_label()
        self._store_picture()
        self._maintain()

    def _write_rows(self) -> None:
        with self._changed:
            batch = [self._operations[index] for index in range(min(ROWS_AT_ONCE, len(self._operations)))]
        try:
            if not self._open or self.problem:
                self.open()  # after a failure as well: the disk or the file may be another by now
            if batch:
                self._write(batch)
                self.outcomes = self._writer.outcomes()
        except StorageError as error:
            self._failed(error)
            return
        with self._changed:
            for done in batch:
                # A row may have been given up meanwhile; the rest is still in order.
                if self._operations and self._operations[0] is done:
                    self._operations.popleft()
        self._unsynced |= bool(batch)
        self._works_again()
        self._forget_in_journal(parts_of(batch))

    def _write(self, batch: list[Operation]) -> None:
        """One row that cannot be kept must not hold up all others for ever."""
        try:
            self._writer.write(batch)
        except InputError:
            for operation in batch:
                try:
                    self._writer.write([operation])
                except InputError as error:
                    self.rows_lost += 1
                    log.error("%s: %s", operation, error)  # noqa: TRY400 - the line says it all

    def _forget_in_journal(self, frame_ids: list[str]) -> None:
        try:
            self._journal.recorded(frame_ids)
            self._journal_refused = False
        except StorageError as error:
            if not self._journal_refused:
                log.warning("%s", error)
            self._journal_refused = True

    def _failed(self, error: LinewatchError) -> None:
        if not self.problem:
            log.error("%s; verdicts go on, %d rows wait", error, len(self._operations))
        self.problem = str(error)
        self._next_try = time.monotonic() + RETRY_SECONDS

    def _works_again(self) -> None:
        if self.problem:
            log.info("the ledger works again")
        self.problem = ""

    def _answer_label(self) -> None:
        with self._changed:
            command = self._labels.popleft() if self._labels else None
        if command is None:
            return
        try:
            accepted = self._writer.add_label(command, utc_now())
            reason = "" if accepted else f"no frame {command.frame_id} in the ledger"
        except (StorageError, CorruptStateError, InputError) as error:
            accepted, reason = False, str(error)
        if accepted:
            self._on_label(command)
        self._publish(
            self._topics.command_results,
            CommandResult(
                command_id=command.command_id,
                component=self._keeping.component,
                accepted=accepted,
                reason=reason[:300],
                frame_id=command.frame_id,
            ),
        )

    def _store_picture(self) -> None:
        with self._changed:
            item = self._pictures.popleft() if self._pictures else None
        if item is None or item.picture is None:
            return
        path = inspection_path(self._keeping.store, item.verdict)
        try:
            size = write_inspection(path, StoredInspection(item.verdict, picture_jpeg(item.picture), mask_of(item)))
        except (StorageError, InputError) as error:
            self.pictures_dropped += 1
            if not self.store_problem:
                log.warning("%s", error)
            self.store_problem = str(error)
            return
        self.store_problem = ""
        self.pictures_stored += 1
        self._keeper.added(path, size, passed=item.verdict.outcome is Outcome.PASS)
        self.submit(SetStoredPath(item.verdict.frame_id, str(path)))
        self._publish(
            self._topics.verdicts,
            InspectionStored(
                inspection_id=item.verdict.inspection_id,
                frame_id=item.verdict.frame_id,
                path=str(path),
                size_bytes=size,
            ),
        )

    def _maintain(self) -> None:
        for gone in self._keeper.make_room():  # also while the ledger is away: its row is told later
            self.submit(SetStoredPath(gone.stem, None))
        if not self._open or self.problem:
            return
        now = time.monotonic()
        if not self._stocktaken and now >= self._next_stock:
            self._next_stock = now + self._stock_again_seconds
            self._take_stock()
        try:
            if self._unsynced and now >= self._next_sync:
                self._next_sync = now + SYNC_SECONDS
                self._writer.sync()
                self._unsynced = False
            if now >= self._next_prune:
                before = datetime.now(UTC) - timedelta(days=self._keeping.ledger_days)
                deleted = self._writer.prune(before.strftime("%Y-%m-%dT%H:%M:%SZ"))
                self._next_prune = now + (0.0 if deleted else PRUNE_EVERY_SECONDS)
        except StorageError as error:
            self._failed(error)

    def _take_stock(self) -> None:
        try:
            self._keeper.take_stock(self._writer.stored_passes())
            self._stocktaken = True
        except StorageError as error:
            log.warning("%s", error)

    def _publish(self, topic: str, message: Message) -> None:
        """A courtesy: who misses it finds the row in the ledger."""
        try:
            self._bus.publish(topic, encode(message))
        except LinewatchError as error:
            log.info("%s not published: %s", type(message).__name__, error)


def _nothing() -> None:
    """Nobody waits for the ledger."""


def _no_label(_command: LabelVerdict) -> None:
    """Nobody asks for labels."""
