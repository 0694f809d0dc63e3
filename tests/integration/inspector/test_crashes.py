"""What a restart finds, and what a full disk, a full shared memory and an absent bus do."""

import sqlite3
import struct
import time
import zlib
from collections.abc import Callable

import msgspec
import pytest
from linewatch_common.clock import utc_now
from linewatch_common.errors import CorruptStateError
from linewatch_common.ledger import LedgerReader
from linewatch_common.messages import CommandResult, LabelVerdict, Outcome, Verdict, decode, encode
from linewatch_common.ring import RingReader
from linewatch_inspector.journal import Journal

from tests.disks import file_size_limit
from tests.unit.inspector.line import BAD, GOOD, Line, wait_until
from tests.unit.inspector.packages import serving


def leave_in_journal(line: Line, *, published: bool, age_ms: float = 0.0, outcome: Outcome = Outcome.FAIL) -> Verdict:
    """A frame that the process was killed over, just before or after it published the verdict."""
    sequence = line.write(BAD, age_ms=age_ms)
    message = line.announced(sequence, age_ms=age_ms)
    verdict = Verdict(
        inspection_id=message.frame_id,
        frame_id=message.frame_id,
        station=message.station,
        outcome=outcome,
        captured_at=message.captured_at,
        published_at=utc_now(),
        score=0.9,
        timings_ms={"total": 12.5},
        reason="as bad as it gets",
    )
    journal = Journal(line.journal)
    journal.open()
    journal.add(verdict.frame_id, encode(verdict), message.captured_monotonic_ns)
    if published:
        journal.published(verdict.frame_id)
    journal.close()
    return verdict


def test_a_verdict_that_was_not_published_goes_out_marked_as_replayed(make_line: Callable[..., Line]) -> None:
    line = make_line(DeadlineMs=20_000)
    left = leave_in_journal(line, published=False)
    line.start()
    verdict = line.verdict_of(left.frame_id)
    assert (verdict.outcome, verdict.replayed, verdict.score) == (Outcome.FAIL, True, 0.9)
    line.wait_for_rows(1)
    part = line.ledger.find(left.frame_id)
    assert part is not None
    assert part.verdict == verdict


def test_an_old_one_goes_out_late_with_what_it_would_have_been(line: Line) -> None:
    left = leave_in_journal(line, published=False, age_ms=5000)
    line.start()
    verdict = line.verdict_of(left.frame_id)
    assert (verdict.outcome, verdict.judged, verdict.replayed) == (Outcome.LATE, Outcome.FAIL, True)
    assert verdict.reason.startswith("late, ")
    line.wait_for_rows(1)
    assert line.ledger.outcomes() == {"late": 1}


def test_one_of_an_earlier_boot_is_late(line: Line) -> None:
    left = leave_in_journal(line, published=False)
    data = line.journal.read_bytes()
    line.journal.write_bytes(data[:8] + b"x" * 36 + data[44:])
    line.start()
    assert line.verdict_of(left.frame_id).outcome is Outcome.LATE


def test_a_published_one_gets_its_row_and_is_not_published_again(line: Line) -> None:
    left = leave_in_journal(line, published=True)
    line.start()
    line.wait_for_rows(1)
    line.verdict_of(line.capture(GOOD))
    line.wait_for_rows(2)
    assert [verdict.frame_id == left.frame_id for verdict in line.verdicts()] == [False]
    part = line.ledger.find(left.frame_id)
    assert part is not None
    assert (part.outcome, part.total_ms) == ("fail", 12.5)


def test_frames_of_the_time_away_are_judged_while_young_and_else_missed(make_line: Callable[..., Line]) -> None:
    line = make_line(DeadlineMs=10_000)
    line.start()
    line.verdict_of(line.capture(GOOD))
    line.wait_for_rows(1)
    line.stop()
    line.write(GOOD, age_ms=60_000)
    line.write(BAD)
    line.start()
    verdicts = line.wait_for_verdicts(3)
    assert [str(verdict.outcome) for verdict in verdicts] == ["pass", "missed", "fail"]
    wait_until(lambda: ("frames_missed", "raised") in line.alert_states(), "the alert")


def test_frames_that_were_overwritten_meanwhile_are_missed(make_line: Callable[..., Line]) -> None:
    line = make_line(DeadlineMs=20_000, slots=8)
    line.start()
    line.stop()
    for _ in range(20):
        line.write(GOOD)
    line.start()
    verdicts = {verdict.frame_id: verdict for verdict in line.wait_for_verdicts(20)}
    outcomes = [str(verdicts[name].outcome) for name in sorted(verdicts)]
    assert outcomes == ["missed"] * 14 + ["pass"] * 6
    line.wait_for_rows(20)
    assert sum(line.ledger.outcomes().values()) == 20


def test_a_clean_restart_repeats_nothing_and_leaves_no_gap(line: Line) -> None:
    line.start()
    for level in (GOOD, BAD, GOOD):
        line.capture(level)
    line.wait_for_verdicts(3)
    line.stop()
    line.start()
    line.verdict_of(line.capture(GOOD))
    line.wait_for_rows(4)
    line.stop()
    assert len(line.verdicts()) == 4
    assert line.ledger.gaps(10) == []
    assert line.ledger.outcomes() == {"pass": 3, "fail": 1}


def test_a_new_ledger_takes_nothing_for_missed_that_an_earlier_one_knew(
    make_line: Callable[..., Line],
) -> None:
    line = make_line(slots=8)
    line.start()
    for parts in range(1, 31):
        line.capture(GOOD)
        line.wait_for_rows(parts)
    line.stop()
    journal = Journal(line.journal, rewrite_bytes=0)  # as after some hundred parts: it has let go of the first
    journal.recorded([entry.verdict.frame_id for entry in journal.open()[:25]])
    journal.close()
    for file in line.work.glob("ledger.db*"):
        file.rename(file.with_name(f"damaged-{file.name}"))
    line.start()
    line.verdict_of(line.capture(GOOD))
    line.stop()
    assert [str(verdict.outcome) for verdict in line.verdicts()] == ["pass"] * 31
    (gap,) = line.ledger.gaps(10)
    assert "an earlier ledger" in gap.reason


def test_frames_from_before_the_first_start_are_missed_with_a_new_ledger(make_line: Callable[..., Line]) -> None:
    line = make_line(slots=8)
    for _ in range(20):
        line.write(GOOD, age_ms=60_000)
    line.start()
    assert {str(verdict.outcome) for verdict in line.wait_for_verdicts(20)} == {"missed"}
    line.stop()
    assert line.ledger.gaps(10) == []


def set_state(line: Line, **values: str) -> None:
    connection = sqlite3.connect(line.work / "ledger.db")
    with connection:
        for key, value in values.items():
            connection.execute("UPDATE state SET value = ? WHERE key = ?", (value, key))
    connection.close()


def test_a_power_cut_writes_one_gap_row(line: Line) -> None:
    line.start()
    name = line.capture(GOOD)
    line.wait_for_rows(1)
    line.stop()
    set_state(line, boot="another-boot", clean="0")
    for _ in range(2):
        line.start()
        line.stop()
    gaps = line.ledger.gaps(10)
    assert [(gap.after_frame_id, "power cut" in gap.reason) for gap in gaps] == [(name, True)]


def test_a_reboot_after_a_clean_stop_leaves_no_gap(line: Line) -> None:
    line.start()
    line.stop()
    set_state(line, boot="another-boot")
    line.start()
    line.stop()
    assert line.ledger.gaps(10) == []


def test_a_new_ring_after_a_kill_writes_one_gap_row(line: Line) -> None:
    line.start()
    name = line.capture(GOOD)
    line.wait_for_rows(1)
    wait_until(lambda: _state(line, "epoch") == str(line.ring.epoch), "the epoch in the ledger")
    line.stop()
    set_state(line, epoch="1", clean="0")
    line.start()
    wait_until(lambda: len(line.ledger.gaps(10)) == 1, "the gap")
    line.stop()
    assert [(gap.after_frame_id, "ring" in gap.reason) for gap in line.ledger.gaps(10)] == [(name, True)]


def _state(line: Line, key: str) -> str | None:
    connection = sqlite3.connect(line.work / "ledger.db")
    row = connection.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
    connection.close()
    return None if row is None else str(row[0])


def test_while_the_bus_is_away_verdicts_wait_and_none_is_lost(make_line: Callable[..., Line]) -> None:
    line = make_line(DeadlineMs=1000)
    inspector = line.start()
    line.predictor.hold()
    names = [line.capture(level) for level in (GOOD, BAD)]
    wait_until(lambda: len(line.predictor.asked) == 1, "the first frame to be in hand")
    line.core.away = True
    line.predictor.release()
    wait_until(lambda: inspector.status().counters["verdicts_waiting"] == 2, "two verdicts to wait")
    wait_until(lambda: _older_than(line, 1010), "the deadline to pass")
    line.core.away = False
    verdicts = line.wait_for_verdicts(2)
    assert [(verdict.outcome, verdict.judged) for verdict in verdicts] == [
        (Outcome.LATE, Outcome.PASS),
        (Outcome.LATE, Outcome.FAIL),
    ]
    assert [verdict.frame_id for verdict in verdicts] == names
    line.wait_for_rows(2)
    assert line.ledger.outcomes() == {"late": 2}


def _older_than(line: Line, milliseconds: float) -> bool:
    reader = RingReader(line.ring.path)
    stamp = reader.read(line.ring.sequence).monotonic_ns
    reader.close()
    return time.monotonic_ns() - stamp > milliseconds * 1e6


def test_killed_while_the_bus_was_away_they_go_out_at_the_next_start(line: Line) -> None:
    inspector = line.start()
    line.core.away = True
    line.write(BAD)
    wait_until(lambda: inspector.status().counters["verdicts_waiting"] == 1, "a verdict to wait")
    inspector.stop()
    line.core.away = False
    line.stop()
    line.start()
    verdict = line.wait_for_verdicts(1)[0]
    assert verdict.replayed
    assert Outcome.FAIL in (verdict.outcome, verdict.judged)


def fill_ledger(line: Line) -> int:
    """Start, and go on until the ledger's log is the largest file; how many parts that took."""
    line.start()
    parts = 0
    while (line.work / "ledger.db-wal").stat().st_size < 2 * line.ring.path.stat().st_size:
        line.capture(GOOD)
        parts += 1
        line.wait_for_rows(parts)
    wait_until(lambda: len(line.stored()) == parts, "the pictures")
    return parts


def test_a_full_disk_under_the_ledger_delays_rows_and_loses_none(make_line: Callable[..., Line]) -> None:
    line = make_line(slots=8)
    parts = fill_ledger(line)
    with file_size_limit((line.work / "ledger.db-wal").stat().st_size + 4096):
        for _ in range(6):
            line.capture(GOOD)
        assert {verdict.outcome for verdict in line.wait_for_verdicts(parts + 6)} == {Outcome.PASS}
        wait_until(lambda: ("ledger_failing", "raised") in line.alert_states(), "the alert")
        alert = next(alert for alert in line.alerts() if alert.kind == "ledger_failing")
        assert "ledger.db" in alert.detail
    wait_until(lambda: ("ledger_failing", "cleared") in line.alert_states(), "its end")
    line.wait_for_rows(parts + 6)
    assert line.ledger.outcomes() == {"pass": parts + 6}


def test_rows_that_the_disk_refused_survive_a_restart_in_the_journal(make_line: Callable[..., Line]) -> None:
    line = make_line(slots=8)
    parts = fill_ledger(line)
    with file_size_limit((line.work / "ledger.db-wal").stat().st_size + 4096):
        line.capture(BAD)
        line.wait_for_verdicts(parts + 1)
        wait_until(lambda: ("ledger_failing", "raised") in line.alert_states(), "the alert")
        line.stop()
    line.start()
    line.wait_for_rows(parts + 1)
    assert line.ledger.outcomes() == {"pass": parts, "fail": 1}
    assert len(line.verdicts()) == parts + 1


def test_started_before_its_disk_is_there_the_line_judges_and_the_rows_follow(make_line: Callable[..., Line]) -> None:
    line = make_line()
    disk = line.folder / "disk"
    disk.write_bytes(b"")  # not a folder yet
    line.configuration["LedgerFolder"] = str(disk / "linewatch")
    inspector = line.start(models=False)
    line.serve(serving(*line.packages))
    assert line.verdict_of(line.capture(GOOD)).outcome is Outcome.PASS
    assert not line.ready()
    assert str(disk) in inspector.status().reason
    wait_until(lambda: ("ledger_failing", "raised") in line.alert_states(), "the alert")
    disk.unlink()
    wait_until(line.ready, "the ledger")
    wait_until(lambda: LedgerReader(disk / "linewatch" / "ledger.db").outcomes() == {"pass": 1}, "the row")
    wait_until(lambda: ("ledger_failing", "cleared") in line.alert_states(), "its end")


def lengthen_journal(line: Line, size: int) -> None:
    """By records that say that frames are out which it does not know."""
    journal = Journal(line.journal)
    journal.open()
    journal.close()
    body = b"P" + b"x" * 999
    record = struct.pack("<II", len(body), zlib.crc32(body)) + body
    with line.journal.open("ab") as file:
        file.write(record * (size // len(record)))


def test_a_full_shared_memory_under_the_journal_is_one_alert_and_the_line_goes_on(
    line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    lengthen_journal(line, 500_000)  # so that a limit for it is none for the ledger
    line.start()
    with file_size_limit(line.journal.stat().st_size + 100):
        for _ in range(3):
            assert line.verdict_of(line.capture(GOOD)).outcome is Outcome.PASS
        wait_until(lambda: ("disk_low", "raised") in line.alert_states(), "the alert")
        lines = [entry.message for entry in caplog.records if "journal" in entry.message and "crash" in entry.message]
        assert len(lines) == 1
        line.wait_for_rows(3)
    assert line.verdict_of(line.capture(GOOD)).outcome is Outcome.PASS
    wait_until(lambda: ("disk_low", "cleared") in line.alert_states(), "its end")


def test_a_damaged_ledger_is_named_and_left_alone(line: Line) -> None:
    (line.work / "ledger.db").write_bytes(b"this is not a database, but it is long enough to look like one" * 40)
    with pytest.raises(CorruptStateError, match=r"ledger\.db: the ledger is damaged"):
        line.build().start()


def break_ledger(line: Line) -> None:
    """Under an Inspector that has it open."""
    connection = sqlite3.connect(line.work / "ledger.db")
    connection.execute("INSERT INTO gaps (to_at, reason) VALUES ('', 'so that Inspector reads the file again')")
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with (line.work / "ledger.db").open("r+b") as file:
        file.truncate(4096)
    connection.close()


def test_a_label_is_answered_also_when_the_ledger_breaks_under_it(line: Line) -> None:
    line.start()
    name = line.capture(GOOD)
    wait_until(lambda: bool(line.stored()), "the picture")
    wait_until(lambda: line.ledger.latest(1)[0].stored_path is not None, "the last write")
    break_ledger(line)
    line.say(line.topics.commands, LabelVerdict(command_id="c1", frame_id=name, label="fail", operator="x"))
    wait_until(lambda: bool(line.core.on_topic(line.topics.command_results)), "the answer")
    answer = decode(line.core.on_topic(line.topics.command_results)[0], CommandResult)
    assert (answer.accepted, "the ledger is damaged" in answer.reason) == (False, True)


def test_a_ledger_that_broke_and_was_moved_away_is_begun_anew_by_the_running_process(line: Line) -> None:
    line.start()
    line.capture(GOOD)
    wait_until(lambda: bool(line.stored()), "the picture")
    wait_until(lambda: line.ledger.latest(1)[0].stored_path is not None, "the last write")
    break_ledger(line)
    name = line.capture(BAD)
    wait_until(lambda: ("ledger_failing", "raised") in line.alert_states(), "the alert")
    for file in line.work.glob("ledger.db*"):
        file.rename(file.with_name(f"damaged-{file.name}"))
    wait_until(lambda: ("ledger_failing", "cleared") in line.alert_states(), "its end")
    assert line.ledger.find(name) is not None
    line.stop()
    set_state(line, clean="0")  # as a kill leaves it
    line.start()
    line.verdict_of(line.capture(GOOD))
    line.stop()
    assert len(line.verdicts()) == 3
    assert line.ledger.gaps(10) == []


def test_a_ledger_of_a_later_version_is_refused(line: Line) -> None:
    line.start()
    line.stop()
    connection = sqlite3.connect(line.work / "ledger.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(CorruptStateError, match="version 99"):
        line.build().start()


def test_an_alert_that_stays_on_over_a_restart_is_raised_once(make_line: Callable[..., Line]) -> None:
    line = make_line(DefectsInARow=1)
    line.start()
    line.verdict_of(line.capture(BAD))
    wait_until(lambda: line.alert_states() == [("defects_in_a_row", "raised")], "the alert")
    line.stop()
    raised = msgspec.json.decode((line.work / "alerts.json").read_bytes())
    assert list(raised) == ["defects_in_a_row"]
    line.start()
    line.verdict_of(line.capture(BAD))
    line.wait_for_rows(2)
    line.stop()
    assert line.alert_states() == [("defects_in_a_row", "raised")]
