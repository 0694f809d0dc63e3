"""What a component needs of the Greengrass core; `greengrass.GreengrassBus` is the real one."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

MessageHandler = Callable[[bytes], None]


class LocalBus(Protocol):
    """Local publish/subscribe and a component's own configuration and state.

    All methods may be called from any thread except a handler's. A handler runs on the bus's only thread, in the order of arrival: it
    must not block nor call the bus; it hands over to a bounded queue. What a handler raises is logged and the next message is delivered.
    """

    def publish(self, topic: str, payload: bytes) -> None:
        """Send `payload` to every subscriber; returns when the core has taken it.

        Raises MessageError when it is over MAX_MESSAGE_BYTES, NotAuthorizedError, BusUnavailableError (not sent: try again later).
        """

    def subscribe(self, topic: str, handler: MessageHandler) -> None:
        """Call `handler` with each payload on `topic`, also after the link was lost and made again. Own messages come back too.

        Raises NotAuthorizedError, BusUnavailableError.
        """

    def configuration(self) -> Mapping[str, Any]:
        """This component's merged configuration. Raises BusUnavailableError."""

    def watch_configuration(self, on_change: Callable[[], None]) -> None:
        """Call `on_change` (as a handler: quickly) whenever the configuration may have changed, also when a lost link is back.

        Raises BusUnavailableError.
        """

    def publish_to_cloud(self, topic: str, payload: bytes) -> None:
        """Publish to AWS IoT Core with QoS 1 through the nucleus. Raises as `publish` does."""

    def reset(self, reason: str) -> None:
        """Drop the link and make it again: a subscription was found dead."""

    @property
    def dead(self) -> str | None:
        """Why the link cannot be had again in this process (dead token, core away too long), or None."""

    def close(self) -> None:
        """Leave the core. No handler runs afterwards."""
