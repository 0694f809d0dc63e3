"""Pushes to a store of objects by key. A key derives from the content, so putting it again changes nothing."""

from dataclasses import dataclass
from typing import Protocol

from linewatch_agent.captures.pushes import Push


@dataclass(frozen=True, slots=True)
class DeviceCertificate:
    """`endpoint` is `https://<host>/role-aliases/<alias>/credentials`; files are PEM; `thing` may be empty."""

    endpoint: str
    ca_file: str
    certificate_file: str
    key_file: str
    thing: str


class ObjectStore(Protocol):
    """Objects in one bucket; safe for concurrent use."""

    bucket: str

    def put(self, key: str, data: bytes) -> None:
        """Returns when it is acknowledged. Raises UnavailableError."""

    def reachable(self) -> bool:
        """Whether it answers at all; may take some seconds."""


class CloudDestination:
    """Pushes to S3, raw data first: what a line refers to is there. A Destination."""

    counter = "captures_sent"
    embeds_all = False
    missing = ""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def uri(self, folder: str) -> str:
        """See Destination."""
        return f"s3://{self._store.bucket}/{folder}"

    def reachable(self) -> bool:
        """See Destination."""
        return self._store.reachable()

    def store(self, push: Push) -> None:
        """See Destination."""
        for path, data in push.files.raw.items():
            self._store.put(f"{push.folder}/{path}", data)
        self._store.put(f"{push.folder}/{push.name}.jsonl", push.files.lines)

    def expire(self) -> None:
        """See Destination; the bucket's own rules do it."""

    def close(self) -> None:
        """See Destination."""
