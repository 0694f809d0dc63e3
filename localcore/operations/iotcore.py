"""PublishToIoTCore and SubscribeToIoTCore."""

import base64
import json
import logging
from collections.abc import Mapping
from typing import Any

from localcore.access import AccessControl
from localcore.authorization import MQTTPROXY
from localcore.errors import InvalidArgumentsError
from localcore.iotcore import IotCore
from localcore.operations.fields import base64_bytes
from localcore.rpc import Handler, Reply, Stream
from localcore.runtime import Runtime
from localcore.topics import check_filter, check_topic, is_filter

log = logging.getLogger(__name__)


class IotCoreOperations:
    """IoT Core topics."""

    def __init__(self, iot: IotCore, access: AccessControl, runtime: Runtime) -> None:
        self._iot = iot
        self._access = access
        self._runtime = runtime

    def handlers(self) -> dict[str, Handler]:
        """Operations by name."""
        return {"PublishToIoTCore": self.publish, "SubscribeToIoTCore": self.subscribe}

    def publish(self, stream: Stream, request: Mapping[str, Any]) -> Reply:
        """Hand a message to IoT Core."""
        topic = check_topic(request.get("topicName"), self._runtime.limits.topic_characters)
        if is_filter(topic):
            raise InvalidArgumentsError(f"publish topic {topic!r} must not contain a wildcard")
        self._access.check(stream.identity, MQTTPROXY, "PublishToIoTCore", topic)
        payload = base64_bytes(request.get("payload", ""), "payload")
        self._iot.publish(topic, payload, _qos(request), retain=request.get("retain") is True)
        return Reply()

    def subscribe(self, stream: Stream, request: Mapping[str, Any]) -> Reply:
        """Open a subscription that lives as long as its stream."""
        topic_filter = check_filter(request.get("topicName"), self._runtime.limits.topic_characters)
        self._access.check(stream.identity, MQTTPROXY, "SubscribeToIoTCore", topic_filter)
        limit = self._runtime.limits.iot_received_bytes

        def deliver(topic: str, payload: bytes) -> None:
            if len(payload) > limit and not stream.identity.is_cli:
                log.warning(
                    "a message of %d B on %s is over the limit of %d and was dropped", len(payload), topic, limit
                )
                return
            message = {"topicName": topic, "payload": base64.b64encode(payload).decode()}
            stream.send_event("IoTCoreMessage", json.dumps({"message": message}).encode())

        return Reply(on_close=self._iot.subscribe(topic_filter, _qos(request), deliver))


def _qos(request: Mapping[str, Any]) -> int:
    value = str(request.get("qos", "0"))
    if value not in ("0", "1"):
        raise InvalidArgumentsError(f"qos {value!r} is neither 0 nor 1")
    return int(value)
