"""Pushes to a stream of messages, a line each. What is appended twice is there twice: before a repetition the stream is read."""

import hashlib
from dataclasses import dataclass
from typing import Protocol

from linewatch_common.errors import InputError, UnavailableError

from linewatch_agent.captures.pushes import Push, RefusedLinesError

# Somebody else's messages at the end of the stream that a repeated push is still recognised behind.
SPARE_MESSAGES = 16


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """The stream, made when it is not there. `kinesis`: the Kinesis data stream it is exported to; empty: none."""

    name: str
    max_bytes: int
    overwrites: bool  # the oldest when it is full; else what comes is refused
    kinesis: str


class MessageTooLargeError(InputError):
    """The stream takes no message of this size."""


class MessageStream(Protocol):
    """An ordered, durable stream. Used by one thread, but for `reachable`."""

    @property
    def connected(self) -> bool:
        """Whether there is a connection on which nothing has failed yet."""

    def connect(self, count: int) -> frozenset[bytes]:
        """Connect anew; digests of the newest messages, at most `count`: the messages may be larger than memory.

        Raises UnavailableError.
        """

    def append(self, message: bytes) -> None:
        """Returns when it is acknowledged. Raises MessageTooLargeError.

        Raises UnavailableError: it may be there or not, and there is no connection any more.
        """

    def reachable(self) -> bool:
        """Whether it answers at all; may take some seconds."""

    def close(self) -> None:
        """Give up the connection."""


class StreamDestination:
    """A line with all its data is a message. A Destination.

    A push of which some lines arrived (a kill, a cut) is recognised by what the stream held at the new connection: the last
    `newest` messages, which must be more than a push has.
    """

    counter = "captures_sent"
    embeds_all = True
    missing = ""

    def __init__(self, stream: MessageStream, newest: int) -> None:
        self._stream = stream
        self._newest = newest
        self._held: frozenset[bytes] = frozenset()  # digests

    def uri(self, folder: str) -> str:
        """See Destination; no line refers to anything."""
        return folder

    def reachable(self) -> bool:
        """See Destination."""
        return self._stream.reachable()

    def store(self, push: Push) -> None:
        """See Destination."""
        if not self._stream.connected:
            self._held = self._stream.connect(self._newest)
        refused: dict[int, str] = {}
        for place, line in enumerate(push.files.lines.splitlines()):
            if digest(line) in self._held:
                continue
            try:
                self._stream.append(line)
            except MessageTooLargeError as error:
                refused[place] = str(error)
        if refused:
            raise RefusedLinesError(next(iter(refused.values())), frozenset(refused))

    def expire(self) -> None:
        """See Destination; the stream's own bounds do it."""

    def close(self) -> None:
        """See Destination."""
        self._stream.close()


class MissingDestination:
    """Nothing can be sent: something is not installed. What waits in the spool waits on. A Destination."""

    counter = "captures_sent"
    embeds_all = True

    def __init__(self, missing: str) -> None:
        self.missing = missing

    def uri(self, folder: str) -> str:
        """See Destination."""
        return folder

    def reachable(self) -> bool:
        """See Destination."""
        return False

    def store(self, push: Push) -> None:  # noqa: ARG002 - the port's
        """See Destination."""
        raise UnavailableError(self.missing)

    def expire(self) -> None:
        """See Destination; the stream's own bounds do it."""

    def close(self) -> None:
        """See Destination."""


def digest(message: bytes) -> bytes:
    """What a message is recognised by."""
    return hashlib.sha256(message).digest()
