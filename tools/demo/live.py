"""One line that shows how the line goes: rewritten in place on a terminal, printed now and then elsewhere."""

import sys
import time
from types import TracebackType
from typing import Self

QUIET_SECONDS = 5.0  # between lines where nobody watches a terminal


class LiveLine:
    """Use as a context manager: the end of the block ends the line."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self._shown = 0.0
        self._width = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._terminal and self._width:
            print(flush=True)

    def show(self, captured: int, outcomes: dict[str, int], wanted: int) -> None:
        """Captured so far of `wanted` (0: no end), and outcomes."""
        if not self._terminal and time.monotonic() - self._shown < QUIET_SECONDS:
            return
        self._shown = time.monotonic()
        of = f"/{wanted}" if wanted else ""
        counts = "  ".join(f"{name} {count}" for name, count in sorted(outcomes.items()))
        text = f"captured {captured}{of}  inspected {sum(outcomes.values())}  {counts}"
        if self._terminal:
            print("\r" + text.ljust(self._width), end="", flush=True)
            self._width = len(text)
        else:
            print(text, flush=True)
