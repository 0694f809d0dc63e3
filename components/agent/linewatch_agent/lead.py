"""Which of a server's threads waits for the next event."""

import threading
import time

from linewatch_agent.turns import WarmLock

# A call that is answered in the lead keeps others waiting no longer than this, and a turn of the patrol.
PATIENCE_SECONDS = 0.02
PATROL_SECONDS = 0.02
# The patrol rests when nothing was answered in the lead for so many of its turns: an idle server wakes nobody.
_QUIET_TURNS = 50
# After two calls at once, more of them are likely.
SHARED_SECONDS = 0.25
# After a slow one too. Where few calls were in time since the last slow one, the model is slow: each time for twice as long. Where many
# were, the machine had paused.
SLOW_SECONDS, LONGEST_SECONDS, MANY = 0.25, 10.0, 10


class Lead:
    """The lead is had by one thread at a time, by the number that it was given.

    Whoever has it may do the work of a call before passing it on: on two cores the wake-up of the next thread costs as much as
    reading the request. Where that takes too long, a patrol passes the lead on, so that a slow or hanging call is nobody else's.
    """

    def __init__(self, slow_seconds: float = SLOW_SECONDS) -> None:
        self._slow_seconds = self._pause = slow_seconds
        self._in_time = 0  # since the last slow one
        self._turns = WarmLock()
        self._guard = threading.Lock()
        self._given = 0
        self._holder = 0  # 0: nobody
        self._since = 0.0  # monotonic, when the holder began to work in the lead; 0: it waits for events
        self._worked = False  # in the lead, since the patrol's last turn
        self._shared_until = 0.0
        self._wanted, self._stopped = threading.Event(), threading.Event()
        self._patrol = threading.Thread(target=self._walk, name="rpc_patrol", daemon=True)

    def start(self) -> None:
        """Start the patrol."""
        self._patrol.start()

    def stop(self) -> None:
        """Let the patrol end."""
        self._stopped.set()
        self._wanted.set()

    def take(self) -> int:
        """Wait for the lead; the number that it is had by."""
        self._turns.acquire()
        with self._guard:
            self._given += 1
            self._holder = self._given
            return self._given

    def held_by(self, number: int) -> bool:
        """Whether it was not passed on meanwhile."""
        with self._guard:
            return self._holder == number

    def pass_on(self, number: int) -> None:
        """Let the next thread have it, unless that is done."""
        with self._guard:
            if self._holder != number:
                return
            self._holder = 0
        self._turns.release()

    def share(self, seconds: float = SHARED_SECONDS) -> None:
        """Calls come side by side: for so long, or longer where that was said before, nobody is to work in the lead."""
        with self._guard:
            self._shared_until = max(self._shared_until, time.monotonic() + seconds)

    def begin(self) -> bool:
        """Whether its holder may do a short call's work in the lead, which begins with this; `end` comes next."""
        now = time.monotonic()
        with self._guard:
            if now < self._shared_until:
                return False
            self._since = now
            self._worked = True
        if not self._wanted.is_set():
            self._wanted.set()
        return True

    def end(self, number: int) -> bool:
        """The work is done; whether the lead is still had by `number`."""
        with self._guard:
            if self._holder != number:
                return False
            self._since = 0.0
            self._in_time += 1
            return True

    @property
    def patrolling(self) -> bool:
        """Whether the patrol is awake."""
        return self._wanted.is_set()

    @property
    def pause(self) -> float:
        """For how long nobody is to work in the lead after the next slow call, unless many before it are in time."""
        with self._guard:
            return self._pause

    def _walk(self) -> None:
        while not self._stopped.is_set():
            self._wanted.wait()
            quiet = 0
            while quiet < _QUIET_TURNS and not self._stopped.wait(PATROL_SECONDS):
                quiet = 0 if self._relieve() else quiet + 1
            self._wanted.clear()
            if self._since:  # begun while the patrol went to rest
                self._wanted.set()

    def _relieve(self) -> bool:
        """Pass the lead on where its holder works too long; whether anybody began to work in it since the last time."""
        now = time.monotonic()
        with self._guard:
            worked, self._worked = self._worked, False
            if not self._since or now - self._since < PATIENCE_SECONDS:
                return worked
            self._since, self._holder = 0.0, 0
            pause = self._slow_seconds if self._in_time >= MANY else self._pause
            self._pause, self._in_time = min(2 * pause, LONGEST_SECONDS), 0
        self.share(pause)
        self._turns.release()
        return worked
