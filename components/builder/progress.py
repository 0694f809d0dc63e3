"""Progress of a build: bars on a terminal that can show them, plain lines elsewhere."""

import sys
import threading
import time
from types import TracebackType
from typing import Any, Protocol, Self


class Job(Protocol):
    """One thing that is being made."""

    def step(self, text: str, total_bytes: int = 0) -> None:
        """What is done now, and how much there is to it."""

    def advance(self, done_bytes: int) -> None:
        """So much more of it is done."""

    def done(self, text: str) -> None:
        """How it ended."""


class Progress(Protocol):
    """Shows jobs. Used as a context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def job(self, name: str) -> Job:
        """Show a new job. Callable from any thread."""

    def line(self, text: str) -> None:
        """Say something that is no job."""


def open_progress(quiet: bool) -> Progress:
    """Bars when standard output is a terminal and `rich` is installed."""
    if quiet:
        return PlainProgress(steps=False)
    if not sys.stdout.isatty():
        return PlainProgress(steps=True)
    try:
        return RichProgress()
    except ImportError:
        return PlainProgress(steps=True)


class PlainProgress:
    """A line when a step begins and one when the job is done; without `steps` only the latter."""

    def __init__(self, *, steps: bool) -> None:
        self._steps = steps
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        sys.stdout.flush()

    def job(self, name: str) -> Job:
        return _PlainJob(self, name, self._steps)

    def line(self, text: str) -> None:
        with self._lock:
            print(text, flush=True)


class _PlainJob:
    def __init__(self, progress: PlainProgress, name: str, steps: bool) -> None:
        self._progress = progress
        self._name = name
        self._steps = steps
        self._began = time.monotonic()

    def step(self, text: str, total_bytes: int = 0) -> None:
        if self._steps:
            size = f" {total_bytes / 1e6:.0f} MB" if total_bytes else ""
            self._progress.line(f"build: {self._name}: {text}{size}")

    def advance(self, done_bytes: int) -> None:
        pass

    def done(self, text: str) -> None:
        seconds = time.monotonic() - self._began
        self._progress.line(f"build: {self._name}: {text}" + (f" ({seconds:.1f} s)" if seconds >= 0.1 else ""))


class RichProgress:
    """Bars with the time left. Raises ImportError when `rich` is not installed."""

    def __init__(self) -> None:
        from rich import progress  # noqa: PLC0415 - not installed on every build machine

        self._rich: Any = progress.Progress(
            progress.TextColumn("{task.description:38}"),
            progress.BarColumn(bar_width=24),
            progress.TextColumn("{task.fields[state]}"),
            progress.TimeRemainingColumn(),
            transient=True,
        )

    def __enter__(self) -> Self:
        self._rich.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rich.stop()

    def job(self, name: str) -> Job:
        return _RichJob(self._rich, name)

    def line(self, text: str) -> None:
        self._rich.print(text, highlight=False, markup=False)


class _RichJob:
    def __init__(self, rich: Any, name: str) -> None:
        self._rich = rich
        self._name = name
        self._task = rich.add_task(name, total=None, state="")
        self._began = time.monotonic()

    def step(self, text: str, total_bytes: int = 0) -> None:
        self._rich.update(self._task, state=text, total=total_bytes or None, completed=0)

    def advance(self, done_bytes: int) -> None:
        self._rich.advance(self._task, done_bytes)

    def done(self, text: str) -> None:
        self._rich.remove_task(self._task)
        seconds = time.monotonic() - self._began
        took = f" ({seconds:.1f} s)" if seconds >= 0.1 else ""
        self._rich.print(f"build: {self._name}: {text}{took}", highlight=False, markup=False)
