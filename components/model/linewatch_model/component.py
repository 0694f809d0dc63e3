"""The running model component: it offers its package and stays as the lease."""

import logging
import queue
import threading
import time

from linewatch_common.bus.port import LocalBus
from linewatch_common.errors import BusUnavailableError, MessageError, NotAuthorizedError, PackageError
from linewatch_common.heartbeats import HeartbeatWatch, Status
from linewatch_common.messages.base import Message, decode, encode
from linewatch_common.messages.models import ModelActivated, ModelMessage, ModelRefused, ModelRetired, ModelWaiting
from linewatch_common.messages.status import HEARTBEAT_LOST_SECONDS, ComponentState, ModelStatus
from linewatch_common.names import AGENT
from linewatch_common.topics import Topics

from linewatch_model.lease import Lease, LeaseState
from linewatch_model.package import OwnPackage
from linewatch_model.trial import MAX_QUEUED

log = logging.getLogger(__name__)

# Reacts to a heartbeat within a fraction of its period, and costs nothing.
TICK_SECONDS = 0.5
# The thread only publishes small messages.
STOP_SECONDS = 3.0

_STATES = {
    LeaseState.OFFERING: ComponentState.STARTING,
    LeaseState.WAITING: ComponentState.DEGRADED,
    LeaseState.ACTIVE: ComponentState.READY,
    LeaseState.REPLACED: ComponentState.DEGRADED,
    LeaseState.REFUSED: ComponentState.DEGRADED,
}


class ModelComponent:
    """See linewatch_common.service.Component. An agent that is silent for `lost_seconds` is away."""

    def __init__(
        self,
        package: OwnPackage,
        lease: Lease,
        component: str,
        bus: LocalBus,
        topics: Topics,
        *,
        lost_seconds: float = HEARTBEAT_LOST_SECONDS,
    ) -> None:
        self._package = package
        self._lease = lease
        self._component = component
        self._bus = bus
        self._topics = topics
        self._lost_seconds = lost_seconds
        self._beats = HeartbeatWatch()
        self._inbox: queue.Queue[bytes] = queue.Queue(MAX_QUEUED)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="lease", daemon=True)

    def start(self) -> None:
        """Raises as LocalBus.subscribe."""
        self._bus.subscribe(self._topics.status, self._beats.receive)
        self._bus.subscribe(self._topics.models, self._enqueue)
        self._thread.start()

    def stop(self) -> None:
        """Withdraw the offer: the agent then knows that nobody stands behind the model."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)
        if self._lease.state is not LeaseState.REFUSED:
            manifest = self._package.manifest
            self._publish(
                ModelRetired(
                    identifier=manifest.identifier, role=manifest.role, by=self._component, reason="its component stops"
                )
            )

    def status(self) -> Status:
        """Raises PackageError when the agent refused the package: the process must end, so that the deployment shows it."""
        manifest, state = self._package.manifest, self._lease.state
        if state is LeaseState.REFUSED:
            raise PackageError(f"the agent refuses {manifest.identifier}: {self._lease.reason}")
        away = state is LeaseState.ACTIVE and self._agent_is_lost()
        reason = "the edge agent is away" if away else self._lease.reason
        return Status(
            state=ComponentState.DEGRADED if away else _STATES[state],
            reason="waits for the edge agent" if state is LeaseState.OFFERING else reason,
            model=ModelStatus(
                identifier=manifest.identifier, role=manifest.role, active=state is LeaseState.ACTIVE and not away
            ),
        )

    def _agent_is_lost(self) -> bool:
        """It was heard once, and is silent for too long."""
        return self._lost_seconds < self._beats.age(AGENT) < float("inf")

    def _enqueue(self, raw: bytes) -> None:
        try:
            self._inbox.put_nowait(raw)
        except queue.Full:
            log.debug("a message on the models topic was dropped; the offer is repeated")

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                self._turn()
            except Exception:  # a thread's top: one bad turn must not end the lease
                log.exception("lease: a turn failed")
                self._stopping.wait(TICK_SECONDS)

    def _turn(self) -> None:
        beat = self._beats.latest(AGENT)
        # While it starts it restores its models: a role that it does not name yet may be served a moment later.
        if beat is not None and beat.agent is not None and beat.state is not ComponentState.STARTING:
            self._lease.agent_heard(beat.agent, time.monotonic() - self._beats.age(AGENT))
        offer = self._lease.due()
        if offer is not None:
            self._publish(offer)
        try:
            message = decode(self._inbox.get(timeout=TICK_SECONDS), ModelMessage)
        except queue.Empty:
            return
        except MessageError as error:
            log.warning("models: %s", error)
            return
        if isinstance(message, ModelActivated | ModelWaiting | ModelRefused):
            self._note(message)

    def _note(self, answer: ModelActivated | ModelWaiting | ModelRefused) -> None:
        before = self._lease.state
        self._lease.answered(answer)
        if before is not self._lease.state is LeaseState.ACTIVE:
            log.info("model %s is active for the role %s", answer.identifier, self._package.manifest.role)
        elif before is not self._lease.state is LeaseState.WAITING:
            log.info("model %s %s", answer.identifier, self._lease.reason)

    def _publish(self, message: Message) -> None:
        try:
            self._bus.publish(self._topics.models, encode(message))
        except (BusUnavailableError, NotAuthorizedError, MessageError) as error:
            log.warning("%s not sent: %s", type(message).__name__, error)
