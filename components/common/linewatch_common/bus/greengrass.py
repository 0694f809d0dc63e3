"""The local bus over Greengrass IPC. The only importer of awsiot."""

import concurrent.futures
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from awscrt.exceptions import AwsCrtError
from awsiot.eventstreamrpc import AccessDeniedError, LifecycleHandler
from awsiot.greengrasscoreipc import connect, model
from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2

from linewatch_common.bus.port import MessageHandler
from linewatch_common.errors import BusUnavailableError, DeadTokenError, MessageError, NotAuthorizedError
from linewatch_common.logs import capped
from linewatch_common.messages.base import MAX_MESSAGE_BYTES

log = logging.getLogger(__name__)
T = TypeVar("T")

# The core answers within milliseconds; five seconds mean that it hangs or is gone.
ANSWER_SECONDS = 5.0
# A restart of the core or of lite's IPC daemon takes some seconds; after a minute only a fresh start with a fresh token helps.
GIVE_UP_SECONDS = 60.0
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0
# A core that closes the connection instead of answering so often in a row refuses the token, and is not just starting.
HANDSHAKES_REFUSED = 5


class _HandshakeClosedError(BusUnavailableError):
    """The core took the connection and closed it without a word."""


class _Watcher(LifecycleHandler):  # type: ignore[misc]  # awsiot ships no types
    """Tells the bus that its link ended."""

    def __init__(self, on_lost: Callable[[str], None]) -> None:
        self._on_lost = on_lost

    def on_disconnect(self, reason: Exception | None) -> None:
        if reason is not None:
            self._on_lost(capped(str(reason)) or type(reason).__name__)

    def on_error(self, error: Exception) -> bool:
        log.warning("bus: %s", capped(str(error)))
        return True


class GreengrassBus:
    """A `LocalBus` on the core's unix socket. `open` connects; one thread makes a lost link again."""

    def __init__(self, socket_path: str, token: str) -> None:
        self._socket_path = socket_path
        self._token = token
        self._client: GreengrassCoreIPCClientV2 | None = None
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._closing = False
        self._dead: str | None = None
        self._subscriptions: list[tuple[str, MessageHandler]] = []
        self._configuration_watchers: list[Callable[[], None]] = []
        self._keeper = threading.Thread(target=self._keep_linked, name="bus-keeper", daemon=True)

    def open(self) -> "GreengrassBus":
        """Connect, and keep connected until `close`. Raises DeadTokenError, BusUnavailableError."""
        self._link()
        self._keeper.start()
        return self

    @property
    def dead(self) -> str | None:
        """See LocalBus."""
        return self._dead

    def publish(self, topic: str, payload: bytes) -> None:
        """See LocalBus."""
        _check_size(topic, payload)
        message = model.PublishMessage(binary_message=model.BinaryMessage(message=payload))
        client = self._linked()
        _answer(lambda: client.publish_to_topic_async(topic=topic, publish_message=message), f"publish to {topic}")

    def publish_to_cloud(self, topic: str, payload: bytes) -> None:
        """See LocalBus."""
        _check_size(topic, payload)
        client = self._linked()
        _answer(
            lambda: client.publish_to_iot_core_async(topic_name=topic, qos="1", payload=payload),
            f"publish to IoT Core {topic}",
        )

    def subscribe(self, topic: str, handler: MessageHandler) -> None:
        """See LocalBus."""
        with self._lock:
            self._subscribe(self._linked(), topic, handler)
            self._subscriptions.append((topic, handler))

    def configuration(self) -> Mapping[str, Any]:
        """See LocalBus."""
        client = self._linked()
        response = _answer(lambda: client.get_configuration_async(key_path=[]), "get configuration")
        value = response.value
        if not isinstance(value, dict):
            raise BusUnavailableError(f"get configuration: the core answered {type(value).__name__}, not a map")
        return value

    def watch_configuration(self, on_change: Callable[[], None]) -> None:
        """See LocalBus."""
        with self._lock:
            self._watch(self._linked(), on_change)
            self._configuration_watchers.append(on_change)

    def reset(self, reason: str) -> None:
        """See LocalBus."""
        self._lost(reason)

    def close(self) -> None:
        """See LocalBus."""
        with self._lock:
            self._closing = True
            client, self._client = self._client, None
        self._wake.set()
        if client is not None:
            _quiet_close(client)
        if self._keeper.is_alive() and threading.current_thread() is not self._keeper:
            self._keeper.join(timeout=ANSWER_SECONDS)

    def _linked(self) -> GreengrassCoreIPCClientV2:
        client = self._client
        if client is None:
            raise BusUnavailableError(f"no link to the Greengrass core at {self._socket_path}")
        return client

    def _link(self) -> None:
        """Connect and renew every subscription, or raise and leave nothing behind."""
        watcher = _Watcher(self._lost)
        try:
            raw = connect(
                ipc_socket=self._socket_path, authtoken=self._token, lifecycle_handler=watcher, timeout=ANSWER_SECONDS
            )
        except AccessDeniedError as error:
            raise DeadTokenError("the Greengrass core refuses this process's token") from error
        except (RuntimeError, OSError, AwsCrtError, concurrent.futures.TimeoutError) as error:
            closed = getattr(error, "name", "") == "AWS_IO_SOCKET_CLOSED"
            kind = _HandshakeClosedError if closed else BusUnavailableError
            raise kind(f"no Greengrass core at {self._socket_path}: {_reason(error)}") from error
        # executor=None keeps the order of messages; handlers promise not to block.
        client = GreengrassCoreIPCClientV2(client=raw, executor=None)
        with self._lock:
            try:
                for topic, handler in self._subscriptions:
                    self._subscribe(client, topic, handler)
                for on_change in self._configuration_watchers:
                    self._watch(client, on_change)
            except (BusUnavailableError, NotAuthorizedError):
                _quiet_close(client)
                raise
            self._client = client

    def _subscribe(self, client: GreengrassCoreIPCClientV2, topic: str, handler: MessageHandler) -> None:
        def on_event(event: Any) -> None:
            try:
                handler(_payload(event))
            except Exception:  # a callback's top: one bad message must not end the subscription
                log.exception("bus: handler of %s failed", topic)

        def ask() -> Any:
            future, _ = client.subscribe_to_topic_async(
                topic=topic,
                on_stream_event=on_event,
                on_stream_error=lambda error: self._stream_failed(topic, error),
                on_stream_closed=lambda: self._stream_closed(client, topic),
            )
            return future

        _answer(ask, f"subscribe to {topic}")

    def _watch(self, client: GreengrassCoreIPCClientV2, on_change: Callable[[], None]) -> None:
        def ask() -> Any:
            future, _ = client.subscribe_to_configuration_update_async(
                key_path=[],
                on_stream_event=lambda _event: on_change(),
                on_stream_error=lambda error: self._stream_failed("configuration updates", error),
                on_stream_closed=lambda: self._stream_closed(client, "configuration updates"),
            )
            return future

        _answer(ask, "subscribe to configuration updates")

    def _stream_failed(self, what: str, error: Exception) -> bool:
        log.warning("bus: %s: %s", what, capped(str(error)))
        return True

    def _stream_closed(self, client: GreengrassCoreIPCClientV2, what: str) -> None:
        if client is self._client and not self._closing:
            self._lost(f"the subscription to {what} ended")

    def _lost(self, reason: str) -> None:
        with self._lock:
            client, self._client = self._client, None
            if self._closing or client is None:
                return
        log.warning("bus: link to the core lost: %s", reason)
        self._wake.set()
        # Closing waits for the event loop, whose thread this may be.
        threading.Thread(target=_quiet_close, args=(client,), name="bus-closer", daemon=True).start()

    def _keep_linked(self) -> None:
        while not self._closing:
            self._wake.wait()
            self._wake.clear()
            if not self._closing and self._client is None:
                self._relink()

    def _relink(self) -> None:
        give_up = time.monotonic() + GIVE_UP_SECONDS
        pause = FIRST_PAUSE_SECONDS
        refused = 0
        while not self._closing:
            try:
                self._link()
                log.info("bus: linked to the core again")
                self._configuration_may_differ()
                return
            except (DeadTokenError, NotAuthorizedError) as error:
                self._dead = str(error)
                return
            except BusUnavailableError as error:
                refused = refused + 1 if isinstance(error, _HandshakeClosedError) else 0
                if refused >= HANDSHAKES_REFUSED:
                    self._dead = "the Greengrass core refuses this process's token"
                    return
                if time.monotonic() > give_up:
                    self._dead = f"{error} for {GIVE_UP_SECONDS:.0f} s"
                    return
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _configuration_may_differ(self) -> None:
        """A change while there was no link was announced to nobody."""
        for on_change in list(self._configuration_watchers):
            on_change()


def _answer(ask: "Callable[[], concurrent.futures.Future[T]]", what: str) -> T:
    """The core's answer to what `ask` sends, or ours in place of its error."""
    try:
        return ask().result(ANSWER_SECONDS)
    except model.UnauthorizedError as error:
        raise NotAuthorizedError(
            f"{what}: the core refuses it: {_reason(error)}; see accessControl in the recipe"
        ) from error
    except concurrent.futures.TimeoutError as error:
        raise BusUnavailableError(f"{what}: the core did not answer within {ANSWER_SECONDS:.0f} s") from error
    except (
        model.GreengrassCoreIPCError,
        RuntimeError,
        OSError,
        AwsCrtError,
        concurrent.futures.CancelledError,
    ) as error:
        raise BusUnavailableError(f"{what}: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    return capped(str(getattr(error, "message", None) or error) or type(error).__name__)


def _payload(event: Any) -> bytes:
    if event.binary_message is not None:
        return bytes(event.binary_message.message)
    return json.dumps(event.json_message.message if event.json_message is not None else None).encode()


def _check_size(topic: str, payload: bytes) -> None:
    if len(payload) > MAX_MESSAGE_BYTES:
        raise MessageError(f"{topic}: {len(payload)} bytes, at most {MAX_MESSAGE_BYTES} can be sent")


def _quiet_close(client: GreengrassCoreIPCClientV2) -> None:
    """Close a link that may be half gone; what it says about that helps nobody."""
    try:
        client.close(executor_wait=False).result(ANSWER_SECONDS)
    except (RuntimeError, OSError, AwsCrtError, concurrent.futures.TimeoutError, concurrent.futures.CancelledError):
        log.debug("bus: the old link did not close cleanly")
