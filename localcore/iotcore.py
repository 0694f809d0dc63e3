"""IoT Core topics: to an MQTT broker when there is one, else delivered here and written to the log."""

import logging
from collections.abc import Callable
from typing import Protocol

from localcore.pubsub import Broker, Subscription

log = logging.getLogger(__name__)

OnMessage = Callable[[str, bytes], None]


class IotCore(Protocol):
    """What the IoT Core operations need. Calls come from the event loop and never wait."""

    def start(self) -> None:
        """Begin."""
        ...

    def stop(self) -> None:
        """End."""
        ...

    def publish(self, topic: str, payload: bytes, qos: int, *, retain: bool) -> None:
        """Send a message. Raises ServiceError when it cannot be taken."""
        ...

    def subscribe(self, topic_filter: str, qos: int, on_message: OnMessage) -> Callable[[], None]:
        """Call `on_message(topic, payload)` in the event loop; returns what ends it."""
        ...


class LoopbackIotCore:
    """No cloud: messages come back to local subscribers, and a line goes to the log."""

    def __init__(self) -> None:
        self._broker = Broker()

    def start(self) -> None:
        """Nothing to begin."""

    def stop(self) -> None:
        """Nothing to end."""

    def publish(self, topic: str, payload: bytes, qos: int, *, retain: bool) -> None:
        """Deliver here."""
        log.info("IoT Core (no broker): %s, %d B, QoS %d%s", topic, len(payload), qos, ", retain" if retain else "")
        for subscription in self._broker.find(topic):
            subscription.deliver(topic, payload)

    def subscribe(self, topic_filter: str, _qos: int, on_message: OnMessage) -> Callable[[], None]:
        """Listen here."""
        subscription: Subscription = self._broker.subscribe(topic_filter, on_message)
        return lambda: self._broker.unsubscribe(subscription)
