"""S3 as far as a fleet's state and health need it. LastModified follows a clock that is handed in, which moto cannot do."""

import contextlib
import hashlib
import json
import threading
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from typing import Any
from xml.sax.saxutils import escape

from tests.fakes.loopback import LoopbackServer, QuietHandler

PAGE = 1000
CONTROL = "/_control"
Control = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object as it was written last."""

    body: bytes
    tag: str
    modified: datetime


class Objects:
    """Objects by `bucket/key`, and how often each operation was asked for."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._objects: dict[str, StoredObject] = {}
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()

    def count(self, operation: str) -> None:
        """One call more."""
        with self._lock:
            self.counts[operation] += 1

    def get(self, path: str) -> StoredObject | None:
        """None: it is not there."""
        with self._lock:
            return self._objects.get(path)

    def put(self, path: str, body: bytes, *, if_match: str = "", if_none_match: str = "") -> StoredObject | None:
        """Write it; None when the condition does not hold."""
        with self._lock:
            standing = self._objects.get(path)
            if (if_none_match and standing) or (if_match and (standing is None or standing.tag != if_match)):
                return None
            made = StoredObject(body, f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"', self._clock())
            self._objects[path] = made
            return made

    def forget(self, prefix: str, before: datetime) -> None:
        """What a lifecycle rule removes."""
        with self._lock:
            for path in [p for p, each in self._objects.items() if p.startswith(prefix) and each.modified < before]:
                del self._objects[path]

    def page(self, bucket: str, prefix: str, after: str) -> tuple[list[tuple[str, StoredObject]], bool]:
        """Keys in order after `after`, at most PAGE, and whether there are more."""
        start = f"{bucket}/{prefix}"
        with self._lock:
            rows = sorted(
                (path.removeprefix(f"{bucket}/"), each)
                for path, each in self._objects.items()
                if path.startswith(start)
            )
        rows = [row for row in rows if row[0] > after]
        return rows[:PAGE], len(rows) > PAGE


class ObjectServer(LoopbackServer):
    """On a free port of 127.0.0.1. `control` answers JSON commands to CONTROL."""

    def __init__(self, objects: Objects, control: Control) -> None:
        self.objects = objects
        self.control = control
        super().__init__(_Handler)


class _Handler(QuietHandler):
    server: ObjectServer

    def do_POST(self) -> None:  # noqa: N802 - the base class calls it so
        command = json.loads(self._body())
        self._answer(200, json.dumps(self.server.control(command)).encode(), {"Content-Type": "application/json"})

    def do_PUT(self) -> None:  # noqa: N802 - the base class calls it so
        body = self._body()
        if self.headers.get("Content-Encoding", "") == "aws-chunked":
            self._error(501, "NotImplemented")
            return
        self.server.objects.count("PutObject")
        conditions = {
            "if_match": self.headers.get("If-Match", ""),
            "if_none_match": self.headers.get("If-None-Match", ""),
        }
        made = self.server.objects.put(self._path()[0], body, **conditions)
        if made is None:
            self._error(412, "PreconditionFailed")
        else:
            self._answer(200, b"", {"ETag": made.tag})

    def do_GET(self) -> None:  # noqa: N802 - the base class calls it so
        path, query = self._path()
        if query.get("list-type") == ["2"]:
            self.server.objects.count("ListObjectsV2")
            self._list(path.strip("/"), query)
            return
        self.server.objects.count("GetObject")
        found = self.server.objects.get(path)
        if found is None:
            self._error(404, "NoSuchKey")
            return
        modified = format_datetime(found.modified, usegmt=True)
        self._answer(200, found.body, {"ETag": found.tag, "Last-Modified": modified})

    def _list(self, bucket: str, query: dict[str, list[str]]) -> None:
        prefix, after = query.get("prefix", [""])[0], query.get("continuation-token", [""])[0]
        rows, more = self.server.objects.page(bucket, prefix, after)
        entries = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>{each.modified:%Y-%m-%dT%H:%M:%S.000Z}</LastModified>"
            f"<ETag>{escape(each.tag)}</ETag><Size>{len(each.body)}</Size></Contents>"
            for key, each in rows
        )
        token = f"<NextContinuationToken>{escape(rows[-1][0])}</NextContinuationToken>" if more else ""
        text = f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{token}{entries}</ListBucketResult>"
        self._answer(200, text.encode(), {"Content-Type": "application/xml"})

    def _path(self) -> tuple[str, dict[str, list[str]]]:
        target = urllib.parse.urlsplit(self.path)
        return urllib.parse.unquote(target.path).lstrip("/"), urllib.parse.parse_qs(
            target.query, keep_blank_values=True
        )

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _error(self, status: int, code: str) -> None:
        self._answer(status, f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode(), {})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextlib.contextmanager
def serving_objects(objects: Objects, control: Control) -> Iterator[ObjectServer]:
    """A server on a thread."""
    server = ObjectServer(objects, control)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
