"""Which pictures make an epoch: as many defective as good ones, seeded, each as often as the others."""

from collections.abc import Iterator, Sequence

import numpy as np


def epoch_batches(
    good: Sequence[str], defective: Sequence[str], *, steps: int, batch: int, seed: int, epoch: int
) -> Iterator[list[str]]:
    """`steps` batches of ids, half of each kind defective. The same seed and epoch give the same, whatever was before.

    Each kind is dealt from a shuffled pile that is shuffled anew when it is used up; piles go on from epoch to epoch. Without defective
    pictures (or without good ones) the batches hold the other kind alone.
    """
    half = batch // 2 if good and defective else 0
    counts = (batch - half, half) if good else (0, batch)
    piles = [
        _dealt(pile, count * steps * epoch, count * steps, seed + kind)
        for kind, (pile, count) in enumerate(zip((good, defective), counts, strict=True))
    ]
    order = np.random.default_rng((seed, epoch, 2))
    for _ in range(steps):
        chosen = [next(pile) for pile, count in zip(piles, counts, strict=True) for _ in range(count)]
        yield [chosen[place] for place in order.permutation(len(chosen))]


def _dealt(pile: Sequence[str], skip: int, count: int, seed: int) -> Iterator[str]:
    """Cards `skip` to `skip + count` of piles shuffled one after the other."""
    for card in range(skip, skip + count):
        round_, place = divmod(card, len(pile))
        if card == skip or place == 0:
            order = np.random.default_rng((seed, round_)).permutation(len(pile))
        yield pile[int(order[place])]
