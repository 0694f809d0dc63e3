"""Which frame is next: announced ones, those found in the ring, and those that are lost.

Used by the inspection thread alone. Every frame comes out of `take` or `take_lost` once and never again.
"""

import heapq
import logging
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from linewatch_common.logs import Complaints

from linewatch_inspector.book import Book
from linewatch_inspector.frames import Frame

log = logging.getLogger(__name__)

# After a long absence more than this are not listed one by one: one gap row tells of the older ones.
MAX_FOUND = 10_000
# Rings that were replaced lately; a message of an older one is too late for anything but `missed`.
MAX_BOOKS = 4
# Frames announced with a number that the ring has not reached cannot be real beyond this.
MAX_AHEAD = 100_000


@dataclass(frozen=True, slots=True)
class RingState:
    """What the ring says of itself: the newest frame, and the oldest that can still be read."""

    epoch: int
    written: int
    oldest: int


EndedFrames = Callable[[int, int], Iterable[int]]
"""The frames of an epoch, from a sequence on, that have an outcome from before this process."""


class Intake:
    """Bounded by `queue_length`: when it is full the oldest frame becomes lost at once."""

    def __init__(self, station: str, queue_length: int, ended: EndedFrames, *, max_found: int = MAX_FOUND) -> None:
        self._station = station
        self._ended = ended
        self._queue_length = queue_length
        self._max_found = max_found
        self._books: dict[int, Book] = {}
        self._current: int | None = None
        self._seen: RingState | None = None
        self._queue: list[tuple[int, int, Frame]] = []
        self._lost: deque[Frame] = deque()
        self._untrue = Complaints(log, "frames ignored")
        self.duplicates = 0
        self.found = 0
        self.overflowed = 0
        self.given_up: list[tuple[int, int, int]] = []
        """Stretches too long to list: epoch, frames, and the first sequence after them; the caller empties it."""

    @property
    def waiting(self) -> int:
        """Frames that wait to be judged or to be declared missed."""
        return len(self._queue) + len(self._lost)

    @property
    def epoch(self) -> int | None:
        """The ring that is followed, None before the first was seen."""
        return self._current

    def _begin(self, ring: RingState) -> None:
        """Follow a ring. Its frames that have ended before are known; all others that it holds are due at once."""
        self._leave_current()
        first = max(1, ring.written - self._max_found + 1)
        ended = set(self._ended(ring.epoch, max(1, first - 1)))
        if first > 1 and first - 1 not in ended:
            self.given_up.append((ring.epoch, first - 1, first))
        announced = self._books.get(ring.epoch)
        book = self._books[ring.epoch] = Book(first, ended)
        for sequence in announced.known() if announced else ():
            book.add(sequence)
        self._current = ring.epoch
        self._seen = ring
        self._forget_old_books()

    @property
    def untrue(self) -> int:
        """Announcements of frames that were not there."""
        return self._untrue.count

    def announce(self, frame: Frame, ring: RingState | None = None) -> None:
        """A message came. `ring` is the ring's state after it, None while it cannot be read."""
        if ring is not None and (frame.epoch, frame.sequence) > (ring.epoch, ring.written):
            self._untrue.note(f"{frame.frame_id} is announced, the ring is at frame {ring.written} of {ring.epoch}")
            return
        book = self._books.get(frame.epoch)
        if book is None:
            book = self._books[frame.epoch] = Book(1)
            self._forget_old_books()
        if frame.sequence < 1 or frame.sequence > book.highest + MAX_AHEAD:
            self._untrue.note(f"{frame.frame_id} is announced far ahead of the last one")
            return
        if not book.add(frame.sequence):
            self.duplicates += 1
            return
        self._push(frame)

    def has_gap(self) -> bool:
        """Whether a frame was announced after one that was not."""
        if self._current is None:
            return False
        book = self._books[self._current]
        return next(iter(book.unknown(book.highest)), None) is not None

    def reconcile(self, ring: RingState) -> None:
        """Take up what lies in the ring and was not announced.

        Due at once: a frame older than an announced one; a frame that lay there at the last call already, which the caller makes some
        hundred milliseconds apart.
        """
        if ring.epoch != self._current or self._seen is None:
            self._begin(ring)
        seen = self._seen or ring
        self._take_up(ring, min(ring.written, max(seen.written, self._books[ring.epoch].highest)))
        self._seen = ring

    def close_gap(self, ring: RingState) -> None:
        """Take up at once what was passed over by an announcement; may be called at any time."""
        if ring.epoch == self._current:
            self._take_up(ring, min(ring.written, self._books[ring.epoch].highest))

    def _take_up(self, ring: RingState, newest_due: int) -> None:
        book = self._books[ring.epoch]
        self._bound(book, ring.epoch, newest_due)
        for sequence in list(book.unknown(newest_due)):
            book.add(sequence)
            self.found += 1
            found = Frame(station=self._station, epoch=ring.epoch, sequence=sequence)
            if sequence < ring.oldest:
                self._lost.append(replace(found, lost="overwritten in the ring before Inspector saw it"))
            else:
                self._push(found)

    def take(self) -> Frame | None:
        """The oldest frame that waits to be judged."""
        return heapq.heappop(self._queue)[2] if self._queue else None

    def take_lost(self) -> Frame | None:
        """A frame that nobody can judge any more; `lost` says why."""
        return self._lost.popleft() if self._lost else None

    def _push(self, frame: Frame) -> None:
        heapq.heappush(self._queue, (frame.epoch, frame.sequence, frame))
        if len(self._queue) > self._queue_length:
            oldest = heapq.heappop(self._queue)[2]
            self.overflowed += 1
            self._lost.append(replace(oldest, lost=f"{self._queue_length} younger frames were waiting already"))

    def _leave_current(self) -> None:
        """What the replaced ring held and nobody announced is gone with it."""
        if self._current is None or self._seen is None:
            return
        book = self._books[self._current]
        through = max(self._seen.written, book.highest)
        self._bound(book, self._current, through)
        for sequence in list(book.unknown(through)):
            book.add(sequence)
            gone = Frame(station=self._station, epoch=self._current, sequence=sequence)
            self._lost.append(replace(gone, lost="the ring was made anew before Inspector saw it"))

    def _bound(self, book: Book, epoch: int, through: int) -> None:
        first = through - self._max_found + 1
        frames = book.skip_to(first)
        if frames:
            self.given_up.append((epoch, frames, first))

    def _forget_old_books(self) -> None:
        for epoch in sorted(self._books)[:-MAX_BOOKS]:
            if epoch != self._current:
                del self._books[epoch]
