"""From the bus's thread to the inspection thread: a bounded queue of announced frames."""

import logging
import threading
from collections import deque

from linewatch_common.errors import InputError
from linewatch_common.logs import Complaints
from linewatch_common.messages import FrameMessage, decode

from linewatch_inspector.frames import Frame, from_message

log = logging.getLogger(__name__)

# Twenty seconds at 50 frames a second, though the inspection thread empties it after every frame.
MAX_WAITING = 1024


class Inbox:
    """When it is full a new message is dropped and counted: the frame lies in the ring all the same and is found there."""

    def __init__(self, station: str) -> None:
        self._station = station
        self._waiting: deque[Frame] = deque()
        self._changed = threading.Condition()
        self._woken = False
        self.dropped = 0
        self._unreadable = Complaints(log, "frames")

    @property
    def unreadable(self) -> int:
        """Messages that were none of ours."""
        return self._unreadable.count

    def receive(self, raw: bytes) -> None:
        """Handler of the frames topic."""
        try:
            frame = from_message(decode(raw, FrameMessage))
        except InputError as error:
            self._unreadable.note(error)
            return
        if frame.station != self._station:
            self._unreadable.note(f"frame of station {frame.station!r} on the topic of {self._station!r}")
            return
        with self._changed:
            if len(self._waiting) >= MAX_WAITING:
                self.dropped += 1
                return
            self._waiting.append(frame)
            self._changed.notify()

    def take(self, seconds: float) -> list[Frame]:
        """All frames that wait; when there is none, waits up to `seconds` for one or for `wake`."""
        with self._changed:
            if not self._waiting and not self._woken and seconds > 0:
                self._changed.wait(seconds)
            self._woken = False
            taken = list(self._waiting)
            self._waiting.clear()
        return taken

    def wake(self) -> None:
        """End a `take` that waits: something else changed."""
        with self._changed:
            self._woken = True
            self._changed.notify()
