"""The ledger's file: what the writer writes, the reader reads beside it, in other processes and threads too."""

import sqlite3
import threading
from pathlib import Path
from typing import Literal

import msgspec
import pytest
from linewatch_common.errors import CorruptStateError, InputError, StorageError, UnavailableError
from linewatch_common.ledger import LEDGER_FILE, LedgerReader
from linewatch_common.messages import LabelVerdict, Outcome, Verdict
from linewatch_inspector.agreement import agreement
from linewatch_inspector.captures.choice import Choice
from linewatch_inspector.ledger_writer import AddGap, AddPart, LedgerWriter, SetState, SetStoredPath

EPOCH = 1763800000


def verdict(number: int, outcome: Outcome = Outcome.PASS, *, judged: Outcome | None = None, day: int = 22) -> Verdict:
    name = f"line1-{EPOCH}-{number:06d}"
    return Verdict(
        inspection_id=name,
        frame_id=name,
        station="line1",
        part_id=f"part-{number}",
        outcome=outcome,
        judged=judged,
        score=0.25,
        threshold=0.5,
        captured_at=f"2026-11-{day:02d}T10:00:00.000000Z",
        published_at=f"2026-11-{day:02d}T10:00:00.100000Z",
        timings_ms={"total": 20.0},
        reason="by test",
    )


@pytest.fixture
def writer(tmp_path: Path) -> LedgerWriter:
    made = LedgerWriter(tmp_path / LEDGER_FILE)
    made.open()
    return made


@pytest.fixture
def reader(tmp_path: Path) -> LedgerReader:
    return LedgerReader(tmp_path / LEDGER_FILE)


def test_a_row_holds_the_verdict_as_it_was_published(writer: LedgerWriter, reader: LedgerReader) -> None:
    item = verdict(1, Outcome.LATE, judged=Outcome.FAIL)
    writer.write([AddPart(item, 23.5)])
    part = reader.find(item.frame_id)
    assert part is not None
    assert part.verdict == item
    assert (part.station, part.epoch, part.sequence, part.part_id) == ("line1", EPOCH, 1, "part-1")
    assert (part.outcome, part.judged, part.score, part.threshold) == ("late", "fail", 0.25, 0.5)
    assert (part.total_ms, part.reason, part.stored_path) == (23.5, "by test", None)


def test_a_frame_gets_one_row_and_the_first_stands(writer: LedgerWriter, reader: LedgerReader) -> None:
    writer.write([AddPart(verdict(1), 1.0)])
    writer.write([AddPart(verdict(1, Outcome.FAIL), 2.0), AddPart(verdict(2, Outcome.MISSED), None)])
    assert reader.outcomes() == {"pass": 1, "missed": 1}
    assert [part.outcome for part in reader.latest(10)] == ["missed", "pass"]


def test_rejects_are_what_was_not_found_good(writer: LedgerWriter, reader: LedgerReader) -> None:
    items = [
        verdict(1),
        verdict(2, Outcome.FAIL),
        verdict(3, Outcome.REVIEW),
        verdict(4, Outcome.MISSED),
        verdict(5, Outcome.ERROR),
        verdict(6, Outcome.LATE, judged=Outcome.PASS),
        verdict(7, Outcome.LATE, judged=Outcome.FAIL),
    ]
    writer.write([AddPart(item, None) for item in items])
    assert [part.sequence for part in reader.rejects(10)] == [7, 5, 3, 2]
    assert [part.sequence for part in reader.rejects(2)] == [7, 5]


def test_the_review_queue_shrinks_by_labels(writer: LedgerWriter, reader: LedgerReader) -> None:
    writer.write([AddPart(verdict(number, Outcome.REVIEW), None) for number in (1, 2)])
    writer.write([AddPart(verdict(3, Outcome.LATE, judged=Outcome.REVIEW), None)])
    command = LabelVerdict(command_id="c", frame_id=verdict(1).frame_id, label="fail", operator="o")
    assert writer.add_label(command, "2026-11-22T11:00:00Z")
    assert writer.add_label(command, "2026-11-22T12:00:00Z")
    assert [part.sequence for part in reader.review_queue(10)] == [2, 3]
    assert [label.at for label in reader.labels(verdict(1).frame_id)] == ["2026-11-22T11:00:00Z"]


def test_a_batch_is_written_whole_or_not_at_all(writer: LedgerWriter, reader: LedgerReader) -> None:
    impossible = msgspec.structs.replace(verdict(2), judged=Outcome.MISSED)
    with pytest.raises(InputError, match=r"ledger\.db: a row that the ledger's rules do not admit"):
        writer.write([AddPart(verdict(1), None), AddPart(impossible, None)])
    assert reader.latest(10) == []
    writer.write([AddPart(verdict(1), None)])
    assert len(reader.latest(10)) == 1


def test_a_full_disk_is_one_clear_error_and_nothing_half_done(tmp_path: Path, reader: LedgerReader) -> None:
    path = tmp_path / LEDGER_FILE
    writer = LedgerWriter(path)
    writer.open()
    writer.write([AddPart(verdict(1), None)])
    # A disk that is full, as SQLite sees it.
    writer._open_connection().execute("PRAGMA max_page_count = 1").fetchall()
    with pytest.raises(StorageError, match=r"ledger\.db: .*full"):
        writer.write([AddPart(verdict(number), None) for number in range(2, 200)])
    assert len(reader.latest(1000)) == sum(reader.outcomes().values()) == 1
    writer._open_connection().execute("PRAGMA max_page_count = 100000").fetchall()
    writer.write([AddPart(verdict(500), None)])
    assert len(reader.latest(1000)) == 2


def test_gaps_state_and_paths(writer: LedgerWriter, reader: LedgerReader) -> None:
    writer.write([AddPart(verdict(1), None), SetStoredPath(verdict(1).frame_id, "/store/1.zip")])
    writer.write(
        [AddGap(None, "2026-11-22T10:00:00Z", None, "power cut"), SetState("boot", "a"), SetState("boot", "b")]
    )
    assert [part.stored_path for part in reader.latest(1)] == ["/store/1.zip"]
    assert [gap.reason for gap in reader.gaps(5)] == ["power cut"]
    assert writer.state("boot") == "b"
    assert writer.state("other") is None
    assert writer.stored_passes() == {"/store/1.zip"}
    assert writer.last_part() == (verdict(1).frame_id, verdict(1).published_at)
    assert reader.sequences(EPOCH, 1) == [1]
    assert reader.sequences(EPOCH, 2) == []


def test_old_rows_leave_but_the_totals_and_the_newest_stay(reader: LedgerReader, tmp_path: Path) -> None:
    writer = LedgerWriter(tmp_path / LEDGER_FILE, prune_rows=4, never_pruned_rows=3)
    writer.open()
    writer.write([AddPart(verdict(number, day=1), None) for number in range(1, 11)])
    assert [writer.prune("2026-11-10T00:00:00Z") for _ in range(3)] == [4, 3, 0]
    assert [part.sequence for part in reader.latest(20)] == [10, 9, 8]
    assert reader.outcomes() == {"pass": 10}


def test_before_there_is_a_ledger_the_reader_says_so(reader: LedgerReader, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"ledger\.db"):
        reader.latest(1)
    sqlite3.connect(tmp_path / LEDGER_FILE).close()
    with pytest.raises(UnavailableError, match=r"ledger\.db"):
        reader.outcomes()


def test_a_reader_never_writes(writer: LedgerWriter, reader: LedgerReader) -> None:
    writer.write([AddPart(verdict(1), None)])
    with reader._connection() as connection, pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM parts")


def test_readers_and_writer_work_side_by_side(writer: LedgerWriter, reader: LedgerReader) -> None:
    problems: list[Exception] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            try:
                # One transaction each: the row and its count are never seen apart by more than what came between.
                assert len(reader.latest(1000)) <= sum(reader.outcomes().values())
            except Exception as error:  # noqa: BLE001 - a thread's top; the test reports it
                problems.append(error)
                return

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(1, 201):
        writer.write([AddPart(verdict(number), None)])
    writer.sync()
    stop.set()
    for thread in threads:
        thread.join()
    assert problems == []
    assert sum(reader.outcomes().values()) == 200


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / LEDGER_FILE
    path.write_bytes(b"nothing of the kind " * 100)
    with pytest.raises(CorruptStateError, match="damaged"):
        LedgerWriter(path).open()
    assert path.read_bytes().startswith(b"nothing")


def test_a_ledger_is_private(writer: LedgerWriter) -> None:
    assert writer.path.stat().st_mode & 0o777 == 0o600


def test_an_impossible_outcome_cannot_enter(writer: LedgerWriter) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        writer._open_connection().execute(
            "INSERT INTO parts (frame_id, station, epoch, sequence, outcome, captured_at, published_at, verdict) "
            "VALUES ('f', 's', 1, 1, 'good', '', '', '')"
        )


def test_labels_of_the_random_draw_say_how_often_people_agree(writer: LedgerWriter, reader: LedgerReader) -> None:
    outcomes = {1: Outcome.PASS, 2: Outcome.PASS, 3: Outcome.FAIL, 4: Outcome.FAIL, 5: Outcome.REVIEW}
    parts = [verdict(number, outcome) for number, outcome in outcomes.items()]
    parts += [verdict(6, Outcome.LATE, judged=Outcome.FAIL), verdict(7, Outcome.FAIL, day=20)]
    writer.write([AddPart(part, 1.0) for part in parts])
    words: list[tuple[int, Literal["pass", "fail"]]]
    words = [(1, "pass"), (2, "fail"), (3, "fail"), (4, "fail"), (4, "pass"), (5, "pass"), (6, "pass"), (7, "pass")]
    for number, (frame, label) in enumerate(words):
        said = LabelVerdict(command_id=f"c{number}", frame_id=verdict(frame).frame_id, label=label, operator="ann")
        assert writer.add_label(said, "2026-11-22T11:00:00.000000Z")
    since = "2026-11-22T00:00:00.000000Z"
    every = agreement(reader, Choice(100.0, not_pass=False), since)
    assert every == {"passed": 2, "escapes": 1, "failed": 3, "false_rejects": 2}, (
        "the last word counts, a review is no verdict"
    )
    assert agreement(reader, Choice(0.0, not_pass=True), since) == {}, "nothing was drawn at random"
    some = Choice(50.0, not_pass=True)
    drawn = [number for number in (1, 2, 3, 4, 6) if some.drawn(verdict(number).frame_id)]
    found = agreement(reader, some, since)
    assert 0 < len(drawn) < 5
    assert found.get("passed", 0) + found.get("failed", 0) == len(drawn)


def test_a_ledger_that_cannot_be_read_now_says_nothing_of_labels(tmp_path: Path) -> None:
    assert agreement(LedgerReader(tmp_path / "none.db"), Choice(100.0, not_pass=False), "2026") == {}


def test_text_that_a_worn_disk_spoiled_is_a_failure_of_the_ledger(writer: LedgerWriter, tmp_path: Path) -> None:
    """SQLite finds no fault with its pages; Python's module cannot read the text and gives no code with its error."""
    writer.write([SetState("boot", "a")])
    with sqlite3.connect(tmp_path / LEDGER_FILE) as connection:
        connection.execute("UPDATE state SET value = CAST(x'ff' AS TEXT)")
    connection.close()
    with pytest.raises(StorageError, match=r"ledger\.db: .*decode"):
        writer.state("boot")
