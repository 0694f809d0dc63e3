"""Which package is being loaded and proved: what ended the agent once is not tried again at once.

A net can crash its runtime, or need more memory than the device has, and both end the process. Its component repeats the offer; without
this memory it would end each new process, until the Greengrass runtime gives the agent up and with it the line.
"""

import contextlib
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec
from linewatch_common.clock import boot_id
from linewatch_common.errors import PackageError
from linewatch_common.files import write_atomically
from linewatch_common.messages.models import Digest

log = logging.getLogger(__name__)


class _Content(msgspec.Struct, frozen=True, kw_only=True):
    """`boot`: the machine's boot. After another one it was the power, not the package."""

    schema: Literal["linewatch.Proving/1"] = "linewatch.Proving/1"
    identifier: str
    manifest_digest: Digest
    boot: str


class ProvingMark:
    """A file that is there during a proof, and the package whose proof our last process did not survive."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._accused: str | None = None
        self._stopped = False
        self._lock = threading.Lock()

    def look(self) -> None:
        """At the start: what was being proved when the last process ended is refused as long as this one lives."""
        try:
            found = msgspec.json.decode(self._path.read_bytes(), type=_Content)
        except FileNotFoundError:
            return
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            log.warning("%s: nothing is known of the last proof: %s", self._path, error)
        else:
            if found.boot == boot_id():
                self._accused = found.manifest_digest
                log.error("the agent ended while it loaded and proved %s: it is refused now", found.identifier)
        self._remove()

    def refuse_accused(self, identifier: str, digest: str) -> None:
        """Raises PackageError for the package that ended the last process."""
        if digest == self._accused:
            raise PackageError(
                f"{identifier}: the agent ended while it loaded and proved this package (crashed, killed, or out of memory: see the "
                "device's log); correct the package or make room, then restart EdgeAgent to have it tried again"
            )

    @contextlib.contextmanager
    def around(self, identifier: str, digest: str) -> Iterator[None]:
        """The package is loaded and proved inside. Raises StorageError before anything is tried."""
        content = _Content(identifier=identifier, manifest_digest=digest, boot=boot_id())
        with self._lock:
            if not self._stopped:
                write_atomically(self._path, msgspec.json.encode(content))
        try:
            yield
        finally:
            self._remove()

    def stop(self) -> None:
        """From any thread: our own end cuts a proof short, which tells nothing about the package."""
        with self._lock:
            self._stopped = True
            self._remove()

    def _remove(self) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
