"""One client's connection: connect with a token, then requests on streams.

Outbound policy: answers are always sent, but a client that does not read them is not read either; events for a client
whose unread output has reached the bound are dropped, newest first, and counted. So no subscriber can hold up another.
"""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from linewatch_common.errors import LinewatchError

from localcore.errors import IpcError, ProtocolError, ServiceError
from localcore.eventstream import Decoder, Frame, MessageFlag, MessageType
from localcore.identity import Identity
from localcore.rpc import (
    CONTROL_OPERATION,
    NAMESPACE,
    Reply,
    control_frame,
    error_frame,
    message_frame,
    read_auth_token,
    read_envelope,
    read_request,
    reply_frame,
)

if TYPE_CHECKING:
    from localcore.server import Hub

log = logging.getLogger(__name__)

_CONNECT_TIMEOUT_S = 10.0  # the client's own patience for its connect
_MAX_OUTBOUND_BYTES = 1024 * 1024  # about 100 of the largest messages on lite: seconds of a busy line
_PAUSE_READING_BYTES = 256 * 1024
_CLI_PACKET_BYTES = 1024 * 1024  # the command line's own requests are not under the runtime's limit
_MAX_STREAMS = 1024


class _Stream:
    """The stream of one request."""

    def __init__(self, connection: "Connection", stream_id: int, identity: Identity) -> None:
        self._connection = connection
        self._id = stream_id
        self._identity = identity

    @property
    def identity(self) -> Identity:
        return self._identity

    def send_event(self, shape: str, payload: bytes) -> bool:
        return self._connection.send_event(self._id, shape, payload)


class Connection(asyncio.Protocol):
    """A client, from accept to close."""

    def __init__(self, hub: "Hub") -> None:
        self._hub = hub
        self._decoder = Decoder(hub.runtime.limits.packet_bytes)
        self._transport: asyncio.Transport | None = None
        self._identity: Identity | None = None
        self._streams: dict[int, Callable[[], None]] = {}
        self._deadline: asyncio.TimerHandle | None = None
        self._dropped = 0
        self.token = ""

    @property
    def is_component(self) -> bool:
        """Whether a component, not the command line, holds this connection."""
        return self._identity is not None and not self._identity.is_cli

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_PAUSE_READING_BYTES)
        self._hub.connections.add(self)
        self._hub.counters.connections += 1
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(_CONNECT_TIMEOUT_S, self._refuse, "no connect message in time")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if self._deadline is not None:
            self._deadline.cancel()
        self._hub.connections.discard(self)
        streams, self._streams = self._streams, {}
        for on_close in streams.values():
            on_close()
        self._transport = None
        if self._dropped:
            log.warning("%s: %d events were dropped because it did not read them", self._name, self._dropped)

    def pause_writing(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._decoder.feed(data):
                self._on_frame(frame)
                if self._transport is None or self._transport.is_closing():
                    return
        except ProtocolError as error:
            self._fail(error)

    def close(self) -> None:
        """Close the connection; pending output is still sent."""
        if self._transport is not None:
            self._transport.close()

    def send_event(self, stream_id: int, shape: str, payload: bytes) -> bool:
        """Send an event on an open stream, or drop it; never waits."""
        if self._transport is None or self._transport.is_closing() or stream_id not in self._streams:
            return False
        frame = message_frame(MessageType.APPLICATION_MESSAGE, 0, stream_id, NAMESPACE + shape, payload)
        if self._transport.get_write_buffer_size() + len(frame) > _MAX_OUTBOUND_BYTES:
            self._drop()
            return False
        if self.is_component and len(frame) > self._hub.runtime.limits.packet_bytes:
            log.warning("%s: an event of %d B is over the packet limit and was dropped", self._name, len(frame))
            self._hub.counters.events_dropped += 1
            return False
        self._transport.write(frame)
        self._hub.counters.events_sent += 1
        return True

    @property
    def _name(self) -> str:
        return self._identity.component if self._identity else "a client that did not connect"

    def _drop(self) -> None:
        self._hub.counters.events_dropped += 1
        self._dropped += 1
        if self._dropped == 1:
            log.warning("%s does not read its messages: further events are dropped and counted", self._name)

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _refuse(self, reason: str) -> None:
        self._hub.counters.refused += 1
        log.warning("IPC connection refused: %s", reason)
        self._write(control_frame(MessageType.CONNECT_ACK))
        self.close()

    def _fail(self, error: ProtocolError) -> None:
        self._hub.counters.protocol_errors += 1
        log.warning("%s: %s; its connection is closed", self._name, error)
        self._write(control_frame(MessageType.PROTOCOL_ERROR, payload=json.dumps({"message": str(error)}).encode()))
        self.close()

    def _on_frame(self, frame: Frame) -> None:
        envelope = read_envelope(frame)
        if self._identity is None:
            if envelope.kind != MessageType.CONNECT or envelope.stream_id != 0:
                raise ProtocolError("the first message is not a connect")
            self._connect(read_auth_token(frame))
        elif envelope.kind == MessageType.PING:
            self._write(control_frame(MessageType.PING_RESPONSE, payload=frame.payload))
        elif envelope.kind == MessageType.APPLICATION_MESSAGE:
            self._on_message(frame, envelope.stream_id, envelope.flags)
        elif envelope.kind == MessageType.CONNECT:
            raise ProtocolError("a second connect message")

    def _connect(self, token: str) -> None:
        identity = self._hub.tokens.find(token)
        if identity is None:
            self._refuse("the token is unknown or dead")
            return
        if not identity.is_cli and not self._hub.room_for_client():
            self._refuse(f"{identity.component}: {self._hub.runtime.limits.clients} clients are connected already")
            return
        if self._deadline is not None:
            self._deadline.cancel()
        self._identity = identity
        self.token = token
        if identity.is_cli:
            self._decoder.max_frame_bytes = _CLI_PACKET_BYTES
        self._write(control_frame(MessageType.CONNECT_ACK, MessageFlag.CONNECTION_ACCEPTED))

    def _on_message(self, frame: Frame, stream_id: int, flags: int) -> None:
        if stream_id in self._streams:
            if flags & MessageFlag.TERMINATE_STREAM:
                self._streams.pop(stream_id)()
            return
        operation = frame.headers.get("operation")
        if not isinstance(operation, str):
            if flags & MessageFlag.TERMINATE_STREAM:
                return  # the client closes a stream that has just ended
            raise ProtocolError("a request without an operation")
        if stream_id <= 0 or len(self._streams) >= _MAX_STREAMS:
            raise ProtocolError(f"stream {stream_id} cannot be opened")
        self._write(self._answer(operation, stream_id, frame))

    def _answer(self, operation: str, stream_id: int, frame: Frame) -> bytes:
        try:
            reply = self._call(operation, stream_id, frame)
            data = reply_frame(operation, stream_id, reply)
        except IpcError as error:
            return error_frame(stream_id, error)
        except LinewatchError as error:  # a full disk, for one
            log.error("%s: %s: %s", self._name, operation, error)  # noqa: TRY400 - the message says it all
            return error_frame(stream_id, ServiceError(str(error)))
        except Exception:
            log.exception("%s: %s failed inside the core", self._name, operation)
            return error_frame(stream_id, ServiceError("the core failed; see its log"))
        if self.is_component and len(data) > self._hub.runtime.limits.packet_bytes:
            return error_frame(
                stream_id, ServiceError(f"the answer of {len(data)} B is over the runtime's packet limit")
            )
        if reply.on_close is not None:
            self._streams[stream_id] = reply.on_close
        return data

    def _call(self, operation: str, stream_id: int, frame: Frame) -> Reply:
        identity = cast(Identity, self._identity)
        name = operation.removeprefix(NAMESPACE)
        refused = self._hub.runtime.operations_refused
        handler = self._hub.handlers.get(name)
        if handler is None or (not identity.is_cli and (name in refused or name == CONTROL_OPERATION)):
            raise ServiceError(f"Greengrass {self._hub.runtime.name} does not serve {name} to {identity.component}")
        return handler(_Stream(self, stream_id, identity), read_request(frame))
