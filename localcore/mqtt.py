"""IoT Core topics through an MQTT broker. paho's own thread does the network; everything else happens in the event loop."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from localcore.errors import ServiceError
from localcore.iotcore import OnMessage
from localcore.pubsub import Broker

log = logging.getLogger(__name__)

_MAX_QUEUED = 1000  # messages waiting for the broker; further ones are refused with a reason
_KEEPALIVE_S = 30
_RECONNECT_MIN_S, _RECONNECT_MAX_S = 1, 30


class MqttIotCore:
    """One MQTT connection for all components; subscriptions are made again after each reconnect."""

    def __init__(self, host: str, port: int, *, client_id: str) -> None:
        self._address = (host, port)
        self._client_id = client_id
        self._broker = Broker()
        self._filters: dict[str, tuple[int, int]] = {}  # filter -> (subscribers, QoS)
        self._client: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begin to connect, in the background and for ever."""
        self._loop = asyncio.get_running_loop()
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id=self._client_id)
        client.max_queued_messages_set(_MAX_QUEUED)
        client.reconnect_delay_set(_RECONNECT_MIN_S, _RECONNECT_MAX_S)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.connect_async(*self._address, keepalive=_KEEPALIVE_S)
        client.loop_start()
        self._client = client

    def stop(self) -> None:
        """Disconnect and end the thread."""
        if self._client is not None:
            self._client.disconnect()
            self._client.loop_stop()

    def publish(self, topic: str, payload: bytes, qos: int, *, retain: bool) -> None:
        """Hand over to the broker, or queue until it is back. Raises ServiceError when the queue is full."""
        try:
            result = self._client.publish(topic, payload, qos, retain)
        except ValueError as error:
            raise ServiceError(f"{topic}: {error}") from error
        if result.rc == paho.MQTT_ERR_QUEUE_SIZE:
            raise ServiceError(f"{_MAX_QUEUED} messages wait for the broker already")
        if result.rc == paho.MQTT_ERR_NO_CONN and qos == 0:
            raise ServiceError("the broker is not connected")

    def subscribe(self, topic_filter: str, qos: int, on_message: OnMessage) -> Callable[[], None]:
        """Listen on the broker; the last listener's end unsubscribes."""
        count, old_qos = self._filters.get(topic_filter, (0, 0))
        self._filters[topic_filter] = (count + 1, max(qos, old_qos))
        if count == 0 or qos > old_qos:
            self._client.subscribe(topic_filter, qos)
        subscription = self._broker.subscribe(topic_filter, on_message)

        def end() -> None:
            self._broker.unsubscribe(subscription)
            left, kept_qos = self._filters[topic_filter]
            if left > 1:
                self._filters[topic_filter] = (left - 1, kept_qos)
            else:
                del self._filters[topic_filter]
                self._client.unsubscribe(topic_filter)

        return end

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            log.warning("the broker refuses the connection: %s", reason)
            return
        log.info("connected to the broker at %s:%d", *self._address)
        self._in_loop(self._subscribe_again)

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        log.warning("the broker is not connected: %s", reason)

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        try:
            topic, payload = message.topic, bytes(message.payload)
        except UnicodeDecodeError as error:  # MQTT forbids it; raised on from here it would end paho's thread
            log.warning("a message whose topic is no text was dropped: %s", error)
            return
        self._in_loop(lambda: self._deliver(topic, payload))

    def _in_loop(self, action: Callable[[], None]) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(action)

    def _subscribe_again(self) -> None:
        for topic_filter, (_, qos) in self._filters.items():
            self._client.subscribe(topic_filter, qos)

    def _deliver(self, topic: str, payload: bytes) -> None:
        for subscription in self._broker.find(topic):
            subscription.deliver(topic, payload)
