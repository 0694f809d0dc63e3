"""A steady rate by deadlines on the monotonic clock: one late picture does not shift the others."""

import time
from collections.abc import Callable


class Pacer:
    """Says when the next picture is due."""

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._period = 1.0 / per_second
        self._clock = clock
        self._due = clock()

    def remaining(self) -> float:
        """Seconds until the next picture is due; 0 when it is due."""
        return max(0.0, self._due - self._clock())

    def taken(self) -> None:
        """A picture was taken for the present deadline. After a long hold-up the lost ones are not made up for."""
        self._due = max(self._due + self._period, self._clock())

    def restart(self) -> None:
        """Begin anew: a picture is due now."""
        self._due = self._clock()
