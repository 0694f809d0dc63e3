"""When a model whose runtime has ended is loaded again."""

from linewatch_common.backoff import Backoff

# Each load takes the processor from the line's other models: one that ends again and again is loaded ever more seldom.
FIRST_PAUSE = 2.0
# A load that hangs keeps the offers waiting for two minutes and more; that of a better version must find the agent free for longer.
LONGEST_PAUSE = 300.0
# What served this long is loaded again at once: a load in a minute is no burden.
STEADY_SECONDS = 60.0


class Outage:
    """One model's. Times are monotonic. `problem`: what is wrong, in one line, empty while it serves; any thread may read it."""

    def __init__(self) -> None:
        self._backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        self._serves_since = float("-inf")
        self._due = 0.0
        self.problem = ""

    def begins(self, problem: str, now: float) -> float:
        """Its runtime has ended; the seconds until it is loaded again."""
        self.problem = problem
        steady = now - self._serves_since >= STEADY_SECONDS
        if steady:
            self._backoff.reset()
        return self._pause(now, 0.0 if steady else self._backoff.pause())

    def goes_on(self, problem: str, now: float) -> float:
        """It could not be loaded again; the seconds until the next try."""
        self.problem = problem
        return self._pause(now, self._backoff.pause())

    def ends(self, now: float) -> None:
        """It serves again."""
        self.problem = ""
        self._serves_since = now

    def is_due(self, now: float) -> bool:
        """Whether it is to be loaded again now."""
        return self.problem != "" and now >= self._due

    def _pause(self, now: float, seconds: float) -> float:
        self._due = now + seconds
        return seconds
