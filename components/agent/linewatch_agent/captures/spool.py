"""Taking captures from clients, and storing them in the background."""

import logging
import threading
import time
from collections import OrderedDict, deque
from dataclasses import dataclass
from itertools import groupby

from linewatch_common.errors import StorageError
from linewatch_common.manifest import Manifest

from linewatch_agent.captures.disk import CaptureDisk
from linewatch_agent.captures.lines import AcceptedCapture
from linewatch_agent.captures.request import CaptureRequest, CaptureState, Moment, check_request
from linewatch_agent.counters import Counters
from linewatch_agent.errors import CaptureBufferFullError, CaptureExistsError, UnknownCaptureError

log = logging.getLogger(__name__)

# How many finished captures can still be asked about; an id costs some hundred bytes.
REMEMBERED = 10_000
# A push of the whole buffer to a slow card takes seconds; a process that stops waits no longer.
FLUSH_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class CaptureSettings:
    """`buffer_size` requests and `buffer_bytes` may wait; a push begins when `batch_size` wait or the oldest is `period` seconds old."""

    buffer_size: int
    buffer_bytes: int
    batch_size: int
    period: float


class Captures:
    """A bounded buffer before one writing thread. When it is full the newest is refused, and the client told so."""

    def __init__(self, disk: CaptureDisk, settings: CaptureSettings, counters: Counters) -> None:
        self._disk = disk
        self._settings = settings
        self._counters = counters
        self._changed = threading.Condition()
        self._waiting: deque[tuple[float, AcceptedCapture]] = deque()
        self._held = 0  # requests that wait or are being written
        self._held_bytes = 0
        self._states: OrderedDict[str, CaptureState] = OrderedDict()
        self._stopping = False
        self._thread = threading.Thread(target=self._write_until_stopped, name="captures", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, and end."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout=FLUSH_SECONDS)

    def take(self, request: CaptureRequest, manifest: Manifest | None) -> None:
        """Take `request` into the buffer.

        Raises BadRequestError, FutureCaptureError, CaptureExistsError, CaptureBufferFullError.
        """
        now = Moment.now()
        check_request(request, now)
        name, version = (request.model, "") if manifest is None else (manifest.name, manifest.version)
        accepted = AcceptedCapture(request, request.at or now, name, version)
        with self._changed:
            self._refuse_known(request.capture_id)
            self._refuse_when_full(request)
            self._states[request.capture_id] = CaptureState.IN_PROGRESS
            self._waiting.append((time.monotonic(), accepted))
            self._held += 1
            self._held_bytes += request.size_bytes
            self._changed.notify_all()
        self._counters.add("captures_taken")

    def state_of(self, capture_id: str) -> CaptureState:
        """Raises UnknownCaptureError."""
        with self._changed:
            state = self._states.get(capture_id)
        if state is None:
            raise UnknownCaptureError(
                f"capture {capture_id[:128]!r} is not known; the last {REMEMBERED} since the agent's start are"
            )
        return state

    def _refuse_known(self, capture_id: str) -> None:
        state = self._states.get(capture_id)
        if state in (CaptureState.IN_PROGRESS, CaptureState.SUCCESS):
            raise CaptureExistsError(
                f"capture {capture_id!r} was taken already ({state}); every capture needs an id of its own"
            )
        self._states.pop(capture_id, None)

    def _refuse_when_full(self, request: CaptureRequest) -> None:
        settings = self._settings
        if self._held < settings.buffer_size and self._held_bytes + request.size_bytes <= settings.buffer_bytes:
            return
        self._counters.add("captures_refused")
        raise CaptureBufferFullError(
            f"capture buffer full: {self._held} of {settings.buffer_size} requests and {self._held_bytes} of "
            f"{settings.buffer_bytes} bytes wait for the disk, {request.size_bytes} more do not fit; "
            "capture less often, or raise CaptureDataBufferSize or CaptureBufferMB"
        )

    def _write_until_stopped(self) -> None:
        opened = False
        while (batch := self._next_batch()) is not None:
            try:
                if not opened:
                    self._disk.open()
                    opened = True
                self._store(batch)
            except StorageError as error:
                self._finish(batch, CaptureState.FAILURE)
                log.warning("captures: %d not stored: %s", len(batch), error)
            except Exception:  # a thread's top: one bad batch must not end capturing
                self._finish(batch, CaptureState.FAILURE)
                log.exception("captures: %d not stored", len(batch))

    def _store(self, batch: list[AcceptedCapture]) -> None:
        by_model = sorted(batch, key=lambda capture: capture.model_name)
        for _, group in groupby(by_model, key=lambda capture: capture.model_name):
            captures = list(group)
            try:
                self._disk.store(captures, self._dropped)
            except StorageError as error:
                self._finish(captures, CaptureState.FAILURE)
                log.warning("captures: %d of %s not stored: %s", len(captures), captures[0].model_name, error)
            else:
                self._finish(captures, CaptureState.SUCCESS)

    def _dropped(self, count: int) -> None:
        self._counters.add("captures_dropped", count)
        log.warning("captures: %d of the oldest dropped to stay within CaptureDiskMB", count)

    def _finish(self, captures: list[AcceptedCapture], state: CaptureState) -> None:
        """Give the captures their final state; those that have one already keep it."""
        done = 0
        with self._changed:
            for capture in captures:
                if self._states.get(capture.request.capture_id) is CaptureState.IN_PROGRESS:
                    self._states[capture.request.capture_id] = state
                    self._states.move_to_end(capture.request.capture_id)
                    self._held -= 1
                    self._held_bytes -= capture.request.size_bytes
                    done += 1
            while len(self._states) > REMEMBERED + self._held:
                self._forget_oldest()
        self._counters.add("captures_stored" if state is CaptureState.SUCCESS else "captures_failed", done)

    def _forget_oldest(self) -> None:
        oldest = next(key for key, state in self._states.items() if state is not CaptureState.IN_PROGRESS)
        del self._states[oldest]

    def _next_batch(self) -> list[AcceptedCapture] | None:
        """Wait for the next push; None when stopped and empty."""
        with self._changed:
            while not self._stopping and not self._push_is_due():
                self._changed.wait(self._seconds_to_push())
            if not self._waiting:
                return None
            count = min(len(self._waiting), self._settings.batch_size)
            return [self._waiting.popleft()[1] for _ in range(count)]

    def _push_is_due(self) -> bool:
        return len(self._waiting) >= self._settings.batch_size or self._seconds_to_push() <= 0

    def _seconds_to_push(self) -> float:
        if not self._waiting:
            return self._settings.period  # a new capture notifies
        return max(0.0, self._waiting[0][0] + self._settings.period - time.monotonic())
