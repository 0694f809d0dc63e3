"""Where the time of one frame goes: every nanosecond from capture on belongs to exactly one stage."""

from collections.abc import Callable

STAGES = ("wait", "map", "prepare", "classify", "segment", "decide", "retry")


class Stages:
    """`mark` gives the time since the last mark to a stage, so the stages always add up to the total."""

    def __init__(self, captured_ns: int, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._captured = captured_ns
        self._last = captured_ns
        self._spent: dict[str, int] = {}

    def mark(self, stage: str) -> None:
        """The time since the last mark was spent in `stage`."""
        now = self._clock()
        self._spent[stage] = self._spent.get(stage, 0) + now - self._last
        self._last = now

    def captured_at(self, captured_ns: int) -> None:
        """The capture was at another time than was known before the slot was read; `wait` bears the difference."""
        self._spent["wait"] = self._spent.get("wait", 0) + self._captured - captured_ns
        self._captured = captured_ns

    @property
    def age_ns(self) -> int:
        """Nanoseconds since the capture."""
        return self._clock() - self._captured

    def milliseconds(self) -> dict[str, float]:
        """Each stage and `total`, up to the last mark."""
        spent = {stage: round(self._spent[stage] / 1e6, 3) for stage in STAGES if stage in self._spent}
        spent["total"] = round((self._last - self._captured) / 1e6, 3)
        return spent
