"""Pictures that show the same thing: byte-identical once decoded, or so alike that a hash of the look agrees."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from model_build.data.pixels import NEAR_BITS
from model_build.data.prepared import Entry

_CHUNK = 128  # rows compared at once: 128 x 20 000 x 32 bytes is 80 MB
# Pictures of one pose under one light lie within NEAR_BITS of each other whatever they show. So a duplicate must also be this much nearer
# than a picture's neighbours are, of which the tenth part, and at least so many, are taken for no duplicates. Re-saved pictures stay
# within 14 bits; where less than _LEAST_BITS would be left, chance alone makes pairs.
_NEARER, _NEIGHBOURS, _NEIGHBOUR_SHARE = 0.3, 8, 0.1
_LEAST_BITS = 4
_NEVER = -1


class Groups:
    """Union of things that belong together."""

    def __init__(self, things: Iterable[str]) -> None:
        self._parent = {thing: thing for thing in things}

    def root(self, thing: str) -> str:
        """The name of its group."""
        while self._parent[thing] != thing:
            self._parent[thing] = self._parent[self._parent[thing]]
            thing = self._parent[thing]
        return thing

    def join(self, one: str, other: str) -> None:
        """Put both into one group, named after the first of its members."""
        first, second = sorted((self.root(one), self.root(other)))
        self._parent[second] = first

    def members(self) -> list[tuple[str, ...]]:
        """All groups, members and groups in the order of names."""
        found: dict[str, list[str]] = defaultdict(list)
        for thing in sorted(self._parent):
            found[self.root(thing)].append(thing)
        return [tuple(group) for group in found.values()]


def clusters(entries: Sequence[Entry], near_bits: int = NEAR_BITS) -> list[tuple[str, ...]]:
    """Groups of two and more pictures that are duplicates of each other, exact or near."""
    groups = Groups(entry.id for entry in entries)
    for one, other in near_pairs(entries, near_bits):
        groups.join(one, other)
    return [group for group in groups.members() if len(group) > 1]


def near_pairs(entries: Sequence[Entry], near_bits: int = NEAR_BITS) -> list[tuple[str, str]]:
    """Pairs with the same pixels, or with at most `near_bits` different bits of their looks.

    A picture without any structure (a black frame) has a hash of no meaning, and so have pictures that all look alike: of those only the
    pixels are compared, see `indistinct`.
    """
    exact: dict[str, str] = {}
    pairs = [
        (exact[entry.pixels], entry.id) for entry in entries if exact.setdefault(entry.pixels, entry.id) != entry.id
    ]
    limits = _limits(entries, near_bits)
    for start, apart in _apart(entries):
        near = apart <= np.minimum(limits[start : start + len(apart), None], limits[None])
        pairs += [
            (entries[start + row].id, entries[column].id)
            for row, column in np.argwhere(near).tolist()
            if start + row < column
        ]
    return sorted(set(pairs))


def indistinct(entries: Sequence[Entry], near_bits: int = NEAR_BITS) -> int:
    """How many pictures look so much like many others that only the same pixels tell a duplicate."""
    return int((_limits(entries, near_bits) == _NEVER).sum())


def _limits(entries: Sequence[Entry], near_bits: int) -> NDArray[np.int16]:
    """(n,): how many bits a duplicate of each picture may be away; _NEVER where the look says nothing."""
    limits = np.full(len(entries), near_bits, np.int16)
    others = max(_NEIGHBOURS, round(_NEIGHBOUR_SHARE * len(entries)))
    for start, apart in _apart(entries):
        rows = slice(start, start + len(apart))
        if others < len(entries):
            # The picture itself comes first.
            typical = np.partition(apart, others, axis=1)[:, others]
            bits = (_NEARER * typical).astype(np.int16)
            limits[rows] = np.where(bits < _LEAST_BITS, _NEVER, np.minimum(bits, near_bits))
    limits[[not entry.look.strip("0") for entry in entries]] = _NEVER
    return limits


def _apart(entries: Sequence[Entry]) -> Iterator[tuple[int, NDArray[np.int16]]]:
    """The first row, and different bits (rows, n) of its looks and all looks; some rows at a time."""
    if not entries:
        return
    looks = np.stack([np.frombuffer(bytes.fromhex(entry.look), np.uint64) for entry in entries])
    words = np.ascontiguousarray(looks.T)  # 64 bits at once, word by word: numpy is quick along long axes alone
    for start in range(0, len(entries), _CHUNK):
        apart = np.zeros((len(looks[start : start + _CHUNK]), len(entries)), np.int16)
        for word in words:
            apart += np.bitwise_count(word[start : start + _CHUNK, None] ^ word[None])
        yield start, apart


def whole_groups(entries: Sequence[Entry], pairs: Iterable[tuple[str, str]]) -> list[tuple[str, ...]]:
    """Every picture in exactly one group: same part, or duplicates (`pairs`, also of other pictures), or linked by both.

    A group is never split.
    """
    groups = Groups(entry.id for entry in entries)
    first_of_part: dict[str, str] = {}
    for entry in entries:
        groups.join(first_of_part.setdefault(entry.part, entry.id), entry.id)
    among = {entry.id for entry in entries}
    for one, other in pairs:
        if one in among and other in among:
            groups.join(one, other)
    return groups.members()
