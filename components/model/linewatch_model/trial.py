"""The proof at install: the agent loads the new package beside what runs, and runs its golden set."""

import logging
import queue
import time

from linewatch_common.bus.port import LocalBus
from linewatch_common.errors import BusUnavailableError, MessageError, PackageError, UnavailableError
from linewatch_common.heartbeats import HeartbeatWatch
from linewatch_common.messages.base import decode, encode
from linewatch_common.messages.models import ModelMessage, ModelProved, ModelRefused
from linewatch_common.names import AGENT
from linewatch_common.topics import Topics

from linewatch_model.package import OwnPackage

log = logging.getLogger(__name__)

# Two heartbeats and a bit: an agent that is there has been heard by then.
FIND_AGENT_SECONDS = 5.0
# Loading and sixteen predictions take seconds on a small device; the recipe's install step is allowed more.
ANSWER_SECONDS = 60.0
# A lost offer costs this much of the sixty seconds; the agent answers a repeated nonce once.
REPEAT_SECONDS = 5.0
POLL_SECONDS = 0.1
# Other components' offers and answers pass by too; what we wait for is repeated.
MAX_QUEUED = 64


class Trial:
    """One proof of one package. `find_seconds` and `answer_seconds` bound the two waits."""

    def __init__(
        self,
        package: OwnPackage,
        bus: LocalBus,
        topics: Topics,
        *,
        find_seconds: float = FIND_AGENT_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._package = package
        self._bus = bus
        self._topics = topics
        self._find_seconds = find_seconds
        self._answer_seconds = answer_seconds
        self._beats = HeartbeatWatch()
        self._inbox: queue.Queue[bytes] = queue.Queue(MAX_QUEUED)

    def run(self, lease: str) -> ModelProved | None:
        """The agent's proof; None when there is no agent, so nothing is proved.

        Raises PackageError with the agent's reason when it refuses, UnavailableError when it does not answer, and as LocalBus.
        """
        self._bus.subscribe(self._topics.status, self._beats.receive)
        self._bus.subscribe(self._topics.models, self._enqueue)
        if not self._agent_found():
            return None
        offer = self._package.offer(lease, trial=True)
        give_up = time.monotonic() + self._answer_seconds
        repeat = 0.0
        while time.monotonic() < give_up:
            if time.monotonic() >= repeat:
                self._publish(encode(offer))
                repeat = time.monotonic() + REPEAT_SECONDS
            answer = self._next_answer(offer.nonce)
            if isinstance(answer, ModelRefused):
                raise PackageError(f"the agent refuses {offer.identifier}: {answer.reason}")
            if answer is not None:
                return answer
        raise UnavailableError(
            f"the agent did not answer the offer of {offer.identifier} within {self._answer_seconds:.0f} s"
        )

    def _enqueue(self, raw: bytes) -> None:
        try:
            self._inbox.put_nowait(raw)
        except queue.Full:
            log.debug("a message on the models topic was dropped")

    def _agent_found(self) -> bool:
        give_up = time.monotonic() + self._find_seconds
        while time.monotonic() < give_up:
            if self._beats.latest(AGENT) is not None:
                return True
            time.sleep(POLL_SECONDS)
        return False

    def _publish(self, raw: bytes) -> None:
        try:
            self._bus.publish(self._topics.models, raw)
        except BusUnavailableError as error:
            log.warning("offer not sent, it will be repeated: %s", error)

    def _next_answer(self, nonce: str) -> ModelProved | ModelRefused | None:
        try:
            message = decode(self._inbox.get(timeout=POLL_SECONDS), ModelMessage)
        except (queue.Empty, MessageError):
            return None
        if isinstance(message, ModelProved | ModelRefused) and message.nonce == nonce:
            return message
        return None
