"""The learning rate over a course: the same rise and fall for every framework."""

import math

WARM_UP = 0.15  # share of the course in which the rate rises
LAST_RATE = 0.01  # of the full rate, at the course's end


def rate_at(done: float) -> float:
    """Share of the full rate when `done` (0..1) of the course is over: a rise, then half a cosine."""
    if done < WARM_UP:
        return 0.05 + 0.95 * done / WARM_UP
    return LAST_RATE + (1 - LAST_RATE) * 0.5 * (1 + math.cos(math.pi * min(1.0, (done - WARM_UP) / (1 - WARM_UP))))
