"""Stored health of the fleet: what an IoT rule wrote of each device's reports, read in bulk.

The rule writes `<prefix><thing>.json` (schema linewatch.FleetHealth/1, overwritten by each report). `gather` folds the reports into one
object (`summary.json` in the fleet's state), reading only those that changed since the last time; status and gates read that.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import msgspec
from linewatch_common.errors import MessageError
from linewatch_common.messages.base import decode as decode_message
from linewatch_common.messages.fleet import FleetHealth

from model_build.fleet.calls import Caller
from model_build.fleet.configuration import decode, moment_of, moment_text
from model_build.fleet.errors import NotFoundError
from model_build.fleet.records import DeviceTally, Tally
from model_build.fleet.store import StateStore

SUMMARY_KEY = "health/summary.json"
SUFFIX = ".json"
# boto3 clients are safe to share; more threads than this only queue at one core.
READERS = 16


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One stored report, unread: `tag` changes with its content, `received` is UTC text of the store's clock."""

    tag: str
    received: str


class HealthReports(Protocol):
    """Reports of devices by thing name."""

    def listing(self) -> dict[str, Listed]:
        """All of them, by few calls."""

    def read(self, thing: str) -> bytes | None:
        """One report; None when it has gone."""


class S3Reports:
    """HealthReports in S3, below a prefix such as `health/`."""

    def __init__(self, client: Any, bucket: str, prefix: str, caller: Caller) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix
        self._call = caller

    def listing(self) -> dict[str, Listed]:
        """See HealthReports: one call a thousand devices."""
        found: dict[str, Listed] = {}
        token: dict[str, str] = {}
        while True:
            answer = self._call(self._client, "list_objects_v2", Bucket=self._bucket, Prefix=self._prefix, **token)
            for entry in answer.get("Contents", []):
                name = entry["Key"].removeprefix(self._prefix)
                if name.endswith(SUFFIX) and "/" not in name:
                    seen: datetime = entry["LastModified"]
                    found[name.removesuffix(SUFFIX)] = Listed(tag=entry["ETag"], received=moment_text(seen))
            if not answer.get("IsTruncated"):
                return found
            token = {"ContinuationToken": answer["NextContinuationToken"]}

    def read(self, thing: str) -> bytes | None:
        """See HealthReports."""
        try:
            answer = self._call(self._client, "get_object", Bucket=self._bucket, Key=f"{self._prefix}{thing}{SUFFIX}")
        except NotFoundError:
            return None
        body: bytes = answer["Body"].read()
        return body


class Report(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept of a device's newest report. `received` is the store's clock, `at` and `since` are the device's."""

    tag: str
    received: str
    at: str = ""
    since: str = ""
    versions: dict[str, str] = {}
    states: dict[str, str] = {}
    models: list[str] = []
    waiting: dict[str, str] = {}  # identifier of a model to when the window opens that it waits for
    outcomes: dict[str, int] = {}
    latency: list[int] = []
    alerts: list[str] = []
    reason: str = ""
    unreadable: str = ""  # why, when it is not a report

    @property
    def counted(self) -> DeviceTally:
        """Its counts."""
        return DeviceTally(since=self.since, tally=Tally(outcomes=self.outcomes, latency=self.latency))


class Summary(msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag="linewatch.FleetHealthSummary/1"):
    """The newest report of each device, gathered at `at` (UTC text)."""

    at: str
    reports: dict[str, Report]


def gather(
    reports: HealthReports,
    store: StateStore,
    things: Iterable[str],
    now: datetime,
    on_step: Callable[[int], None] = lambda _: None,
) -> Summary:
    """Fold the newest reports of `things` into the summary, store it and give it back. One read for each report that changed."""
    known = read_summary(store).reports
    listed = reports.listing()
    wanted = set(things)
    changed = sorted(
        thing for thing in wanted & listed.keys() if thing not in known or known[thing].tag != listed[thing].tag
    )
    merged = dict(known)
    with ThreadPoolExecutor(READERS, thread_name_prefix="health") as pool:
        for done, (thing, raw) in enumerate(zip(changed, pool.map(reports.read, changed), strict=True), 1):
            if raw is not None:
                merged[thing] = digest(thing, raw, listed[thing])
            on_step(done)
    for thing in wanted - listed.keys():
        merged.pop(thing, None)
    for thing in (known.keys() & listed.keys()) - wanted:  # heard meanwhile, though nobody asked what it said
        merged[thing] = msgspec.structs.replace(known[thing], received=listed[thing].received)
    summary = Summary(at=moment_text(now), reports=merged)
    store.write(SUMMARY_KEY, msgspec.json.encode(summary))
    return summary


def read_summary(store: StateStore) -> Summary:
    """The stored one, an empty one when nothing was gathered yet. Raises FleetInputError."""
    found = store.read(SUMMARY_KEY)
    if found is None:
        return Summary(at="", reports={})
    return decode(found[0], Summary, f"{store.address}{SUMMARY_KEY}")


def digest(thing: str, raw: bytes, listed: Listed) -> Report:
    """What is kept of a report. Whatever a device sends must not stop the fleet: an unreadable one says why."""
    try:
        message: FleetHealth = decode_message(raw, FleetHealth)
    except MessageError as error:
        return Report(tag=listed.tag, received=listed.received, unreadable=str(error)[:200])
    problem = _moments_problem(message)
    if problem:
        return Report(tag=listed.tag, received=listed.received, unreadable=problem)
    if message.thing != thing:
        return Report(tag=listed.tag, received=listed.received, unreadable=f"it names the thing {message.thing!r}")
    return Report(
        tag=listed.tag,
        received=listed.received,
        at=message.at,
        since=message.since,
        versions={name: heard.version for name, heard in message.components.items()},
        states={name: str(heard.state) for name, heard in message.components.items()},
        models=[use.identifier for use in message.models],
        waiting={wait.identifier: wait.until for wait in message.waiting},
        outcomes=message.outcomes,
        latency=message.latency_ms,
        alerts=list(message.alerts),
        reason=message.reason,
    )


def _moments_problem(message: FleetHealth) -> str:
    """The schema knows what a moment looks like, not that there is no month 13."""
    try:
        for text in (message.at, message.since, *(wait.until for wait in message.waiting)):
            moment_of(text)
    except ValueError:
        return f"{text!r} is no moment"
    return ""


def tallies(reports: Mapping[str, Report], things: Iterable[str]) -> dict[str, DeviceTally]:
    """The counts of those of `things` that sent a readable report."""
    return {thing: reports[thing].counted for thing in things if thing in reports and not reports[thing].unreadable}


class FolderReports:
    """HealthReports in a folder of `<thing>.json`; a file's time is when it was received."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def listing(self) -> dict[str, Listed]:
        """See HealthReports."""
        found: dict[str, Listed] = {}
        try:
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    if entry.name.endswith(SUFFIX):
                        seen = entry.stat()
                        received = datetime.fromtimestamp(seen.st_mtime, UTC)
                        found[entry.name.removesuffix(SUFFIX)] = Listed(
                            tag=f"{seen.st_mtime_ns}-{seen.st_size}", received=moment_text(received)
                        )
        except FileNotFoundError:
            return {}
        return found

    def read(self, thing: str) -> bytes | None:
        """See HealthReports."""
        try:
            return (self._folder / f"{thing}{SUFFIX}").read_bytes()
        except FileNotFoundError:
            return None
