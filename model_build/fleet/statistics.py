"""How sure a gate may be. Plain arithmetic: it must fit into a small function without a numerics library.

A gate looks again and again, so what it concludes from parts since the deployment rests on intervals that hold at all looks together.
"""

from collections.abc import Sequence
from math import ceil, comb, inf, lgamma, log, log1p, sqrt
from statistics import NormalDist

Interval = tuple[float, float]

# How much the guess behind a sequence's mixture weighs, in parts. It decides where the sequence is narrowest (about ten times
# as many), not whether it holds.
GUESS_PARTS = 100.0


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


def sequence(found: int, total: int, guess: float, confidence: float) -> Interval:
    """An interval of a share that grows part by part: it holds at every look at once, however many there are and whenever they stop.

    The shares whose likelihood is not beaten by 1 / (1 - confidence) by a mixture around `guess`, which is settled before the first part:
    H. Robbins, Ann. Math. Stat. 41 (1970); S. R. Howard et al., Ann. Stat. 49 (2021). It costs parts: at 95 % it is about half as
    wide again as a single look's.
    """
    if total == 0:
        return 0.0, 1.0
    weight = min(max(guess, 0.005), 0.995) * GUESS_PARTS
    mixture = _log_beta(weight + found, GUESS_PARTS - weight + total - found) - _log_beta(weight, GUESS_PARTS - weight)
    least = mixture + log(1.0 - confidence)
    share = found / total
    return _edge(found, total, least, 0.0, share), _edge(found, total, least, 1.0, share)


def difference(new: tuple[int, int], old: tuple[int, int], confidence: float) -> Interval:
    """Interval of the difference new - old of two shares (found, total): `old` is complete, `new` grows and is looked at again and again.

    Squares of the limits' distances added (R. G. Newcombe, Statistics in Medicine 17, 1998, method 10; for any limits: G. Y. Zou,
    A. Donner, Statistics in Medicine 27, 2008), with Wilson's for `old` and a sequence's for `new`. Right near 0 and 1, too.
    """
    share_new, share_old = (found / total if total else 0.5 for found, total in (new, old))
    low_new, high_new = sequence(*new, (old[0] + 0.5) / (old[1] + 1), confidence)
    low_old, high_old = wilson(*old, confidence)
    gap = share_new - share_old
    down = sqrt((share_new - low_new) ** 2 + (high_old - share_old) ** 2)
    up = sqrt((high_new - share_new) ** 2 + (share_old - low_old) ** 2)
    return max(-1.0, gap - down), min(1.0, gap + up)


def parts_needed(share: float, margin: float, confidence: float) -> int:
    """Parts on each side, before and after, until an unchanged share is told from one that moved by `margin`: an estimate."""
    if margin <= 0:
        return 0
    fixed = NormalDist().inv_cdf((1.0 + confidence) / 2.0) ** 2
    parts = GUESS_PARTS
    for _ in range(10):  # the sequence's width hangs on the parts, by a logarithm
        growing = (1 + GUESS_PARTS / parts) * (log1p(parts / GUESS_PARTS) - 2 * log(1.0 - confidence))
        parts = max(1.0, share * (1 - share) * (fixed + growing) / margin**2)
    return int(parts) + 1


def slower_than(histogram: Sequence[int], bounds: Sequence[int], limit: int) -> int:
    """Parts above `limit`, one of `bounds`, of a histogram with one more bin than bounds."""
    return sum(histogram[bounds.index(limit) + 1 :])


def abort_minimum(tolerated: float, threshold: float) -> int:
    """Devices that must have ended before a failing share of `threshold` stops a job that tolerates `tolerated`.

    As few as keep the chance of stopping one that fails just as often as tolerated below ABORT_CHANCE, over all later ends together.
    """
    if tolerated <= 0.0:
        return LEAST_ABORT_DEVICES
    tails = [_tail(devices, tolerated, threshold) for devices in range(1, _MOST_DEVICES + 1)]
    chance = 0.0
    for devices in range(_MOST_DEVICES, 0, -1):
        chance += tails[devices - 1]
        if chance > ABORT_CHANCE:
            return max(LEAST_ABORT_DEVICES, devices + 1)
    return LEAST_ABORT_DEVICES


LEAST_ABORT_DEVICES = 5
ABORT_CHANCE = 0.01
_MOST_DEVICES = 300  # the chance of a tail has long gone by then


def _tail(devices: int, share: float, threshold: float) -> float:
    """The chance of at least `threshold` of `devices` when each fails with the chance `share`."""
    least = ceil(threshold * devices - 1e-9)
    return sum(comb(devices, k) * share**k * (1.0 - share) ** (devices - k) for k in range(least, devices + 1))


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)


def _log_likelihood(found: int, total: int, share: float) -> float:
    if (share <= 0.0 and found) or (share >= 1.0 and found < total):
        return -inf
    return (found * log(share) if found else 0.0) + ((total - found) * log1p(-share) if found < total else 0.0)


def _edge(found: int, total: int, least: float, outside: float, inside: float) -> float:
    """Where the likelihood falls to `least` between a share that explains the parts best and 0 or 1, by halving."""
    if _log_likelihood(found, total, outside) >= least:
        return outside
    for _ in range(60):
        middle = (outside + inside) / 2
        if _log_likelihood(found, total, middle) >= least:
            inside = middle
        else:
            outside = middle
    return inside
