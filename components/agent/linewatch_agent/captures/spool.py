"""The spool: segments that grow, segments that wait to be sent, and what is dropped when there are too many."""

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from linewatch_common.errors import StorageError

from linewatch_agent.captures.importance import is_sampled_normal
from linewatch_agent.captures.lines import AcceptedCapture, Origin
from linewatch_agent.captures.segments import Segment, SegmentHeader, Shelf

log = logging.getLogger(__name__)

# What a capture counts at least: an id in memory and a line in a file are not free either.
LEAST_BYTES = 4096


@dataclass(frozen=True, slots=True)
class SpoolSettings:
    """How pushes are made (`origin`, `prefix`, `embed_limit`), and the spool's bounds."""

    origin: Origin
    prefix: str
    embed_limit: int
    limit_bytes: int
    limit_seconds: float


class Spool:
    """Not safe for concurrent use but for `sync`: the caller locks. A segment is of one model and one importance."""

    def __init__(self, shelf: Shelf, settings: SpoolSettings) -> None:
        self._shelf = shelf
        self._settings = settings
        self._growing: dict[tuple[str, bool], Segment] = {}
        self._sealed: deque[Segment] = deque()
        self._sending: Segment | None = None
        self._used = 0

    @property
    def durable(self) -> bool:
        """Whether it survives the process."""
        return self._shelf.durable

    @property
    def limit_bytes(self) -> int:
        """What it holds at most."""
        return self._settings.limit_bytes

    def open(self) -> list[Segment]:
        """What earlier runs left, to be sent first. Raises StorageError."""
        found = self._shelf.open()
        self._sealed = deque(found)
        self._used = sum(_cost(segment) for segment in found)
        return found

    def append(self, capture: AcceptedCapture, on_dropped: Callable[[Segment], None]) -> None:
        """Take a capture; older ones may have to go for it. Raises StorageError when there would be no room even so: then none goes."""
        self._make_room(max(capture.request.size_bytes, LEAST_BYTES), on_dropped)
        sampled = is_sampled_normal(capture.request)
        key = (capture.model_name, sampled)
        segment = self._growing.get(key)
        if segment is None:
            segment = self._growing[key] = self._shelf.create(self._header(capture, sampled))
        before = _cost(segment)
        segment.append(capture)
        self._used += _cost(segment) - before

    def growing(self) -> list[Segment]:
        """What may be appended to."""
        return list(self._growing.values())

    def detach(self) -> list[Segment]:
        """Growing segments, taken out: what comes next begins new ones. To be synced, then given to `seal`."""
        detached = [segment for segment in self._growing.values() if segment.ids]
        self._growing = {key: segment for key, segment in self._growing.items() if not segment.ids}
        return detached

    def seal(self, segments: list[Segment]) -> None:
        """These are durable and complete: they may be sent."""
        self._sealed.extend(segments)

    def next(self) -> Segment | None:
        """The oldest sealed segment; it is not dropped until `done` or `put_back`."""
        self._sending = self._sealed.popleft() if self._sealed else None
        return self._sending

    def put_back(self) -> None:
        """It could not be sent now."""
        if self._sending is not None:
            self._sealed.appendleft(self._sending)
            self._sending = None

    def done(self, segment: Segment) -> None:
        """It was sent, or cannot be: remove it."""
        if segment is self._sending:
            self._sending = None
        self._remove(segment)

    def forget(self, segment: Segment) -> None:
        """It was delivered by an earlier run."""
        self._sealed.remove(segment)
        self._remove(segment)

    def expire(self, on_dropped: Callable[[Segment], None]) -> None:
        """Drop what is too old, whatever it is."""
        oldest_ns = time.time_ns() - int(self._settings.limit_seconds * 1e9)
        while self._sealed and self._sealed[0].header.created_ns < oldest_ns:
            self._drop(self._sealed[0], on_dropped)

    def _make_room(self, wanted: int, on_dropped: Callable[[Segment], None]) -> None:
        limit = self._settings.limit_bytes
        if self._used + wanted <= limit:
            return
        staying = self._used - sum(_cost(segment) for segment in self._sealed)
        if staying + wanted > limit:
            raise StorageError(f"{wanted} bytes do not fit beside {staying} of {limit}")
        while self._used + wanted > limit:
            self._drop(self._least(), on_dropped)

    def _least(self) -> Segment:
        """The oldest sampled-normal segment, else the oldest."""
        sampled = (segment for segment in self._sealed if segment.header.sampled)
        return next(sampled, self._sealed[0])

    def _drop(self, segment: Segment, on_dropped: Callable[[Segment], None]) -> None:
        self._sealed.remove(segment)
        on_dropped(segment)
        self._remove(segment)

    def _remove(self, segment: Segment) -> None:
        self._used -= _cost(segment)
        try:
            segment.remove()
        except StorageError as error:
            log.warning("captures: %s", error)  # the next start finds it again

    def _header(self, capture: AcceptedCapture, sampled: bool) -> SegmentHeader:
        settings = self._settings
        return SegmentHeader(
            capture.model_name, sampled, time.time_ns(), settings.origin, settings.prefix, settings.embed_limit
        )


def _cost(segment: Segment) -> int:
    return max(segment.size_bytes, LEAST_BYTES * len(segment.ids))
