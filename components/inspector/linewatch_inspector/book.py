"""Which frames of one ring are known: each is taken up once, and none is forgotten."""

from collections.abc import Iterable, Iterator


class Book:
    """Pure: sequences in, unknown ones out. All below `first` count as known."""

    def __init__(self, first: int, known: Iterable[int] = ()) -> None:
        self._first = first
        self._next = first
        self._ahead: set[int] = set()
        self.highest = first - 1
        for sequence in known:
            self.add(sequence)

    def add(self, sequence: int) -> bool:
        """Note a frame; False when it was known already."""
        if sequence < self._next or sequence in self._ahead:
            return False
        self._ahead.add(sequence)
        self.highest = max(self.highest, sequence)
        self._advance()
        return True

    def known(self) -> Iterator[int]:
        """The known frames from `first` on."""
        yield from range(self._first, self._next)
        yield from self._ahead

    def unknown(self, through: int) -> Iterator[int]:
        """The unknown frames up to and with `through`, in order. Add them only after the iteration."""
        return (sequence for sequence in range(self._next, through + 1) if sequence not in self._ahead)

    def skip_to(self, first: int) -> int:
        """Give up on what is unknown below `first`; returns how many frames that were."""
        if first <= self._next:
            return 0
        kept = {sequence for sequence in self._ahead if sequence >= first}
        given_up = first - self._next - (len(self._ahead) - len(kept))
        self._next, self._ahead = first, kept
        self._advance()
        self.highest = max(self.highest, first - 1)
        return given_up

    def _advance(self) -> None:
        while self._next in self._ahead:
            self._ahead.remove(self._next)
            self._next += 1
