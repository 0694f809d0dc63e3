"""Interleaved measurement: every way has its turns in the same minutes, so that what else the machine does meets all of them."""

import random
import time
from collections.abc import Callable, Mapping
from typing import Any

from tools.line import percentile

# In a turn a way runs once untimed (caches, clocks, a sleeping process), then this often timed.
TIMED = 5


def interleaved(ways: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of every timed run by way, for one frame where a run takes several (its `frames`).

    The order of the ways is drawn anew in each round.
    """
    order = list(ways)
    random.seed(0)
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        random.shuffle(order)
        for name in order:
            run = ways[name]
            run()
            for _ in range(TIMED):
                start = time.perf_counter()
                run()
                taken[name].append((time.perf_counter() - start) * 1000 / getattr(run, "frames", 1))
    return taken


def row(values: list[float]) -> dict[str, float]:
    """min, p50 and p99 in ms."""
    figures = {"min": min(values), "p50": percentile(values, 0.5), "p99": percentile(values, 0.99)}
    return {name: round(value, 3) for name, value in figures.items()}
