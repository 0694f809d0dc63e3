"""Taking captures from clients: durable before the answer, and never twice."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from linewatch_common.errors import StorageError
from linewatch_common.logs import Trouble

from linewatch_agent.captures.finished import FinishedCaptures
from linewatch_agent.captures.lines import AcceptedCapture
from linewatch_agent.captures.periodic import PeriodicUpload
from linewatch_agent.captures.pushes import Destination
from linewatch_agent.captures.request import CaptureRequest, CaptureState, Moment, Stated, check_request
from linewatch_agent.captures.segments import Segment
from linewatch_agent.captures.sender import Sender
from linewatch_agent.captures.spool import Spool
from linewatch_agent.captures.timing import USUAL, Timing
from linewatch_agent.counters import Counters
from linewatch_agent.errors import (
    CaptureBufferFullError,
    CaptureExistsError,
    CaptureTooLargeError,
    NoNetworkError,
    NotInstalledError,
    UnknownCaptureError,
)

log = logging.getLogger(__name__)

# No more clients wait for a slow disk at once: the server's threads are for predictions too.
WAITING = 4
# A segment this large is complete however few captures it holds: it is read into memory to be sent.
SEGMENT_BYTES = 16_000_000


@dataclass(frozen=True, slots=True)
class CaptureSettings:
    """`buffer_size` requests and `buffer_bytes` may wait; a push begins when `batch_size` wait or the oldest is `period` seconds old."""

    buffer_size: int
    buffer_bytes: int
    batch_size: int
    period: float


@dataclass(slots=True)
class _Held:
    """Captures that wait; `since` when, monotonic."""

    count: int = 0
    size_bytes: int = 0
    since: float = 0.0

    def add(self, size_bytes: int) -> None:
        self.since = self.since if self.count else time.monotonic()
        self.count += 1
        self.size_bytes += size_bytes


class Captures:
    """A spool between clients and one sending thread. When the buffer is full the newest is refused, and the client told so.

    The buffer is what is not yet complete and synced (with the spool off: not yet delivered).
    """

    def __init__(
        self,
        spool: Spool,
        finished: FinishedCaptures,
        destination: Destination,
        settings: CaptureSettings,
        counters: Counters,
        *,
        upload: PeriodicUpload | None = None,
        timing: Timing = USUAL,
    ) -> None:
        self._spool = spool
        self._finished = finished
        self._destination = destination
        self._settings = settings
        self._counters = counters
        self._upload = upload
        self._timing = timing
        self._changed = threading.Condition()
        self._open = False
        self._closed = Trouble(log, "captures")
        self._pending: dict[str, int] = {}  # taken, neither delivered nor dropped; bytes
        self._held = _Held()
        self._growing = _Held()  # in segments that are not complete
        self._taken = 0
        self._patience = threading.BoundedSemaphore(WAITING)
        self._unsynced_since = 0.0  # monotonic; 0 when all is synced
        self._stopping = False
        self._keeper = threading.Thread(target=self._keep_until_stopped, name="captures", daemon=True)
        self._sender = Sender(spool, destination, self._changed, self._delivered, timing)

    def start(self) -> None:
        """Begin to write."""
        self._keeper.start()
        if self._upload is not None:
            self._upload.start()

    def stop(self) -> None:
        """Complete what grows, deliver what can be delivered at once, and end."""
        give_up = time.monotonic() + self._timing.flush
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._keeper.is_alive():
            self._keeper.join(timeout=self._timing.flush)
        self._sender.stop(give_up - time.monotonic())
        if self._upload is not None:
            self._upload.stop()

    def take(self, request: CaptureRequest, stated: Stated | None) -> None:
        """Take `request`: on return it survives the end of this process (with the spool off: it is in memory).

        `stated`: the model's own name and version; without, the name it is loaded under.

        Raises BadRequestError, FutureCaptureError, CaptureExistsError, CaptureBufferFullError, CaptureTooLargeError, NoNetworkError,
        NotInstalledError.
        """
        now = Moment.now()
        check_request(request, now)
        self._refuse_too_large(request.size_bytes)
        if self._destination.missing:
            raise NotInstalledError(f"capture not taken: {self._destination.missing}")
        if not self._spool.durable and not self._destination.reachable():
            raise NoNetworkError(
                "captured data cannot be sent now, and the spool that would keep it is off; try again when there is a "
                "network, or set CaptureSpool to true"
            )
        name, version = (request.model, "") if stated is None else (stated.name, stated.version)
        accepted = AcceptedCapture(request, request.at or now, name, version)
        with self._admitted():
            self._refuse_known(request.capture_id)
            self._refuse_when_full(request)
            self._append(accepted)
        self._counters.add("captures_taken")

    def state_of(self, capture_id: str) -> CaptureState:
        """Raises UnknownCaptureError."""
        if not self._open:
            with self._changed:
                self._changed.wait_for(lambda: self._open or self._stopping, self._timing.room)
        # Without the lock, which a slow disk may hold for long; a capture is never in neither.
        state = CaptureState.IN_PROGRESS if capture_id in self._pending else self._finished.get(capture_id)
        if state is None:
            raise UnknownCaptureError(
                f"capture {capture_id[:128]!r} is not known; those under way and the last {self._finished.remembered} are"
            )
        return state

    def _append(self, accepted: AcceptedCapture) -> None:
        request = accepted.request
        try:
            self._spool.append(accepted, self._dropped)
        except StorageError as error:
            self._counters.add("captures_refused")
            raise CaptureBufferFullError(f"capture not taken: {error}; free the disk or raise CaptureDiskMB") from error
        self._unsynced_since = self._unsynced_since or time.monotonic()
        self._pending[request.capture_id] = request.size_bytes
        self._finished.forget(request.capture_id)
        self._taken += 1
        self._held.add(request.size_bytes)
        self._growing.add(request.size_bytes)
        if self._seal_is_due():
            self._changed.notify_all()

    @contextmanager
    def _admitted(self) -> Iterator[None]:
        """The lock, once the spool is open and nothing older is unsynced for too long.

        Raises CaptureBufferFullError after `timing.room`, and at once where WAITING others wait already.
        """
        if not self._changed.acquire(timeout=self._timing.short):
            self._wait(lambda: self._changed.acquire(timeout=self._timing.room))
        try:
            if not self._ready():
                self._wait(lambda: self._changed.wait_for(self._ready, self._timing.room))
            yield
        finally:
            self._changed.release()

    def _ready(self) -> bool:
        unsynced = time.monotonic() - self._unsynced_since if self._unsynced_since else 0.0
        return self._open and unsynced < self._timing.unsynced

    def _wait(self, patiently: Callable[[], bool]) -> None:
        if self._patience.acquire(blocking=False):
            try:
                if patiently():
                    return
            finally:
                self._patience.release()
        self._counters.add("captures_refused")
        reason = "the disk is too slow" if self._open else "the spool is not open, see the agent's log"
        raise CaptureBufferFullError(f"capture not taken: {reason}; capture less often or look at the disk")

    def _refuse_known(self, capture_id: str) -> None:
        state = CaptureState.IN_PROGRESS if capture_id in self._pending else self._finished.get(capture_id)
        if state in (CaptureState.IN_PROGRESS, CaptureState.SUCCESS):
            raise CaptureExistsError(
                f"capture {capture_id!r} was taken already ({state}); every capture needs an id of its own"
            )

    def _refuse_too_large(self, size_bytes: int) -> None:
        bounds = {"CaptureBufferMB": self._settings.buffer_bytes, "CaptureDiskMB": self._spool.limit_bytes}
        for key, limit in bounds.items():
            if size_bytes > limit:
                self._counters.add("captures_refused")
                raise CaptureTooLargeError(
                    f"capture buffer full: {size_bytes} bytes are more than {key} ever holds ({limit}); raise it, or capture less at once"
                )

    def _refuse_when_full(self, request: CaptureRequest) -> None:
        settings, held = self._settings, self._held
        if held.count < settings.buffer_size and held.size_bytes + request.size_bytes <= settings.buffer_bytes:
            return
        self._counters.add("captures_refused")
        raise CaptureBufferFullError(
            f"capture buffer full: {held.count} of {settings.buffer_size} requests and {held.size_bytes} of "
            f"{settings.buffer_bytes} bytes wait, {request.size_bytes} more do not fit; "
            "capture less often, or raise CaptureDataBufferSize or CaptureBufferMB"
        )

    def _keep_until_stopped(self) -> None:
        while not self._opened():
            with self._changed:
                if self._changed.wait_for(lambda: self._stopping, self._timing.open_again):
                    return
        # Not before: a spool that is opened once more lists again what is being sent.
        self._sender.start()
        stopping = False
        while not stopping:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._seal_is_due(), self._timing.sync)
                stopping = self._stopping
            try:
                self._tick(stopping=stopping)
            except Exception:  # a thread's top: whatever it is, the next tick tries again
                log.exception("captures: the spool failed")

    def _opened(self) -> bool:
        """Without the lock until all is read: thousands of files take a slow card minutes."""
        try:
            found = self._spool.open()
            self._finished.open()
        except StorageError as error:
            self._closed.met(error)
            return False
        with self._changed:
            for segment in found:
                self._recall(segment)
            self._open = True
            self._changed.notify_all()
        return True

    def _recall(self, segment: Segment) -> None:
        """A segment of an earlier run is under way again, unless that run ended between its delivery and its removal."""
        if any(self._finished.get(capture_id) is CaptureState.SUCCESS for capture_id in segment.ids):
            self._spool.forget(segment)
            return
        for capture_id in segment.ids:
            self._pending[capture_id] = 0
            self._finished.forget(capture_id)

    def _tick(self, *, stopping: bool) -> None:
        """Sync what grows; complete it when a push is due."""
        with self._changed:
            self._spool.expire(self._dropped)
            due = stopping or self._seal_is_due()
            if not due and not self._unsynced_since:
                return
            segments = self._spool.detach() if due else self._spool.growing()
            began, taken = time.monotonic(), self._taken
            if due:
                sealed, self._growing = self._growing, _Held()
        synced = _synced(segments)
        if due:
            for segment in segments:
                segment.close()
        with self._changed:
            if synced:
                self._unsynced_since = began if self._taken > taken else 0.0
            if due:
                self._spool.seal(segments)
                if self._spool.durable:
                    self._release(sealed.count, sealed.size_bytes)
            self._changed.notify_all()

    def _seal_is_due(self) -> bool:
        growing = self._growing
        return growing.count > 0 and (
            growing.count >= self._settings.batch_size
            or growing.size_bytes >= SEGMENT_BYTES
            or time.monotonic() >= growing.since + self._settings.period
        )

    def _delivered(self, segment: Segment, captures: int, refused: frozenset[int]) -> None:
        """The first `captures` of a segment have arrived but those at `refused`; the rest, if any, was damaged."""
        lost = {*refused, *range(captures, len(segment.ids))}
        arrived = [each for place, each in enumerate(segment.ids) if place not in lost]
        with self._changed:
            self._finish(arrived, CaptureState.SUCCESS, self._destination.counter)
            if lost:
                self._finish([segment.ids[place] for place in lost], CaptureState.FAILURE, "captures_failed")
            self._spool.done(segment)
            self._changed.notify_all()

    def _dropped(self, segment: Segment) -> None:
        log.warning("captures: %d of the oldest dropped to stay within the spool's bounds", len(segment.ids))
        self._finish(segment.ids, CaptureState.FAILURE, "captures_dropped")

    def _finish(self, capture_ids: list[str], state: CaptureState, counter: str) -> None:
        try:
            self._finished.add(capture_ids, state)
        except StorageError as error:
            log.warning("captures: %s", error)
        sizes = [self._pending.pop(capture_id, 0) for capture_id in capture_ids]
        if not self._spool.durable:
            self._release(len(sizes), sum(sizes))
        self._counters.add(counter, len(capture_ids))

    def _release(self, count: int, size_bytes: int) -> None:
        self._held.count -= count
        self._held.size_bytes -= size_bytes


def _synced(segments: list[Segment]) -> bool:
    try:
        for segment in segments:
            segment.sync()
    except StorageError as error:
        log.warning("captures: %s", error)
        return False
    return True
