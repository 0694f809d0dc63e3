"""Why the main thread wakes: a signal or another thread's word, through one self-pipe.

Python runs signal handlers between two byte codes of the main thread, where taking a lock can deadlock; a byte into a socket cannot.
"""

import select
import signal
import socket
from types import FrameType

_CONFIGURATION = b"\0"


class Wakeups:
    """`wait` returns early on SIGTERM, SIGINT or `configuration_changed`."""

    def __init__(self) -> None:
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._sender.setblocking(False)
        self.stopping = False
        self.configuration_pending = False

    def install(self) -> None:
        """Route SIGTERM and SIGINT here. Only the main thread may."""
        signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _noted)

    def configuration_changed(self) -> None:
        """Any thread: wake the main thread to read the configuration again."""
        try:
            self._sender.send(_CONFIGURATION)
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


def _noted(_number: int, _frame: FrameType | None) -> None:
    """The byte in the pipe does the work; a handler must exist for it to be written."""
