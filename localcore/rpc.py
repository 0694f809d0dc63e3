"""Event-stream RPC on top of frames: what a request is, what an operation answers, how both look on the wire."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from localcore.errors import InvalidArgumentsError, IpcError, ProtocolError
from localcore.eventstream import Frame, HeaderValue, MessageFlag, MessageType, encode
from localcore.identity import Identity

VERSION = "0.1.0"
NAMESPACE = "aws.greengrass#"
CONTROL_OPERATION = "linewatch.localcore#Control"  # our own: what greengrass-cli's operations have no words for


class Stream(Protocol):
    """What an operation may do with the stream it answers on."""

    @property
    def identity(self) -> Identity:
        """Who asked."""
        ...

    def send_event(self, shape: str, payload: bytes) -> bool:
        """Send an event after the first answer; never waits. False when it was dropped or the stream is gone."""
        ...


@dataclass(frozen=True, slots=True)
class Reply:
    """An operation's answer. With `on_close` the stream stays open for events, and `on_close` runs once at its end."""

    payload: Mapping[str, Any] = field(default_factory=dict)
    on_close: Callable[[], None] | None = None


Handler = Callable[[Stream, Mapping[str, Any]], Reply]


@dataclass(frozen=True, slots=True)
class Envelope:
    """The headers every message has."""

    kind: MessageType
    flags: int
    stream_id: int


def read_envelope(frame: Frame) -> Envelope:
    """Raises ProtocolError when a required header is missing or of another type."""
    values = []
    for name in (":message-type", ":message-flags", ":stream-id"):
        value = frame.headers.get(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise ProtocolError(f"header {name} is missing")
        values.append(value)
    try:
        return Envelope(MessageType(values[0]), values[1], values[2])
    except ValueError as error:
        raise ProtocolError(f"unknown message type {values[0]}") from error


def read_auth_token(frame: Frame) -> str:
    """The token of a connect message. Raises ProtocolError."""
    version = frame.headers.get(":version")
    if version != VERSION:
        raise ProtocolError(f"protocol version {version!r}, this core speaks {VERSION}")
    try:
        token = json.loads(frame.payload)["authToken"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ProtocolError("the connect message holds no authToken") from error
    if not isinstance(token, str):
        raise ProtocolError("authToken is not a string")
    return token


def read_request(frame: Frame) -> Mapping[str, Any]:
    """The request's JSON object. Raises InvalidArgumentsError."""
    try:
        request = json.loads(frame.payload or b"{}")
    except (ValueError, RecursionError) as error:
        raise InvalidArgumentsError("the request is not JSON") from error
    if not isinstance(request, dict):
        raise InvalidArgumentsError("the request is not a JSON object")
    return request


def control_frame(kind: MessageType, flags: int = 0, payload: bytes = b"") -> bytes:
    """A message of the connection itself, on stream 0."""
    return encode({":message-type": kind, ":message-flags": flags, ":stream-id": 0}, payload)


def message_frame(kind: MessageType, flags: int, stream_id: int, shape: str, payload: bytes) -> bytes:
    """A message on a stream; `shape` with its namespace."""
    headers: dict[str, HeaderValue] = {
        ":message-type": kind,
        ":message-flags": flags,
        ":stream-id": stream_id,
        ":content-type": "application/json",
        "service-model-type": shape,
    }
    return encode(headers, payload)


def reply_frame(operation: str, stream_id: int, reply: Reply) -> bytes:
    """The first answer to a request."""
    flags = MessageFlag.NONE if reply.on_close else MessageFlag.TERMINATE_STREAM
    payload = json.dumps(reply.payload).encode()
    return message_frame(MessageType.APPLICATION_MESSAGE, flags, stream_id, f"{operation}Response", payload)


def error_frame(stream_id: int, error: IpcError) -> bytes:
    """An error as the answer; it ends the stream."""
    text = str(error)
    payload = json.dumps({"message": text, "_message": text, "_errorCode": error.shape}).encode()
    shape = NAMESPACE + error.shape
    return message_frame(MessageType.APPLICATION_ERROR, MessageFlag.TERMINATE_STREAM, stream_id, shape, payload)
