"""A push: the files that one segment becomes, and where it goes."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from linewatch_agent.captures.lines import LineWriter, PushedFiles
from linewatch_agent.captures.segments import Content, SegmentHeader


@dataclass(frozen=True, slots=True)
class Push:
    """`<folder>/<name>.jsonl` and the raw files that its lines refer to, below `folder`. The same segment makes the same push."""

    folder: str
    name: str
    files: PushedFiles
    sampled: bool


class Destination(Protocol):
    """Where pushes go; used by one thread."""

    counter: str

    def uri(self, folder: str) -> str:
        """How lines refer to what lies in `folder`."""

    def store(self, push: Push) -> None:
        """Returns when it has arrived for good; storing it again changes nothing. Raises UnavailableError: try again later."""

    def reachable(self) -> bool:
        """Whether there is any use in trying; may take some seconds."""


def folder_of(header: SegmentHeader) -> str:
    """`<prefix>/<fleet>/<model>/YYYY/MM/DD/HH` in UTC."""
    hour = datetime.fromtimestamp(header.created_ns // 10**9, tz=UTC)
    return f"{header.prefix}/{header.origin.fleet}/{header.model_name}/{hour:%Y/%m/%d/%H}"


def push_of(content: Content, destination: Destination) -> Push:
    """Make the push of a segment's content."""
    header, folder = content.header, folder_of(content.header)
    writer = LineWriter(header.origin, header.embed_limit, destination.uri(folder), content.name)
    return Push(folder, content.name, writer.write(content.captures), header.sampled)
