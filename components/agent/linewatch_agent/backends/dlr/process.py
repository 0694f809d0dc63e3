"""The agent's end of a process that runs one model with DLR."""

import json
import logging
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from linewatch_common.logs import capped

from linewatch_agent.backends.dlr.wire import BrokenError, Buffer, Message, TimeIsUpError, receive, send

log = logging.getLogger(__name__)

_START = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); "
    "from linewatch_agent.backends.dlr.worker import main; main(int(sys.argv[2]), int(sys.argv[3]))"
)
# A start of Python; a device whose disk is busy takes seconds for it.
_START_SECONDS = 30.0
# From the signal that cannot be refused to the end; longer only when the disk holds the process up.
_END_SECONDS = 5.0
_LINE_BYTES = 2000
# Of what it prints after an error.
_STACK = ("Stack trace", "[bt]")
# What of the agent's environment it gets: no credentials, and nothing that Python reads.
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ")
# Before DLR's own words: "[19:58:25] /workspace/src/dlr.cc:321: ", also twice.
_PLACE = re.compile(r"^(\[\d\d:\d\d:\d\d\] \S+:\d+: )+")


def thread_settings(threads: int) -> dict[str, str]:
    """The variables that DLR reads when it starts its threads; `threads` of a prediction, 0: as many as there are cores."""
    return {
        "TVM_NUM_THREADS": str(threads or len(os.sched_getaffinity(0))),
        # Bound threads of two models would share a core and not overlap.
        "TVM_BIND_THREADS": "0",
        # How often a thread looks for its next operator before it sleeps: about 1 ms. DLR's own 300,000 takes the cores from the other
        # models on the device for some hundred ms after each prediction, and is no faster.
        "TVM_THREAD_POOL_SPIN_COUNT": "1000",
    }


class EndedError(Exception):
    """The process is gone: why, in one line."""


class DlrProcess:
    """Started by `start`; one request at a time. Nothing that it does or leaves undone harms the agent."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._link: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._started, self._ended = threading.Event(), threading.Event()
        self._words = ""
        self._why = ""

    @property
    def pid(self) -> int:
        """Its number; 0 before it started."""
        return self._process.pid if self._process is not None else 0

    @property
    def ended(self) -> str:
        """Why it is gone, in one line; empty while it runs. Does not wait: of a hang only a request learns."""
        return self._why or (self._with_words(self._exit()) if self._ended.is_set() else "")

    def start(self) -> None:
        """Raises EndedError."""
        try:
            self._link, theirs = socket.socketpair()
        except OSError as error:
            raise self._over(f"cannot be started: {error.strerror}") from error
        # The kernel ends the process with the *thread* that started it, so that thread lives as long: it reads what is printed.
        keeper = threading.Thread(target=self._keep, args=(theirs,), name="dlr", daemon=True)
        keeper.start()
        if not self._started.wait(_START_SECONDS) or self._process is None:
            raise self._over(self._why or f"did not start within {_START_SECONDS:.0f} s")

    def ask(
        self, request: Message, body: Sequence[Buffer], most_bytes: int, seconds: float
    ) -> tuple[Message, bytearray]:
        """Its answer, with a body of at most `most_bytes`. Raises EndedError, also for every later request."""
        if self._why or self._link is None:
            raise EndedError(self._why or "was not started")
        try:
            send(self._link, request, body, seconds)
            answer, content = receive(self._link, most_bytes, seconds)
        except TimeIsUpError as error:
            raise self._over(f"did not answer within {seconds:g} s and was ended") from error
        except BrokenError as error:
            raise self._over(self._end_told(str(error))) from error
        return answer, content

    def words(self) -> str:
        """The last that it printed before it ended, in one line; waits for its end."""
        self.close()
        self._ended.wait(_END_SECONDS)
        return self._last_words()

    def resident_bytes(self) -> int:
        """Its memory that is in RAM; 0 when it is gone."""
        try:
            pages = int(Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1])
        except (OSError, IndexError, ValueError):
            return 0
        return pages * resource.getpagesize()

    def close(self, why: str = "was ended") -> None:
        """End it, without waiting. It keeps nothing that a kill could spoil."""
        self._why = self._why or why
        if self._link is not None:
            self._link.close()
        if self._process is not None:
            self._process.kill()

    def _over(self, why: str) -> EndedError:
        self._why = why
        self.close()
        return EndedError(why)

    def _end_told(self, why: str) -> str:
        """How it ended, and its last words; `why` where it did not end by itself."""
        self._ended.wait(_END_SECONDS)  # it may be about to
        return self._with_words(self._exit() or why)

    def _exit(self) -> str:
        """How it ended; empty while it runs."""
        code = self._process.poll() if self._process is not None else None
        if code is None:
            return ""
        return f"crashed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    def _with_words(self, why: str) -> str:
        words = self._last_words()
        return f"{why}: {words}" if words else why

    def _last_words(self) -> str:
        return capped(_PLACE.sub("", self._words), 300)

    def _keep(self, theirs: socket.socket) -> None:
        command = [sys.executable, "-I", "-c", _START, json.dumps(sys.path), str(theirs.fileno()), str(os.getpid())]
        try:
            with theirs:
                process = self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    pass_fds=[theirs.fileno()],
                    env=self._environment(),
                    cwd="/",
                )
        except OSError as error:
            self._why = f"cannot be started: {error.strerror}"
            return
        finally:
            self._started.set()
        if process.stdout is not None:
            with process.stdout as printed:
                for line in iter(lambda: printed.readline(_LINE_BYTES), b""):
                    self._heard(process.pid, line.decode("utf-8", "replace").strip())
        process.wait()
        self._ended.set()

    def _heard(self, pid: int, line: str) -> None:
        if line:
            if not line.startswith(_STACK):
                self._words = line
            log.debug("DLR's process %d: %s", pid, capped(line, 300))

    def _environment(self) -> dict[str, str]:
        passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        return passed_on | thread_settings(self._threads) | {"MALLOC_ARENA_MAX": "1"}
