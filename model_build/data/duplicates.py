"""Pictures that show the same thing: byte-identical once decoded, or so alike that a hash of the look agrees."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from model_build.data.pixels import NEAR_BITS
from model_build.data.prepared import Entry

_CHUNK = 256  # rows compared at once: 256 x 10 000 x 32 bytes is 80 MB


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

    A picture without any structure (a black frame) has a hash of no meaning; only its pixels are compared.
    """
    if not entries:
        return []
    looks = np.stack([np.frombuffer(bytes.fromhex(entry.look), np.uint8) for entry in entries])
    plain = np.bitwise_count(looks).sum(axis=1) == 0
    exact: dict[str, str] = {}
    pairs = [
        (exact[entry.pixels], entry.id) for entry in entries if exact.setdefault(entry.pixels, entry.id) != entry.id
    ]
    for start in range(0, len(entries), _CHUNK):
        rows = looks[start : start + _CHUNK]
        apart = np.bitwise_count(rows[:, None, :] ^ looks[None]).sum(axis=2, dtype=np.uint16)
        near = (apart <= near_bits) & ~plain[None] & ~plain[start : start + _CHUNK, None]
        for row, column in np.argwhere(near):
            if start + row < column:
                pairs.append((entries[start + row].id, entries[column].id))
    return sorted(set(pairs))


def whole_groups(entries: Sequence[Entry], near_bits: int = NEAR_BITS) -> list[tuple[str, ...]]:
    """Every picture in exactly one group: same part, or duplicates, or linked by both. A group is never split."""
    groups = Groups(entry.id for entry in entries)
    first_of_part: dict[str, str] = {}
    for entry in entries:
        groups.join(first_of_part.setdefault(entry.part, entry.id), entry.id)
    for one, other in near_pairs(entries, near_bits):
        groups.join(one, other)
    return groups.members()
