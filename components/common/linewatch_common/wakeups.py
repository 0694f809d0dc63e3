"""Why the main thread wakes: a signal or another thread's word, through one self-pipe.

Python runs signal handlers between two byte codes of the main thread, where taking a lock can deadlock; a byte into a socket cannot.
"""

import select
import signal
import socket
from types import FrameType

_CONFIGURATION = b"\x80"  # no signal has these numbers
_BEAT = b"\x81"


class Wakeups:
    """`wait` returns early on SIGTERM, SIGINT, `configuration_changed` or `beat_soon`."""

    def __init__(self) -> None:
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._sender.setblocking(False)
        self.stopping = False
        self.configuration_pending = False
        self.beat_pending = False

    def install(self) -> None:
        """Route SIGTERM and SIGINT here. Only the main thread may."""
        signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _noted)

    def configuration_changed(self) -> None:
        """Any thread: wake the main thread to read the configuration again."""
        self._wake(_CONFIGURATION)

    def beat_soon(self) -> None:
        """Any thread: wake the main thread to send a heartbeat now, because it says something new."""
        self._wake(_BEAT)

    def _wake(self, why: bytes) -> None:
        try:
            self._sender.send(why)
        except BlockingIOError:
            return  # full of wake-ups already

    def wait(self, seconds: float) -> None:
        """Sleep up to `seconds`; afterwards the flags tell why it woke."""
        ready, _, _ = select.select([self._receiver], [], [], max(seconds, 0.0))
        if not ready:
            return
        received = self._receiver.recv(4096)
        self.stopping |= any(byte in (signal.SIGTERM, signal.SIGINT) for byte in received)
        self.configuration_pending |= _CONFIGURATION[0] in received
        self.beat_pending |= _BEAT[0] in received


def _noted(_number: int, _frame: FrameType | None) -> None:
    """The byte in the pipe does the work; a handler must exist for it to be written."""
