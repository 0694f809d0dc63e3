from linewatch_common.messages import Outcome
from linewatch_dashboard.timeline import MAX_WAITING, NEVER_TAKEN, NOT_STORED, Timeline

from tests.unit.dashboard.messages import frame, verdict

GRACE = 1.0


def timeline() -> Timeline:
    return Timeline(grace=GRACE)


def test_nothing_is_shown_before_anything_came() -> None:
    line = timeline()
    line.expire(100.0)
    assert line.shown is None
    assert line.next_expiry() is None
    assert line.last_arrived is None


def test_a_verdict_waits_for_its_picture_and_both_appear_together() -> None:
    line = timeline()
    line.add_verdict(verdict(1), 10.0)
    line.expire(10.5)
    assert line.shown is None
    line.add_stored(frame(1), "/s/1.zip")
    shown = line.shown
    assert shown is not None
    assert (shown.verdict.frame_id, shown.path, shown.missing, shown.arrived) == (frame(1), "/s/1.zip", "", 10.0)
    assert line.next_expiry() is None


def test_a_verdict_whose_picture_does_not_come_is_shown_without_one() -> None:
    line = timeline()
    line.add_verdict(verdict(1), 10.0)
    assert line.next_expiry() == 11.0
    line.expire(11.0)
    shown = line.shown
    assert shown is not None
    assert (shown.path, shown.missing) == (None, NOT_STORED)


def test_a_picture_that_comes_late_is_added_to_its_own_verdict() -> None:
    line = timeline()
    line.add_verdict(verdict(1), 10.0)
    line.expire(12.0)
    before = line.shown
    line.add_stored(frame(1), "/s/1.zip")
    after = line.shown
    assert before is not None
    assert after is not None
    assert after.path == "/s/1.zip"
    assert after.sequence > before.sequence


def test_a_picture_that_comes_after_a_younger_inspection_is_not_shown() -> None:
    line = timeline()
    line.add_verdict(verdict(1), 10.0)
    line.add_verdict(verdict(2), 10.1)
    line.add_stored(frame(2), "/s/2.zip")
    line.add_stored(frame(1), "/s/1.zip")
    assert line.shown is not None
    assert line.shown.path == "/s/2.zip"


def test_at_a_high_rate_the_newest_stored_inspection_is_shown_although_younger_ones_wait() -> None:
    line = timeline()
    for number in range(5):
        line.add_verdict(verdict(number), 10.0 + number / 100)
    line.add_stored(frame(2), "/s/2.zip")
    assert line.shown is not None
    assert line.shown.verdict.frame_id == frame(2)
    line.add_stored(frame(4), "/s/4.zip")
    assert line.shown.verdict.frame_id == frame(4)


def test_the_next_of_an_outcome_that_is_not_stored_is_not_waited_for() -> None:
    line = timeline()
    line.add_verdict(verdict(1), 10.0)
    line.expire(11.0)
    line.add_verdict(verdict(2), 12.0)
    line.expire(12.0)
    assert line.shown is not None
    assert line.shown.verdict.frame_id == frame(2)
    # One that is stored again is waited for again.
    line.add_stored(frame(2), "/s/2.zip")
    line.add_verdict(verdict(3), 13.0)
    line.expire(13.1)
    assert line.shown.verdict.frame_id == frame(2)


def test_an_outcome_that_is_stored_is_waited_for_although_another_is_not() -> None:
    line = timeline()
    line.add_verdict(verdict(1, Outcome.PASS), 10.0)
    line.expire(11.0)
    line.add_verdict(verdict(2, Outcome.FAIL), 12.0)
    line.expire(12.1)
    assert line.shown is not None
    assert line.shown.verdict.frame_id == frame(1)
    assert line.next_expiry() == 13.0


def test_a_missed_part_is_shown_at_once() -> None:
    line = timeline()
    line.add_verdict(verdict(1, Outcome.MISSED), 10.0)
    assert line.shown is not None
    assert (line.shown.path, line.shown.missing) == (None, NEVER_TAKEN)


def test_a_repeated_verdict_of_an_older_part_does_not_displace_a_younger_one() -> None:
    line = timeline()
    line.add_verdict(verdict(5), 10.0)
    line.add_stored(frame(5), "/s/5.zip")
    line.add_verdict(verdict(4, replayed=True), 11.0)
    line.expire(20.0)
    assert line.shown is not None
    assert line.shown.verdict.frame_id == frame(5)
    assert line.last_arrived == 10.0


def test_a_repeated_verdict_does_not_displace_a_younger_one_that_the_clock_calls_older() -> None:
    line = timeline()
    line.add_verdict(verdict(5, Outcome.MISSED, captured_at="2026-11-22T10:15:30.000000Z"), 10.0)
    line.add_verdict(verdict(4, Outcome.MISSED, captured_at="2026-11-22T11:15:29.000000Z", replayed=True), 11.0)
    assert line.shown is not None
    assert line.shown.verdict.frame_id == frame(5)


def test_verdicts_that_wait_are_bounded() -> None:
    line = timeline()
    for number in range(MAX_WAITING + 10):
        line.add_verdict(verdict(number), 10.0)
    line.add_stored(frame(0), "/s/0.zip")
    assert line.shown is None  # the oldest was let go of
    line.add_stored(frame(MAX_WAITING), "/s/m.zip")
    assert line.shown is not None


def test_the_ledgers_latest_is_shown_only_when_nothing_came_since() -> None:
    line = timeline()
    line.add_past(verdict(1), "/s/1.zip", 3.0)
    assert line.shown is not None
    assert (line.shown.path, line.shown.arrived, line.last_arrived) == ("/s/1.zip", 3.0, 3.0)
    line.add_verdict(verdict(2, Outcome.MISSED), 10.0)
    line.add_past(verdict(1), "/s/1.zip", 3.0)
    assert line.shown.verdict.frame_id == frame(2)
    assert line.last_arrived == 10.0
