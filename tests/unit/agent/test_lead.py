"""Who waits for the next event, and what becomes of a call that is answered in the lead."""

import threading
import time
from collections.abc import Iterator

import pytest
from linewatch_agent.lead import MANY, Lead

from tests.unit.agent.support import wait_until


@pytest.fixture
def lead() -> Iterator[Lead]:
    lead = Lead(slow_seconds=60.0)
    lead.start()
    yield lead
    lead.stop()


def next_of(lead: Lead) -> threading.Thread:
    """A thread that waits for the lead and keeps it."""
    thread = threading.Thread(target=lead.take, daemon=True)
    thread.start()
    return thread


def test_the_lead_is_had_by_one_and_passed_on_once(lead: Lead) -> None:
    first = lead.take()
    waiting = next_of(lead)
    assert lead.held_by(first)
    lead.pass_on(first)
    waiting.join(10)
    assert not waiting.is_alive()
    assert not lead.held_by(first)
    third = next_of(lead)
    lead.pass_on(first)  # no longer its own to pass on
    time.sleep(0.05)
    assert third.is_alive()


def test_short_work_in_the_lead_keeps_it(lead: Lead) -> None:
    number = lead.take()
    for _ in range(3):
        assert lead.begin()
        assert lead.end(number)
    assert lead.held_by(number)


def test_work_that_takes_too_long_loses_the_lead_and_is_not_begun_again_soon(lead: Lead) -> None:
    number = lead.take()
    waiting = next_of(lead)
    assert lead.begin()
    waiting.join(10)
    assert not waiting.is_alive()
    assert not lead.end(number)
    assert not lead.held_by(number)
    assert not lead.begin()


def test_the_patrol_rests_when_nothing_is_done_and_comes_back(lead: Lead) -> None:
    number = lead.take()
    assert lead.begin()
    assert lead.end(number)
    wait_until(lambda: not lead.patrolling)
    waiting = next_of(lead)
    assert lead.begin()
    waiting.join(10)
    assert not waiting.is_alive()


def test_side_by_side_nobody_works_in_the_lead(lead: Lead) -> None:
    number = lead.take()
    lead.share()
    assert not lead.begin()
    assert lead.held_by(number)
    wait_until(lead.begin)
    assert lead.end(number)


def test_calls_side_by_side_do_not_shorten_the_time_after_a_slow_one(lead: Lead) -> None:
    number = lead.take()
    assert lead.begin()
    wait_until(lambda: not lead.held_by(number))
    lead.take()
    lead.share(0.0)
    assert not lead.begin()


def test_the_more_calls_are_slow_the_longer_none_is_answered_in_the_lead() -> None:
    lead = Lead(slow_seconds=0.01)
    lead.start()

    def pause_after_a_slow_one() -> float:
        number = lead.take()
        wait_until(lead.begin)
        wait_until(lambda: not lead.held_by(number))
        return lead.pause

    first = [pause_after_a_slow_one() for _ in range(3)]
    assert first == [0.02, 0.04, 0.08]
    number = lead.take()
    for _ in range(MANY):
        wait_until(lead.begin)
        assert lead.end(number)
    lead.pass_on(number)
    assert pause_after_a_slow_one() == 0.02
    lead.stop()
