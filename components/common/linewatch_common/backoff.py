"""How long to wait before the next try."""

import random


class Backoff:
    """Pauses that double from `first` to `longest` seconds, each shortened by up to half at random, so that peers do not try in step."""

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self._next = first

    def pause(self) -> float:
        """Seconds to wait now."""
        whole, self._next = self._next, min(2 * self._next, self._longest)
        return whole * random.uniform(0.5, 1.0)  # noqa: S311 - not a secret

    def reset(self) -> None:
        """It went well."""
        self._next = self._first
