"""How sure a gate may be. Plain arithmetic: it must fit into a small function without a numerics library."""

from collections.abc import Sequence
from math import sqrt
from statistics import NormalDist

Interval = tuple[float, float]


def detectable_rate(devices: int, confidence: float = 0.95) -> float:
    """The share of failing devices from which on `devices` devices show at least one failure with that confidence.

    36 devices: 0.08. Solves 1 - (1 - rate)^devices = confidence; 1.0 of no device.
    """
    return 1.0 if devices <= 0 else 1.0 - (1.0 - confidence) ** (1.0 / devices)


def wilson(found: int, total: int, confidence: float) -> Interval:
    """Two-sided score interval of a share: E. B. Wilson, J. Am. Stat. Assoc. 22 (1927). (0, 1) of nothing."""
    if total == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1.0 + confidence) / 2.0)
    share = found / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    return max(0.0, middle - half), min(1.0, middle + half)


def difference(new: tuple[int, int], old: tuple[int, int], confidence: float) -> Interval:
    """Interval of the difference new - old of two shares (found, total), each from its own parts.

    R. G. Newcombe's hybrid score interval (Statistics in Medicine 17, 1998, method 10): right near 0 and 1, too.
    """
    (share_new, low_new, high_new), (share_old, low_old, high_old) = (
        (found / total if total else 0.5, *wilson(found, total, confidence)) for found, total in (new, old)
    )
    gap = share_new - share_old
    down = sqrt((share_new - low_new) ** 2 + (high_old - share_old) ** 2)
    up = sqrt((high_new - share_new) ** 2 + (share_old - low_old) ** 2)
    return max(-1.0, gap - down), min(1.0, gap + up)


def parts_needed(share: float, margin: float, confidence: float) -> int:
    """Parts on each side, before and after, until an unchanged share is told from one that moved by `margin`: an estimate."""
    z = NormalDist().inv_cdf((1.0 + confidence) / 2.0)
    return 0 if margin <= 0 else int(2 * share * (1 - share) * (z / margin) ** 2) + 1


def slower_than(histogram: Sequence[int], bounds: Sequence[int], limit: int) -> int:
    """Parts above `limit`, one of `bounds`, of a histogram with one more bin than bounds."""
    return sum(histogram[bounds.index(limit) + 1 :])
