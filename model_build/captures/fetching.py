"""Captured data from S3 to a folder that mirrors the keys. What is there in the same size stays; an interrupted fetch goes on."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from linewatch_common.errors import InputError, StorageError, UnavailableError
from linewatch_common.files import write_atomically

_URI = re.compile(r"^s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(/(?P<prefix>.*))?$")
_HOUR = re.compile(r"/(\d{4})/(\d\d)/(\d\d)/\d\d/")


@dataclass(frozen=True, slots=True)
class Source:
    """`s3://bucket/prefix`, and the first day that is wanted (YYYY-MM-DD, UTC; None: all)."""

    bucket: str
    prefix: str
    since: str | None = None

    @classmethod
    def parse(cls, uri: str, since: str | None = None) -> "Source":
        """Raises InputError for anything but an S3 address."""
        match = _URI.match(uri)
        if match is None:
            raise InputError(f"{uri!r} is no S3 address, expected s3://BUCKET/PREFIX")
        prefix = (match["prefix"] or "").strip("/")
        return cls(match["bucket"], f"{prefix}/" if prefix else "", since)


@dataclass(frozen=True, slots=True)
class Fetched:
    """How many objects were fetched, and how many were there already."""

    fetched: int
    there: int


def fetch(s3: Any, source: Source, folder: Path, steps: Callable[[Iterable[Any]], Iterable[Any]]) -> Fetched:
    """Mirror the objects below `source` into `folder`. `s3`: a boto3 client. Raises UnavailableError, InputError, StorageError."""
    fetched = there = 0
    for key, size in steps(_objects(s3, source)):
        path = _place(folder, key.removeprefix(source.prefix))
        if path.is_file() and path.stat().st_size == size:
            there += 1
            continue
        try:
            data = s3.get_object(Bucket=source.bucket, Key=key)["Body"].read()
        except (BotoCoreError, ClientError, OSError) as error:
            raise UnavailableError(
                f"s3://{source.bucket}/{key}: {error}; run the same command again to go on"
            ) from error
        _store(path, data)
        fetched += 1
    return Fetched(fetched, there)


def _objects(s3: Any, source: Source) -> Iterator[tuple[str, int]]:
    try:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=source.bucket, Prefix=source.prefix):
            for entry in page.get("Contents", []):
                if _wanted(entry["Key"], source.since):
                    yield entry["Key"], entry["Size"]
    except (BotoCoreError, ClientError) as error:
        raise UnavailableError(f"s3://{source.bucket}/{source.prefix}: {error}") from error


def _wanted(key: str, since: str | None) -> bool:
    """Objects of an hour's folder, from the first day on, but not the marks of folders, which end with a slash."""
    hour = None if key.endswith("/") else _HOUR.search(key)
    return hour is not None and (since is None or "-".join(hour.groups()) >= since)


def _place(folder: Path, name: str) -> Path:
    tail = PurePosixPath(name)
    if tail.is_absolute() or ".." in tail.parts or "\\" in name or "\0" in name:
        raise InputError(f"the key {name!r} leaves the folder; nothing of it was written")
    return folder.joinpath(*tail.parts)


def _store(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{path.parent}: {error.strerror}") from error
    write_atomically(path, data, mode=0o644)
