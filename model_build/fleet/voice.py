"""What a long command says while it waits: events on lines of their own, progress in place where that is a terminal."""

import time
from collections.abc import Callable

from rich.console import Console
from rich.status import Status

# A log needs no line each minute, but must show that it goes on.
LOG_SECONDS = 300.0


class Voice:
    """On stderr, so that stdout is a program's."""

    def __init__(self, console: Console, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._monotonic = monotonic
        self._status: Status | None = None
        self._last = ("", float("-inf"))

    def say(self, line: str) -> None:
        """An event."""
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def progress(self, line: str) -> None:
        """How it stands: replaced by the next one on a terminal, else printed when it changed and some minutes went by."""
        if self._console.is_terminal:
            if self._status is None:
                self._status = self._console.status(line)
                self._status.start()
            self._status.update(line)
            return
        text, at = self._last
        if line.split(":", maxsplit=1)[0] != text.split(":")[0] or self._monotonic() - at > LOG_SECONDS:
            self._last = (line, self._monotonic())
            self.say(line)

    def quiet(self) -> None:
        """The waiting is over."""
        if self._status is not None:
            self._status.stop()
            self._status = None
