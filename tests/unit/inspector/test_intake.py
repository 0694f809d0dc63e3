"""Which frame comes next, and that each comes exactly once."""

import random

import pytest
from linewatch_inspector.book import Book
from linewatch_inspector.frames import Frame
from linewatch_inspector.intake import Intake, RingState

EPOCH = 1763800000


def frame(sequence: int, epoch: int = EPOCH) -> Frame:
    return Frame(station="line1", epoch=epoch, sequence=sequence)


def ring(written: int, *, epoch: int = EPOCH, slots: int = 32) -> RingState:
    return RingState(epoch=epoch, written=written, oldest=max(1, written - slots + 3))


def nobody(_epoch: int, _since: int) -> list[int]:
    return []


def drain(intake: Intake) -> tuple[list[int], list[int]]:
    taken, lost = [], []
    while (item := intake.take()) is not None:
        taken.append(item.sequence)
    while (item := intake.take_lost()) is not None:
        assert item.lost
        lost.append(item.sequence)
    return taken, lost


def test_announced_frames_come_in_order_and_once() -> None:
    intake = Intake("line1", 8, nobody)
    intake.reconcile(ring(0))
    for sequence in (1, 3, 2, 2, 1):
        intake.announce(frame(sequence))
    assert drain(intake) == ([1, 2, 3], [])
    assert intake.duplicates == 2
    intake.announce(frame(2))
    assert drain(intake) == ([], [])


def test_a_frame_without_a_message_is_found_one_call_later() -> None:
    intake = Intake("line1", 8, nobody)
    intake.reconcile(ring(0))
    intake.reconcile(ring(2))
    assert drain(intake) == ([], [])
    intake.reconcile(ring(2))
    assert drain(intake) == ([1, 2], [])


def test_a_frame_that_was_passed_over_is_found_at_once() -> None:
    intake = Intake("line1", 8, nobody)
    intake.reconcile(ring(0))
    intake.announce(frame(1))
    assert not intake.has_gap()
    intake.announce(frame(4))
    assert intake.has_gap()
    intake.close_gap(ring(5))
    assert drain(intake) == ([1, 2, 3, 4], [])
    assert not intake.has_gap()


def test_what_was_overwritten_before_it_was_seen_is_lost() -> None:
    intake = Intake("line1", 64, nobody)
    intake.reconcile(ring(0))
    intake.reconcile(ring(100))
    intake.reconcile(ring(100))
    taken, lost = drain(intake)
    assert lost == list(range(1, 71))
    assert taken == list(range(71, 101))


def test_after_a_restart_only_what_has_no_outcome_is_taken_up() -> None:
    intake = Intake("line1", 64, lambda epoch, since: [n for n in range(since, 41) if n != 7] if epoch == EPOCH else [])
    intake.reconcile(ring(45))
    taken, lost = drain(intake)
    assert (taken, lost) == ([41, 42, 43, 44, 45], [7])


def test_a_new_ring_begins_at_one_and_what_the_old_one_held_is_lost() -> None:
    intake = Intake("line1", 8, nobody)
    intake.reconcile(ring(0))
    intake.announce(frame(1))
    intake.reconcile(ring(3))
    intake.reconcile(ring(1, epoch=EPOCH + 9))
    taken, lost = drain(intake)
    assert taken == [1, 1]
    assert lost == [2, 3]
    intake.announce(frame(2))  # a late message of the old ring
    intake.announce(frame(1, EPOCH + 9))
    assert drain(intake) == ([], [])


def test_a_message_of_a_new_ring_may_come_before_the_ring_is_looked_at() -> None:
    intake = Intake("line1", 8, nobody)
    intake.announce(frame(1))
    intake.announce(frame(2))
    intake.reconcile(ring(3))
    assert drain(intake) == ([1, 2, 3], [])
    intake.reconcile(ring(3))
    assert drain(intake) == ([], [])


def test_when_it_is_full_the_oldest_is_lost_at_once() -> None:
    intake = Intake("line1", 4, nobody)
    intake.reconcile(ring(0))
    for sequence in range(1, 8):
        intake.announce(frame(sequence))
    assert drain(intake) == ([4, 5, 6, 7], [1, 2, 3])
    assert intake.overflowed == 3


def test_a_very_long_absence_becomes_a_gap_instead_of_a_list() -> None:
    intake = Intake("line1", 64, nobody, max_found=50)
    intake.reconcile(ring(1000))
    taken, lost = drain(intake)
    assert lost + taken == list(range(951, 1001))
    assert intake.given_up == [(EPOCH, 950, 951)]


def test_a_ring_that_ran_far_ahead_while_it_was_followed_becomes_a_gap_as_well() -> None:
    intake = Intake("line1", 64, nobody, max_found=50)
    intake.reconcile(ring(0))
    intake.reconcile(ring(1000))
    intake.reconcile(ring(1000))
    taken, lost = drain(intake)
    assert lost + taken == list(range(951, 1001))
    assert intake.given_up == [(EPOCH, 950, 951)]


def test_a_ledger_that_knows_the_older_frames_needs_no_gap() -> None:
    intake = Intake("line1", 64, lambda _epoch, since: range(since, 999), max_found=50)
    intake.reconcile(ring(1000))
    assert drain(intake) == ([999, 1000], [])
    assert intake.given_up == []


@pytest.mark.parametrize("sequence", [0, 10**18])
def test_an_impossible_number_is_ignored(sequence: int) -> None:
    intake = Intake("line1", 8, nobody)
    intake.reconcile(ring(0))
    intake.announce(frame(sequence))
    assert drain(intake) == ([], [])


class Chaos:
    """A camera, a bus that loses, doubles and disorders, and an Inspector that is killed now and then."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.written = 0
        self.pending: list[Frame] = []
        self.ended: list[int] = []
        self.intake = self.start()

    def start(self) -> Intake:
        self.pending = []
        length = self.chance.choice([4, 16])
        intake = Intake("line1", length, lambda _epoch, since: [s for s in self.ended if s >= since])
        intake.reconcile(self.ring())
        return intake

    def ring(self) -> RingState:
        return ring(self.written, slots=16)

    def capture(self) -> None:
        self.written += 1
        if self.chance.random() < 0.8:
            self.pending.append(frame(self.written))

    def deliver(self) -> None:
        if self.pending:
            message = self.pending.pop(self.chance.randrange(len(self.pending)))
            for _ in range(self.chance.choice([1, 1, 1, 2])):
                self.intake.announce(message)

    def look(self) -> None:
        self.chance.choice([self.intake.reconcile, self.intake.close_gap])(self.ring())

    def judge(self) -> None:
        self.ended += [item.sequence for item in (self.intake.take(), self.intake.take_lost()) if item is not None]

    def kill(self) -> None:
        if self.chance.random() < 0.1:
            self.intake = self.start()

    def finish(self) -> None:
        for _ in range(2):
            self.intake.reconcile(self.ring())
        while (item := self.intake.take() or self.intake.take_lost()) is not None:
            self.ended.append(item.sequence)


@pytest.mark.parametrize("seed", range(40))
def test_every_frame_ends_exactly_once_whatever_happens(seed: int) -> None:
    chaos = Chaos(seed)
    steps = [chaos.capture, chaos.deliver, chaos.look, chaos.judge, chaos.kill]
    for _ in range(800):
        chaos.chance.choices(steps, weights=[4, 4, 2, 3, 1])[0]()
    chaos.finish()
    assert sorted(chaos.ended) == list(range(1, chaos.written + 1))


def test_the_book_counts_what_it_gives_up() -> None:
    book = Book(1, [2, 5])
    assert list(book.unknown(6)) == [1, 3, 4, 6]
    assert book.skip_to(5) == 3
    assert list(book.unknown(6)) == [6]
    assert book.skip_to(3) == 0
    assert not book.add(4)
    assert book.add(6)
