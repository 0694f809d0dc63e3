"""Periodic upload of what lies on disk: the same keys in S3, and gone here once S3 has acknowledged."""

import json
import logging
import threading
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from linewatch_common.backoff import Backoff
from linewatch_common.errors import StorageError, UnavailableError

from linewatch_agent.captures.cloud import ObjectStore
from linewatch_agent.captures.disk import CaptureDisk, StoredPush, count_lines
from linewatch_agent.captures.timing import USUAL, Timing
from linewatch_agent.counters import Counters

log = logging.getLogger(__name__)

# An upload under way is tried again after the next start; a process that stops does not wait for a dead link.
STOP_SECONDS = 2.0
_LISTS = ("deviceFleetInputs", "deviceFleetOutputs", "deviceFleetAuxiliaryInputs", "deviceFleetAuxiliaryOutputs")


class PeriodicUpload:
    """Every `period` seconds, in a thread of its own, what `disk` holds goes to `store`."""

    def __init__(
        self, disk: CaptureDisk, store: ObjectStore, period: float, counters: Counters, timing: Timing = USUAL
    ) -> None:
        self._disk = disk
        self._store = store
        self._period = period
        self._counters = counters
        self._backoff = Backoff(timing.first_pause, timing.longest_pause)
        self._failing = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._upload_until_stopped, name="capture-upload", daemon=True)

    def start(self) -> None:
        """Begin to upload."""
        self._thread.start()

    def stop(self) -> None:
        """End after the object under way."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=STOP_SECONDS)

    def _upload_until_stopped(self) -> None:
        pause = self._period
        while not self._stopping.wait(pause):
            try:
                self._upload_all()
                if self._failing:
                    log.info("captures are uploaded again")
                self._failing = False
                self._backoff.reset()
                pause = self._period
            except UnavailableError as error:
                # Once for an outage, however many tries it lasts.
                log.log(logging.DEBUG if self._failing else logging.WARNING, "captures stay on disk: %s", error)
                self._failing = True
                pause = max(self._period, self._backoff.pause())
            except Exception:  # a thread's top: a defect must not end uploading
                log.exception("captures stay on disk")

    def _upload_all(self) -> None:
        for push in self._disk.pushes():
            if self._stopping.is_set():
                return
            self._upload(push)

    def _upload(self, push: StoredPush) -> None:
        lines, *raw = push.files
        try:
            contents = {path: path.read_bytes() for path in (*raw, lines)}
        except FileNotFoundError:
            return  # it was dropped for room meanwhile
        except OSError as error:
            raise StorageError(f"{lines}: cannot be read: {error.strerror}") from error
        contents[lines] = _refer_to(self._store.bucket, self._disk.root, contents[lines])
        for path, data in contents.items():
            self._store.put(path.relative_to(self._disk.root).as_posix(), data)
        self._counters.add("captures_sent", count_lines(lines))
        self._disk.remove(push)


def _refer_to(bucket: str, root: Path, lines: bytes) -> bytes:
    """Lines that refer to the raw data in S3 instead of here; lines that are not ours stay as they are."""
    here, there = f"{root.as_uri()}/", f"s3://{bucket}/"
    return b"".join(_line_that_refers(line, here, there) for line in lines.splitlines(keepends=True))


def _line_that_refers(line: bytes, here: str, there: str) -> bytes:
    try:
        content: dict[str, Any] = json.loads(line)
        for entry in (entry for name in _LISTS for entry in content.get(name, [])):
            if str(entry.get("data-ref", "")).startswith(here):
                # A key is as it is, what stands in a file's uri is quoted.
                entry["data-ref"] = there + unquote(entry["data-ref"].removeprefix(here))
    except (ValueError, AttributeError):
        return line
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
