"""Greengrass Stream Manager by its own SDK, an extra. With stream_connection the only importer of stream_manager: ImportError."""

import logging
import os
import socket
from typing import Any

import stream_manager as sdk
from cbor2 import CBORError
from linewatch_common.errors import UnavailableError
from linewatch_common.logs import one_line

from linewatch_agent.captures.stream_connection import OneConnection
from linewatch_agent.captures.streams import MessageTooLargeError, StreamSettings, digest

log = logging.getLogger(__name__)

HOST, PORT = "127.0.0.1", 8088
# An append is synced to the disk, and a slow card takes seconds for the largest message.
REQUEST_SECONDS = 30.0
PROBE_SECONDS = 1.0
LARGEST_BYTES = 64 * 1024 * 1024
# What the SDK lets through of a server that is away, hangs, or says what nobody understands.
_FAILURES = (
    sdk.StreamManagerException,
    CBORError,
    OSError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
)


class StreamManagerStream:
    """A MessageStream. The SDK takes the token from AWS_CONTAINER_AUTHORIZATION_TOKEN, the port from STREAM_MANAGER_SERVER_PORT."""

    def __init__(self, settings: StreamSettings, request_seconds: float = REQUEST_SECONDS) -> None:
        self._settings = settings
        self._request_seconds = request_seconds
        self._client: OneConnection | None = None

    @property
    def connected(self) -> bool:
        """See MessageStream."""
        return self._client is not None

    def connect(self, count: int) -> frozenset[bytes]:
        """See MessageStream."""
        self.close()
        try:
            self._client = OneConnection(HOST, _port(), self._request_seconds)
            return self._newest(self._client, count)
        except _FAILURES as error:
            self.close()
            raise UnavailableError(f"Stream Manager: {_text(error)}") from error

    def append(self, message: bytes) -> None:
        """See MessageStream."""
        if len(message) > LARGEST_BYTES:
            raise MessageTooLargeError(f"a message of {len(message)} bytes; Stream Manager takes {LARGEST_BYTES}")
        if self._client is None:
            raise UnavailableError("Stream Manager: not connected")
        try:
            self._client.append_message(self._settings.name, message)
        except sdk.RequestPayloadTooLargeException as error:
            raise MessageTooLargeError(f"a message of {len(message)} bytes: Stream Manager: {_text(error)}") from error
        except _FAILURES as error:
            self.close()
            raise UnavailableError(f"Stream Manager, stream {self._settings.name!r}: {_text(error)}") from error

    def reachable(self) -> bool:
        """See MessageStream."""
        try:
            with socket.create_connection((HOST, _port()), PROBE_SECONDS):
                return True
        except OSError:
            return False

    def close(self) -> None:
        """See MessageStream."""
        if self._client is not None:
            self._client.end()
            self._client = None

    def _newest(self, client: OneConnection, count: int) -> frozenset[bytes]:
        status = self._described(client).storage_status
        newest = status.newest_sequence_number
        if newest is None or newest < 0:
            return frozenset()
        oldest = max(status.oldest_sequence_number or 0, newest + 1 - count)
        # One at a time: a response has a largest size, and a message may be large.
        return frozenset(
            digest(message) for number in range(oldest, newest + 1) for message in self._read(client, number)
        )

    def _read(self, client: OneConnection, number: int) -> list[bytes]:
        options = sdk.ReadMessagesOptions(desired_start_sequence_number=number, max_message_count=1)
        try:
            return [bytes(message.payload) for message in client.read_messages(self._settings.name, options)]
        except (sdk.NotEnoughMessagesException, sdk.ResponsePayloadTooLargeException):
            return []  # it went for newer ones meanwhile, or is none of ours

    def _described(self, client: OneConnection) -> Any:
        """The stream's state; it is made, or brought to our settings, when it has to be."""
        name, wanted = self._settings.name, definition_of(self._settings)
        try:
            found = client.describe_message_stream(name)
        except sdk.ResourceNotFoundException:
            client.create_message_stream(wanted)
            log.info("captures: stream %s made", name)
            return client.describe_message_stream(name)
        if _essence(found.definition) != _essence(wanted):
            try:
                client.update_message_stream(wanted)
                log.info("captures: stream %s brought to the configuration", name)
            except (sdk.UpdateNotAllowedException, sdk.UpdateFailedException) as error:
                log.warning("captures: stream %s stays as somebody made it: %s", name, _text(error))
        return found


def definition_of(settings: StreamSettings) -> Any:
    """The stream as we make it: in files, and a message acknowledged is a message synced."""
    export = sdk.ExportDefinition()
    if settings.kinesis:
        export.kinesis = [
            sdk.KinesisConfig(identifier=f"{settings.name}-kinesis", kinesis_stream_name=settings.kinesis)
        ]
    strategy = sdk.StrategyOnFull.OverwriteOldestData if settings.overwrites else sdk.StrategyOnFull.RejectNewData
    return sdk.MessageStreamDefinition(
        name=settings.name,
        max_size=settings.max_bytes,
        strategy_on_full=strategy,
        persistence=sdk.Persistence.File,
        flush_on_write=True,
        export_definition=export,
    )


def _essence(definition: Any) -> tuple[Any, ...]:
    """What the configuration decides of a definition; a server may fill in the rest."""
    export = definition.export_definition
    kinesis = [each.kinesis_stream_name for each in (export.kinesis if export is not None else None) or []]
    flags = (definition.strategy_on_full, definition.persistence, definition.flush_on_write)
    return (definition.max_size, *flags, kinesis)


def _port() -> int:
    return int(os.environ.get("STREAM_MANAGER_SERVER_PORT") or PORT)


def _text(error: BaseException) -> str:
    """One line; the SDK's timeouts have no words of their own."""
    if isinstance(error, TimeoutError | LookupError):  # after a timeout it may look for a request that it forgot
        return "no answer in time"
    return one_line(error, 300) or type(error).__name__
