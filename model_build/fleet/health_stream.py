"""Health reports as a delivery stream leaves them: objects of many lines, so that ten thousand devices cost a few calls, not ten thousand.

The IoT rule hands every report to Amazon Data Firehose, which writes an object each minute or each few megabytes below
`<prefix>YYYY/MM/DD/HH/` (UTC), one line each: {"device": the thing of the topic, "report": the device's bytes in base64}. So nothing in a
report can pass for the name of the device, or for another line.
"""

import hashlib
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec

from model_build.fleet.calls import Caller
from model_build.fleet.configuration import moment_text
from model_build.fleet.errors import NotFoundError
from model_build.fleet.health import Listed

# Every gate calls a device silent after five minutes; the stream holds a report back for one or two. Each minute more costs every
# first look a whole fleet's reports.
WINDOW = timedelta(minutes=10)
# An object stands under the hour in which its first report came in, and is written a buffer's time later.
_HELD = timedelta(minutes=5)
# A report is 4 KB at most, by a third more in base64; the thing's name has at most 128 characters.
MAX_LINE_BYTES = 6_000
_LINE_CHUNK = 1024 * 1024


class _Line(msgspec.Struct):
    """What the rule made of a report."""

    device: str
    report: bytes


class _Head(msgspec.Struct):
    """What decides which report of a device is the newest."""

    at: str


class StreamReports:
    """HealthReports in a stream's objects. Objects are read once in the life of this instance, so polling costs only what is new."""

    def __init__(
        self,
        client: Any,
        bucket: str,
        prefix: str,
        caller: Caller,
        clock: Callable[[], datetime],
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix
        self._call = caller
        self._clock = clock
        self._read: dict[str, datetime] = {}  # keys that were read; those out of the window are forgotten
        self._newest: dict[str, tuple[str, bytes, Listed]] = {}
        self.unreadable = 0

    def listing(self) -> dict[str, Listed]:
        """See HealthReports: one call for each hour and each object that is new."""
        now = self._clock()
        for key, modified in self._new_objects(now):
            self._take(key, moment_text(modified))
            self._read[key] = modified
        self._read = {key: at for key, at in self._read.items() if at >= now - 2 * WINDOW}
        return {thing: listed for thing, (_, _, listed) in self._newest.items()}

    def read(self, thing: str) -> bytes | None:
        """See HealthReports: from memory, after `listing`."""
        found = self._newest.get(thing)
        return None if found is None else found[1]

    def _new_objects(self, now: datetime) -> Iterator[tuple[str, datetime]]:
        for hour in _hours(now - WINDOW - _HELD, now):
            token: dict[str, str] = {}
            while True:
                prefix = f"{self._prefix}{hour}"
                answer = self._call(self._client, "list_objects_v2", Bucket=self._bucket, Prefix=prefix, **token)
                for entry in answer.get("Contents", []):
                    if entry["Key"] not in self._read and entry["LastModified"] >= now - WINDOW:
                        yield entry["Key"], entry["LastModified"]
                if not answer.get("IsTruncated"):
                    break
                token = {"ContinuationToken": answer["NextContinuationToken"]}

    def _take(self, key: str, received: str) -> None:
        try:
            body = self._call(self._client, "get_object", Bucket=self._bucket, Key=key)["Body"]
        except NotFoundError:
            return  # its life in the bucket has ended since it was listed
        for line in body.iter_lines(chunk_size=_LINE_CHUNK):
            self._keep(line, received)

    def _keep(self, line: bytes, received: str) -> None:
        """A line that is no report is counted and passed over: one device must not stop the fleet."""
        if not line:
            return
        try:
            found = msgspec.json.decode(line, type=_Line) if len(line) <= MAX_LINE_BYTES else None
            head = None if found is None else msgspec.json.decode(found.report, type=_Head)
        except (msgspec.DecodeError, UnicodeDecodeError):
            found = head = None
        if found is None or head is None:
            self.unreadable += 1
            return
        known = self._newest.get(found.device)
        at = min(head.at, received)  # a clock that ran ahead once must not hide what comes after it
        if known is None or at >= known[0]:
            tag = hashlib.blake2b(found.report, digest_size=16).hexdigest()
            self._newest[found.device] = (at, found.report, Listed(tag=tag, received=received))


def _hours(first: datetime, last: datetime) -> Iterator[str]:
    """Key parts of the hours from `first` to `last`, both taken in, in UTC."""
    hour = first.replace(minute=0, second=0, microsecond=0)
    while hour <= last:
        yield hour.strftime("%Y/%m/%d/%H/")
        hour += timedelta(hours=1)
