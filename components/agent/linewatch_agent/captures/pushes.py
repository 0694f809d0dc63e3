"""A push: the files that one segment becomes, and where it goes."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from linewatch_common.errors import InputError

from linewatch_agent.captures.lines import LineWriter, PushedFiles
from linewatch_agent.captures.segments import Content, SegmentHeader


@dataclass(frozen=True, slots=True)
class Push:
    """`<folder>/<name>.jsonl` and the raw files that its lines refer to, below `folder`. The same segment makes the same push."""

    folder: str
    name: str
    files: PushedFiles
    sampled: bool


class RefusedLinesError(InputError):
    """All lines of a push arrived but these, by place, which never can."""

    def __init__(self, message: str, places: frozenset[int]) -> None:
        super().__init__(message)
        self.places = places


class Destination(Protocol):
    """Where pushes go; used by one thread. `embeds_all`: it takes lines alone, no files beside them.

    `missing` says what has to be installed before it takes anything; empty when nothing has.
    """

    counter: str
    embeds_all: bool
    missing: str

    def uri(self, folder: str) -> str:
        """How lines refer to what lies in `folder`."""

    def store(self, push: Push) -> None:
        """Returns when it has arrived for good; storing it again changes nothing.

        Raises UnavailableError: try again later; RefusedLinesError: try no more.
        """

    def reachable(self) -> bool:
        """Whether there is any use in trying; may take some seconds."""

    def expire(self) -> None:
        """Let go of what arrived and is too old; called now and then while there is nothing to store. Raises UnavailableError."""

    def close(self) -> None:
        """Give up connections; another `store` makes them anew."""


def folder_of(header: SegmentHeader) -> str:
    """`<prefix>/<fleet>/<model>/YYYY/MM/DD/HH` in UTC."""
    hour = datetime.fromtimestamp(header.created_ns // 10**9, tz=UTC)
    return f"{header.prefix}/{header.origin.fleet}/{header.model_name}/{hour:%Y/%m/%d/%H}"


def push_of(content: Content, destination: Destination) -> Push:
    """Make the push of a segment's content."""
    header, folder = content.header, folder_of(content.header)
    embed_limit = None if destination.embeds_all else header.embed_limit
    writer = LineWriter(header.origin, embed_limit, destination.uri(folder), content.name)
    return Push(folder, content.name, writer.write(content.captures), header.sampled)
