"""The watching thread: reads manifests and evaluates the alert rules beside the hot path, several times a second."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence

from linewatch_common.messages import Verdict
from linewatch_common.messages.alerts import ActiveAlert

from linewatch_inspector.alerts.board import Board
from linewatch_inspector.alerts.rules import START_SECONDS, Facts, Rule

log = logging.getLogger(__name__)

TICK_SECONDS = 0.25
# Rules work on counts, so a verdict too many only makes one of them a little late. A fast line gives 25 a tick.
MAX_VERDICTS = 4096


class Watch:
    """`see` may be called by any thread."""

    def __init__(self, rules: Sequence[Rule], board: Board) -> None:
        self._rules = rules
        self._board = board
        self._verdicts: deque[Verdict] = deque(maxlen=MAX_VERDICTS)
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def active(self) -> list[ActiveAlert]:
        """The alerts that are on; any thread may ask."""
        return self._board.raised

    def see(self, verdict: Verdict) -> None:
        """A verdict was published. The oldest unseen one is dropped when too many wait."""
        self._verdicts.append(verdict)

    def wake(self) -> None:
        """Look now: something changed that should not wait for the next tick."""
        self._wake.set()

    def start(self, facts: Callable[[], Facts], every_tick: Callable[[], None]) -> None:
        """Begin; `facts` and `every_tick` are called on the watching thread."""
        self._board.load()
        self._thread = threading.Thread(target=self._run, args=(facts, every_tick), name="watch", daemon=True)
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """End; waits up to `seconds`."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(seconds)

    def look(self, facts: Facts) -> None:
        """One round: every verdict since the last, then every rule."""
        while self._verdicts:
            verdict = self._verdicts.popleft()
            for rule in self._rules:
                rule.see(verdict)
        for rule in self._rules:
            self._board.update(rule.kind, rule.check(facts), settled=facts.running >= START_SECONDS)

    def _run(self, facts: Callable[[], Facts], every_tick: Callable[[], None]) -> None:
        while not self._stop.is_set():
            try:
                every_tick()
                self.look(facts())
            except Exception:  # a thread's top: the watch must go on
                log.exception("watch: an internal error")
            self._wake.wait(TICK_SECONDS)
            self._wake.clear()
