"""Intervals at 95 %: how far a figure from few pictures may lie from the truth."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

LEVEL = 0.95
DRAWS = 1000
Interval = tuple[float, float]


def proportion(found: int, total: int, level: float = LEVEL) -> Interval:
    """Two-sided interval of a share, exact: C. Clopper, E. Pearson, Biometrika 26 (1934). (0, 1) of nothing."""
    tail = (1 - level) / 2
    return _lower(found, total, tail), _upper(found, total, tail)


def upper_bound(found: int, total: int, level: float = LEVEL) -> float:
    """The share that the truth exceeds with a chance of 1 - level at most (one-sided Clopper-Pearson)."""
    return _upper(found, total, 1 - level)


def by_part(
    parts: Sequence[str], figure: Callable[[NDArray[np.int64]], float | None], seed: int = 0, draws: int = DRAWS
) -> Interval | None:
    """Percentile interval of a figure over redrawn parts: pictures of one part are not independent.

    The cluster bootstrap: C. Field, A. Welsh, J. R. Stat. Soc. B 69 (2007). `figure` gets how often each picture was drawn,
    and gives None where it has no meaning (no defect was drawn).
    """
    names, place = np.unique(np.asarray(parts), return_inverse=True)
    rng = np.random.default_rng(seed)
    drawn = (np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names)) for _ in range(draws))
    values = [value for weights in drawn if (value := figure(weights[place])) is not None]
    if len(values) < draws // 2:
        return None
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _lower(found: int, total: int, tail: float) -> float:
    return 0.0 if found == 0 else float(betaincinv(found, total - found + 1, tail))


def _upper(found: int, total: int, tail: float) -> float:
    return 1.0 if found >= total else float(betaincinv(found + 1, total - found, 1 - tail))
