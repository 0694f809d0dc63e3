"""The newest frame of a device or stream: a thread drains it, so that nothing stale waits in a buffer, and reopens it when it is lost."""

import logging
import threading
import time

from linewatch_common.backoff import Backoff
from linewatch_common.errors import InputError, UnavailableError
from linewatch_common.logs import one_line
from linewatch_common.ring import Stamp

from linewatch_camera.decoding import to_ring_format
from linewatch_camera.sources.capture_port import Opener, VideoCapture
from linewatch_camera.sources.opencv import retrieved
from linewatch_camera.sources.port import Picture, SourceFailure

log = logging.getLogger(__name__)

# A switch or camera that restarts takes some tens of seconds; asking it more often than every ten does not help.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 10.0


class LiveSource:
    """A `Source` over a capture device. The draining thread owns the device; `read` takes its newest frame."""

    def __init__(self, name: str, opener: Opener, *, read_timeout: float, slot_bytes: int) -> None:
        self._name = name
        self._opener = opener
        self._read_timeout = read_timeout
        self._slot_bytes = slot_bytes
        self._backoff = Backoff(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        self._changed = threading.Condition()
        self._newest: Picture | SourceFailure | None = None
        self._away = ""
        self._closing = threading.Event()
        self._discarded = 0
        self._reconnects = 0
        self._thread = threading.Thread(target=self._drain, name="draining", daemon=True)

    @property
    def name(self) -> str:
        """See Source."""
        return self._name

    @property
    def live(self) -> bool:
        """See Source."""
        return True

    @property
    def discarded(self) -> int:
        """See Source."""
        return self._discarded

    @property
    def reconnects(self) -> int:
        """See Source."""
        return self._reconnects

    def start(self, cursor: int) -> None:  # noqa: ARG002 - what was not taken is gone
        """See Source."""
        if not self._thread.is_alive():
            self._thread.start()

    def read(self, not_before_ns: int = 0) -> Picture | SourceFailure:
        """See Source; waits up to the read timeout."""
        until = time.monotonic() + self._read_timeout
        with self._changed:
            while True:
                newest, self._newest = self._newest, None
                if newest is not None and newest.stamp.monotonic_ns >= not_before_ns:
                    return newest
                if newest is not None:
                    self._discarded += 1
                if self._away:
                    raise UnavailableError(f"{self._name}: {self._away}")
                left = until - time.monotonic()
                if left <= 0:
                    raise UnavailableError(f"{self._name}: no picture within {self._read_timeout:g} s")
                self._changed.wait(left)

    def close(self) -> None:
        """See Source; a device that hangs is left to the end of the process."""
        self._closing.set()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(0.5)

    def _drain(self) -> None:
        first = True
        while not self._closing.is_set():
            capture = self._opened()
            if capture is None:
                self._closing.wait(self._backoff.pause())
                continue
            if not first:
                self._reconnects += 1
            first = False
            try:
                self._drain_until_lost(capture)
            except Exception as error:  # noqa: BLE001 - the thread's top: a driver's surprise is a lost device, not a dead camera
                self._gone(f"lost: {one_line(error)}")
            finally:
                capture.release()
            self._closing.wait(self._backoff.pause())

    def _opened(self) -> VideoCapture | None:
        """The device, or None while it cannot be had."""
        try:
            return self._opener()
        except UnavailableError as error:
            self._gone(str(error))
        except Exception as error:  # noqa: BLE001 - the thread's top: a folder that may not be entered may be opened later
            self._gone(f"cannot be opened: {one_line(error)}")
        return None

    def _drain_until_lost(self, capture: VideoCapture) -> None:
        while not self._closing.is_set():
            if not capture.grab():
                self._gone("the connection is lost: no picture came")
                return
            stamp = Stamp.now()
            self._offer(self._picture(capture, stamp))
            self._backoff.reset()

    def _picture(self, capture: VideoCapture, stamp: Stamp) -> Picture | SourceFailure:
        try:
            pixels, pixel_format = to_ring_format(retrieved(capture, self._slot_bytes))
        except InputError as error:
            return SourceFailure(reason=f"{self._name}: {error}", stamp=stamp)
        return Picture(pixels=pixels, pixel_format=pixel_format, stamp=stamp)

    def _offer(self, picture: Picture | SourceFailure) -> None:
        with self._changed:
            if self._newest is not None:
                self._discarded += 1
            self._newest = picture
            self._away = ""
            self._changed.notify_all()

    def _gone(self, why: str) -> None:
        with self._changed:
            self._away = why
            self._newest = None
            self._changed.notify_all()
