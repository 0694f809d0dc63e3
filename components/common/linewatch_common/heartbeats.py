"""Sending a component's heartbeat, and watching the others'."""

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from linewatch_common import __version__
from linewatch_common.bus.port import LocalBus
from linewatch_common.clock import utc_now
from linewatch_common.errors import BusUnavailableError, MessageError
from linewatch_common.logs import Complaints, capped
from linewatch_common.messages.base import decode, encode
from linewatch_common.messages.status import (
    HEARTBEAT_LOST_SECONDS,
    AgentStatus,
    CameraStatus,
    ComponentState,
    Heartbeat,
    InspectorStatus,
    ModelStatus,
)
from linewatch_common.topics import Topics

log = logging.getLogger(__name__)

# A subscription is called dead only after this many beats went out well since the last doubt.
BEATS_BEFORE_DOUBT = 6
# A station has seven and its models; more are strangers on the status topic.
MAX_COMPONENTS = 64


@dataclass(frozen=True, slots=True)
class Status:
    """What a component says of itself in its next heartbeat; see messages.status.Heartbeat."""

    state: ComponentState
    reason: str = ""
    counters: dict[str, int] = field(default_factory=dict)
    agent: AgentStatus | None = None
    inspector: InspectorStatus | None = None
    camera: CameraStatus | None = None
    model: ModelStatus | None = None


class HeartbeatPublisher:
    """Publishes one component's heartbeat, and finds out by its echo that the subscriptions have died."""

    def __init__(
        self,
        component: str,
        bus: LocalBus,
        topics: Topics,
        version: str = __version__,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._component = component
        self._version = version
        self._bus = bus
        self._topics = topics
        self._clock = clock
        self._started_at = utc_now()
        self._watch: HeartbeatWatch | None = None
        self._sent = 0

    def watch_own(self) -> None:
        """Subscribe to the status topic to hear our own beats. Raises as LocalBus.subscribe."""
        self._watch = HeartbeatWatch(clock=self._clock)
        self._bus.subscribe(self._topics.status, self._watch.receive)

    def beat(self, status: Status) -> None:
        """Publish; a bus that is away is not an error, the next beat comes soon."""
        try:
            self._bus.publish(self._topics.status, encode(self._message(status, status.state)))
            self._sent += 1
        except (BusUnavailableError, MessageError) as error:
            log.warning("heartbeat not sent: %s", error)
        self._check_echo()

    def last_beat(self, status: Status) -> None:
        """Say that the component stops."""
        try:
            self._bus.publish(self._topics.status, encode(self._message(status, ComponentState.STOPPING)))
        except (BusUnavailableError, MessageError) as error:
            log.info("last heartbeat not sent: %s", error)

    def _message(self, status: Status, state: ComponentState) -> Heartbeat:
        return Heartbeat(
            component=self._component,
            station=self._topics.station,
            version=self._version,
            state=state,
            at=utc_now(),
            started_at=self._started_at,
            uid=os.getuid(),
            reason=status.reason[:300],
            counters=status.counters,
            agent=status.agent,
            inspector=status.inspector,
            camera=status.camera,
            model=status.model,
        )

    def _check_echo(self) -> None:
        if self._watch is None or self._sent < BEATS_BEFORE_DOUBT:
            return
        if self._watch.age(self._component) > 2 * HEARTBEAT_LOST_SECONDS:
            self._sent = 0
            self._watch.forget()
            self._bus.reset("our own heartbeats do not come back")


class HeartbeatWatch:
    """The last heartbeat of every component of the station, and its age. Give `receive` to LocalBus.subscribe(topics.status, …)."""

    def __init__(
        self, on_beat: Callable[[Heartbeat], None] | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._on_beat = on_beat
        self._clock = clock
        self._lock = threading.Lock()
        self._beats: dict[str, tuple[float, Heartbeat]] = {}
        self._strangers: set[int] = set()
        self._unreadable = Complaints(log, "status")

    def receive(self, raw: bytes) -> None:
        """Handler of the status topic."""
        try:
            beat: Heartbeat = decode(raw, Heartbeat)
        except MessageError as error:
            self._unreadable.note(error)
            return
        with self._lock:
            kept = self._keep(beat)
        if not kept:
            self._unreadable.note(f"{capped(beat.component)} is not heard: {MAX_COMPONENTS} other components are")
            return
        self._check_user(beat)
        if self._on_beat is not None:
            self._on_beat(beat)

    def _keep(self, beat: Heartbeat) -> bool:
        """Those that are lost make room for a new one, those that live do not."""
        now = self._clock()
        if beat.component not in self._beats and len(self._beats) >= MAX_COMPONENTS:
            living = {name: seen for name, seen in self._beats.items() if now - seen[0] <= HEARTBEAT_LOST_SECONDS}
            if len(living) >= MAX_COMPONENTS:
                return False
            self._beats = living
        self._beats[beat.component] = (now, beat)
        return True

    def forget(self) -> None:
        """Begin anew, as if nothing was heard yet; ages count from now on."""
        with self._lock:
            now = self._clock()
            self._beats = {name: (now, beat) for name, (_, beat) in self._beats.items()}

    def latest(self, component: str, within_seconds: float = HEARTBEAT_LOST_SECONDS) -> Heartbeat | None:
        """The component's last heartbeat when it is not older than `within_seconds` (default: not lost)."""
        with self._lock:
            seen = self._beats.get(component)
        if seen is None or self._clock() - seen[0] > within_seconds:
            return None
        return seen[1]

    def all_latest(self) -> dict[str, Heartbeat]:
        """Every component heard and not lost."""
        with self._lock:
            names = list(self._beats)
        beats = {name: self.latest(name) for name in names}
        return {name: beat for name, beat in beats.items() if beat is not None}

    def age(self, component: str) -> float:
        """Seconds since the component's last heartbeat; infinite when none was heard."""
        with self._lock:
            seen = self._beats.get(component)
        return float("inf") if seen is None else self._clock() - seen[0]

    def _check_user(self, beat: Heartbeat) -> None:
        """The ring, the sockets and the ledger are private files: all components must run as one posix user."""
        if beat.uid != os.getuid() and beat.uid not in self._strangers and len(self._strangers) < MAX_COMPONENTS:
            self._strangers.add(beat.uid)
            log.error(
                "%s runs as user %d, this process as user %d: run all linewatch components as one posix user",
                beat.component,
                beat.uid,
                os.getuid(),
            )
