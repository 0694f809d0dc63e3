"""What is recorded, and what is left out when there is too much."""

import threading
from collections.abc import Callable, Collection
from pathlib import Path

import pytest
from linewatch_common.errors import StorageError
from linewatch_common.ledger import LedgerReader
from linewatch_common.messages import LabelVerdict, Outcome, Verdict
from linewatch_common.topics import Topics
from linewatch_inspector import recorder as recorders
from linewatch_inspector.announcer import Published
from linewatch_inspector.ended import Ended
from linewatch_inspector.journal import Journal
from linewatch_inspector.ledger_writer import LedgerWriter
from linewatch_inspector.recorder import Keeping, Recorder
from linewatch_inspector.storekeeper import Storekeeper

from tests.fakes.bus import FakeCore
from tests.unit.inspector.line import BAD, GOOD, Line, wait_until
from tests.unit.ledger.test_ledger import verdict


def test_the_store_keeps_its_size_and_the_ledger_knows_what_went(make_line: Callable[..., Line]) -> None:
    line = make_line(StoreMegabytes=1, DiskLowMegabytes=0)
    inspector = line.start()
    store = line.work / "store" / "20200101"
    store.mkdir(parents=True)
    bad = line.capture(BAD)
    good = line.capture(GOOD)
    wait_until(lambda: len(line.stored()) == 2, "two pictures")
    # Something big comes to lie in the store; the next start finds it.
    line.stop()
    (store / "line1-1-000001.zip").write_bytes(b"x" * 1_000_000)
    inspector = line.start()
    wait_until(lambda: inspector.status().counters["pictures_deleted"] >= 2, "the store to shrink")
    wait_until(lambda: (part := line.ledger.find(good)) is not None and part.stored_path is None, "the row to know")
    part = line.ledger.find(bad)
    assert part is not None
    line.stop()
    assert sum(path.stat().st_size for path in (line.work / "store").glob("*/*")) <= 1_000_000


def test_a_low_disk_keeps_the_rows_and_leaves_the_pictures(make_line: Callable[..., Line]) -> None:
    line = make_line(DiskLowMegabytes=1_000_000)
    inspector = line.start()
    wait_until(lambda: ("disk_low", "raised") in line.alert_states(), "the alert")
    line.verdict_of(line.capture(GOOD))
    line.wait_for_rows(1)
    assert line.stored() == []
    assert inspector.status().counters["pictures_dropped"] == 1


class SlowDisk(LedgerWriter):
    """A ledger on a disk that hangs until it is let go."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.go = threading.Event()

    def write(self, operations: object) -> None:
        self.go.wait(20)
        super().write(operations)  # type: ignore[arg-type]  # passed through


def slow_recorder(tmp_path: Path, max_rows: int = recorders.MAX_ROWS) -> tuple[Recorder, SlowDisk]:
    journal = Journal(tmp_path / "journal")
    journal.open()
    disk = SlowDisk(tmp_path / "ledger.db")
    keeping = Keeping("com.linewatch.Inspector", tmp_path / "store", "all", 365)
    made = Recorder(
        keeping,
        writer=disk,
        keeper=Storekeeper(tmp_path / "store", 10**9, 10**9),
        journal=journal,
        bus=FakeCore().bus(),
        topics=Topics("line1"),
        max_rows=max_rows,
    )
    made.open()
    return made, disk


@pytest.fixture
def recorder(tmp_path: Path) -> tuple[Recorder, SlowDisk]:
    return slow_recorder(tmp_path)


def published(item: Verdict, picture: object = None) -> Published:
    return Published(Ended(verdict=item, monotonic_ns=None, picture=picture), None)  # type: ignore[arg-type]  # any object will do


def test_a_disk_that_hangs_costs_pictures_but_no_row(recorder: tuple[Recorder, SlowDisk], tmp_path: Path) -> None:
    made, disk = recorder
    made.start()
    for number in range(1, 101):
        made.record(published(verdict(number), picture=object()))
    assert made.pictures_dropped == 100 - recorders.PICTURES
    made._pictures.clear()
    disk.go.set()
    assert made.stop(20)
    assert LedgerReader(tmp_path / "ledger.db").outcomes() == {"pass": 100}


def test_stock_that_could_not_be_taken_is_taken_later(tmp_path: Path) -> None:
    """Else what an earlier process stored is in no bound until the next start."""
    left = tmp_path / "store" / "20261122" / "line1-1-000001.zip"
    left.parent.mkdir(parents=True)
    left.write_bytes(bytes(100))
    journal = Journal(tmp_path / "journal")
    journal.open()
    made = Recorder(
        Keeping("com.linewatch.Inspector", tmp_path / "store", "all", 365),
        writer=LedgerWriter(tmp_path / "ledger.db"),
        keeper=ForgetfulStore(tmp_path / "store", 50, 10**9),
        journal=journal,
        bus=FakeCore().bus(),
        topics=Topics("line1"),
        stock_again_seconds=0.01,
    )
    made.open()
    made.start()
    wait_until(lambda: not left.exists(), "the store to be within its bounds")
    assert made.stop(20)


def test_the_store_keeps_its_size_also_while_the_ledger_is_away(tmp_path: Path) -> None:
    """Else pictures would fill the disk up for as long as nobody looks after the ledger."""
    (tmp_path / "disk").write_bytes(b"")  # not a folder yet
    journal = Journal(tmp_path / "journal")
    journal.open()
    old = tmp_path / "store" / "20261122" / "line1-1-000001.zip"
    old.parent.mkdir(parents=True)
    old.write_bytes(bytes(100))
    keeper = Storekeeper(tmp_path / "store", 50, 10**9)
    keeper.added(old, 100, passed=True)
    made = Recorder(
        Keeping("com.linewatch.Inspector", tmp_path / "store", "all", 365),
        writer=LedgerWriter(tmp_path / "disk" / "ledger.db"),
        keeper=keeper,
        journal=journal,
        bus=FakeCore().bus(),
        topics=Topics("line1"),
    )
    made.start()
    wait_until(lambda: not old.exists(), "the store to be within its bounds")
    assert made.problem
    made.stop(20)


class ForgetfulStore(Storekeeper):
    """A file goes between the listing of its folder and the look at it, once."""

    failed = False

    def take_stock(self, passes: Collection[str]) -> None:
        if not self.failed:
            self.failed = True
            raise StorageError("cannot look through the store: No such file or directory")
        super().take_stock(passes)


def test_labels_beyond_the_queue_are_counted(recorder: tuple[Recorder, SlowDisk]) -> None:
    made, _ = recorder
    for number in range(recorders.LABELS + 2):
        made.label(LabelVerdict(command_id=f"c{number}", frame_id="line1-1-000001", label="pass", operator="o"))
    assert made.labels_dropped == 2


def test_rows_beyond_all_memory_become_one_gap(tmp_path: Path) -> None:
    made, disk = slow_recorder(tmp_path, max_rows=10)
    for number in range(1, 31):
        made.record(published(verdict(number)))
    disk.go.set()
    made.start()
    assert made.stop(20)
    reader = LedgerReader(tmp_path / "ledger.db")
    kept = [part.sequence for part in reversed(reader.latest(100))]
    assert kept == list(range(31 - len(kept), 31))
    assert made.rows_lost + len(kept) == 30
    assert [gap.after_frame_id for gap in reader.gaps(10)] == [verdict(30 - len(kept)).frame_id]


def test_a_row_that_cannot_be_kept_does_not_hold_up_the_others(
    recorder: tuple[Recorder, SlowDisk], tmp_path: Path
) -> None:
    made, disk = recorder
    disk.go.set()
    impossible = verdict(2, Outcome.LATE, judged=Outcome.MISSED)
    for item in (verdict(1), impossible, verdict(3)):
        made.record(published(item))
    made.start()
    assert made.stop(20)
    assert [part.sequence for part in LedgerReader(tmp_path / "ledger.db").latest(10)] == [3, 1]
    assert made.rows_lost == 1
