"""How a message becomes bytes and back.

A message is a JSON object whose `schema` names its type and major version, e.g. "linewatch.Verdict/1". Receivers ignore fields they do
not know, so a minor addition breaks nobody; a change that would break a receiver takes a new major version.
"""

from typing import Annotated, Any, TypeVar

import msgspec

from linewatch_common.errors import MessageError

# Greengrass lite closes the whole connection on an IPC packet over 10,000 bytes; base64 and the topic leave about 7,300.
MAX_MESSAGE_BYTES = 7_000

Identifier = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
PartId = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
Reason = Annotated[str, msgspec.Meta(max_length=300)]
UtcTime = Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$")]
Score = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Count = Annotated[int, msgspec.Meta(ge=0)]


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", omit_defaults=False):
    """Base of every message; a subclass names its schema with `tag="linewatch.<Name>/<major>"`."""


M = TypeVar("M")
_encoder = msgspec.json.Encoder()


def schema_of(message_type: type[Message]) -> str:
    """The schema name of a message type, e.g. "linewatch.Verdict/1"."""
    return str(message_type.__struct_config__.tag)


def encode(message: Message) -> bytes:
    """UTF-8 JSON of a message.

    Raises MessageError when it is larger than MAX_MESSAGE_BYTES: such a message would cost the sender its connection.
    """
    raw = _encoder.encode(message)
    if len(raw) > MAX_MESSAGE_BYTES:
        raise MessageError(f"{schema_of(type(message))}: {len(raw)} bytes, at most {MAX_MESSAGE_BYTES} can be sent")
    return raw


def decode(raw: bytes, message_type: Any) -> Any:
    """The message in `raw`, of `message_type` (a message class or a union of them).

    Raises MessageError with one line that names the schema and the field when it is not such a message.
    """
    if len(raw) > MAX_MESSAGE_BYTES:
        raise MessageError(f"message of {len(raw)} bytes refused, at most {MAX_MESSAGE_BYTES} are read")
    try:
        return msgspec.json.decode(raw, type=message_type)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MessageError(f"message {_excerpt(raw)} refused: {error}") from error


def _excerpt(raw: bytes, length: int = 60) -> str:
    text = raw[:length].decode("utf-8", "replace")
    return repr(text) + ("…" if len(raw) > length else "")
