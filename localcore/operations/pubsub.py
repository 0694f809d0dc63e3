"""PublishToTopic and SubscribeToTopic."""

import json
import logging
from collections.abc import Mapping
from typing import Any

from localcore.access import AccessControl
from localcore.authorization import PUBSUB
from localcore.errors import InvalidArgumentsError, ServiceError
from localcore.limits import json_message_survives
from localcore.operations.fields import base64_bytes, mapping, text
from localcore.pubsub import Broker, Subscription
from localcore.rpc import Handler, Reply, Stream
from localcore.runtime import Limits, Runtime
from localcore.server import Counters
from localcore.topics import check_filter, check_topic, is_filter

log = logging.getLogger(__name__)

_EVENT_SHAPE = "SubscriptionResponseMessage"
_RECEIVE_MODES = ("RECEIVE_ALL_MESSAGES", "RECEIVE_MESSAGES_FROM_OTHERS")


class PubSubOperations:
    """Local topics."""

    def __init__(self, broker: Broker, access: AccessControl, runtime: Runtime, counters: Counters) -> None:
        self._broker = broker
        self._access = access
        self._runtime = runtime
        self._counters = counters
        self._owners: dict[int, str] = {}

    def handlers(self) -> dict[str, Handler]:
        """Operations by name."""
        return {"PublishToTopic": self.publish, "SubscribeToTopic": self.subscribe}

    def publish(self, stream: Stream, request: Mapping[str, Any]) -> Reply:
        """Deliver to every matching subscription, the publisher's own among them."""
        topic = check_topic(request.get("topic"), self._runtime.limits.topic_characters)
        self._access.check(stream.identity, PUBSUB, "PublishToTopic", topic)
        if is_filter(topic) and not self._runtime.wildcard_publish:
            raise InvalidArgumentsError(f"publish topic {topic!r} must not contain a wildcard")
        message = mapping(request, "publishMessage")
        event, survives = _event(topic, message, self._runtime.limits)
        for subscription in self._broker.find(topic):
            if survives or self._is_cli(subscription):
                subscription.deliver(topic, event)
            else:
                self._kill(subscription, topic)
        return Reply()

    def subscribe(self, stream: Stream, request: Mapping[str, Any]) -> Reply:
        """Open a subscription that lives as long as its stream."""
        topic_filter = check_filter(request.get("topic"), self._runtime.limits.topic_characters)
        self._access.check(stream.identity, PUBSUB, "SubscribeToTopic", topic_filter)
        mode = request.get("receiveMode")
        if mode is not None and text(request, "receiveMode") not in _RECEIVE_MODES:
            raise InvalidArgumentsError(f"receiveMode {mode!r} is unknown")
        limit = self._runtime.limits.subscriptions
        if limit is not None and not stream.identity.is_cli and len(self._broker) >= limit:
            raise ServiceError(f"{limit} local subscriptions are open already")
        subscription = self._broker.subscribe(topic_filter, lambda _topic, event: _send(stream, event))
        self._owners[id(subscription)] = "" if stream.identity.is_cli else stream.identity.component
        return Reply({"topicName": topic_filter}, on_close=lambda: self._end(subscription))

    def _end(self, subscription: Subscription) -> None:
        self._broker.unsubscribe(subscription)
        self._owners.pop(id(subscription), None)

    def _is_cli(self, subscription: Subscription) -> bool:
        return self._owners.get(id(subscription)) == ""

    def _kill(self, subscription: Subscription, topic: str) -> None:
        owner = self._owners.get(id(subscription), "?")
        log.warning(
            "%s: its subscription to %s is dead: a JsonMessage on %s is beyond what lite's subscribers survive"
            " (42 list items, 23 keys, 6 nested maps); send a BinaryMessage",
            owner,
            subscription.topic_filter,
            topic,
        )
        self._counters.subscriptions_killed += 1
        self._end(subscription)


def _send(stream: Stream, event: bytes) -> None:
    stream.send_event(_EVENT_SHAPE, event)


def _event(topic: str, message: Mapping[str, Any], limits: Limits) -> tuple[bytes, bool]:
    """The event's payload, and whether lite's subscribers survive it."""
    context = {"topic": topic}
    binary, document = message.get("binaryMessage"), message.get("jsonMessage")
    if isinstance(binary, dict) and document is None:
        base64_bytes(binary.get("message"), "binaryMessage.message")
        return json.dumps({"binaryMessage": {"message": binary["message"], "context": context}}).encode(), True
    if isinstance(document, dict) and binary is None:
        if not isinstance(document.get("message"), dict):
            raise InvalidArgumentsError("jsonMessage.message is not a map")
        event = {"jsonMessage": {"message": document["message"], "context": context}}
        return json.dumps(event).encode(), json_message_survives(document["message"], limits)
    raise InvalidArgumentsError("publishMessage holds neither one binaryMessage nor one jsonMessage")
