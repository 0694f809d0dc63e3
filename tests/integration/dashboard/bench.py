"""A real page for a test: real server on a free port, real ledger and store, and a fake core under the bus."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from linewatch_common.clock import utc_now
from linewatch_common.messages import Alert, Defect, InspectionStored, Message, Outcome, Verdict, encode
from linewatch_common.messages.alerts import ActiveAlert, AlertKind, AlertState
from linewatch_common.service import Context
from linewatch_common.store import StoredInspection, inspection_path, write_inspection
from linewatch_common.topics import Topics
from linewatch_dashboard.archive import Inspection, Places
from linewatch_dashboard.composition import compose
from linewatch_dashboard.config import DashboardConfig
from linewatch_dashboard.disk import DiskArchive
from linewatch_inspector.ledger_writer import AddPart, LedgerWriter, SetStoredPath

from tests.fakes.bus import FakeCore
from tests.unit.dashboard.messages import AT, beat, frame, inspector_beat

WAIT_SECONDS = 20.0
WIDTH, HEIGHT = 64, 48


def picture(grey: int) -> bytes:
    """A JPEG of one grey value."""
    return _encoded(".jpg", np.full((HEIGHT, WIDTH, 3), grey, np.uint8))


def mask(x: int, y: int, width: int, height: int) -> bytes:
    """A PNG in half the picture's size, certain of a defect in the given rectangle of the picture."""
    pixels = np.zeros((HEIGHT // 2, WIDTH // 2), np.uint8)
    pixels[y // 2 : (y + height) // 2, x // 2 : (x + width) // 2] = 255
    return _encoded(".png", pixels)


def eventually(true: Callable[[], Any], what: str) -> None:
    """Wait until `true()` is."""
    give_up = time.monotonic() + WAIT_SECONDS
    while not true():
        if time.monotonic() > give_up:
            raise AssertionError(f"not within {WAIT_SECONDS:.0f} s: {what}")
        time.sleep(0.01)


class CountingArchive(DiskArchive):
    """The real one; counts the files that are read, and how often the ledger was asked for its counts."""

    reads = 0
    asked = 0

    def read(self, places: Places, path: str) -> Inspection:
        self.reads += 1
        return super().read(places, path)

    def outcomes(self, places: Places) -> dict[str, int]:
        self.asked += 1
        return super().outcomes(places)


class PageBench:
    """The page and the line before it. `core` and the files outlive a restart of the page."""

    def __init__(self, folder: Path, **config: Any) -> None:
        self.core = FakeCore()
        self.topics = Topics("line1")
        self.line = self.core.bus()
        self.store = folder / "store"
        self.ledger = LedgerWriter(folder / "ledger.db")
        self.ledger.open()
        self._folder = folder
        self._alerts: list[ActiveAlert] = []
        self._config: dict[str, Any] = {"port": 0} | config
        self.start()

    def start(self) -> None:
        """Start the page, on the port it had before when it is started again."""
        context = Context(
            name="com.linewatch.Dashboard",
            thing="test",
            work=self._folder,
            bus=self.core.bus(),
            topics=self.topics,
        )
        self.archive = CountingArchive()
        self.dashboard, self.server = compose(DashboardConfig(**self._config), context, self.archive)
        self.dashboard.start()
        eventually(lambda: self.server.address is not None, "the page serves")
        assert self.server.address is not None
        self._config["port"] = self.server.address[1]

    def stop(self) -> None:
        """Stop the page; the line and its files stay."""
        self.dashboard.stop()

    def close(self) -> None:
        """Stop everything."""
        self.stop()
        self.ledger.close()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._config['port']}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    @property
    def counters(self) -> dict[str, int]:
        return self.dashboard.status().counters

    def say(self, topic: str, message: Message) -> None:
        """Publish as another component would."""
        self.line.publish(topic, encode(message))

    def beat(self, *, camera: bool = True, **inspector: Any) -> None:
        """Heartbeats of Inspector, with its places, and of Camera."""
        places = str(self._folder / "ledger.db"), str(self.store)
        self.say(self.topics.status, inspector_beat(*places, alerts=list(self._alerts), **inspector))
        if camera:
            self.say(self.topics.status, beat("Camera"))

    def raise_alert(self, kind: AlertKind, detail: str, **changes: Any) -> None:
        """Inspector raises an alert; its heartbeats name it from then on."""
        self._alerts.append(ActiveAlert(kind=kind, detail=detail, since=AT))
        values: dict[str, Any] = {
            "station": "line1",
            "kind": kind,
            "state": AlertState.RAISED,
            "detail": detail,
            "since": AT,
            "at": AT,
        }
        self.say(self.topics.alerts, Alert(**(values | changes)))

    def inspect(
        self,
        number: int,
        outcome: Outcome = Outcome.PASS,
        *,
        jpeg: bytes = b"",
        png: bytes = b"",
        **changes: Any,
    ) -> Verdict:
        """Inspector judges frame `number`: publishes, writes the ledger, and stores when there is a `jpeg`."""
        values: dict[str, Any] = {
            "inspection_id": frame(number),
            "frame_id": frame(number),
            "station": "line1",
            "outcome": outcome,
            "captured_at": utc_now(),
            "published_at": utc_now(),
            "score": 0.9 if outcome is Outcome.FAIL else 0.1,
            "threshold": 0.6,
        }
        verdict = Verdict(**(values | changes))
        self.say(self.topics.verdicts, verdict)
        self.ledger.write([AddPart(verdict, 25.0)])
        if jpeg:
            self.store_picture(verdict, jpeg, png)
        return verdict

    def store_picture(self, verdict: Verdict, jpeg: bytes, png: bytes = b"") -> Path:
        """Write the file, note it in the ledger, announce it."""
        path = inspection_path(self.store, verdict)
        size = write_inspection(path, StoredInspection(verdict, jpeg, png))
        self.ledger.write([SetStoredPath(verdict.frame_id, str(path))])
        self.announce(verdict.frame_id, path, size)
        return path

    def announce(self, frame_id: str, path: Path, size: int = 1) -> None:
        stored = InspectionStored(inspection_id=frame_id, frame_id=frame_id, path=str(path), size_bytes=size)
        self.say(self.topics.verdicts, stored)


def defect(x: int, y: int, width: int, height: int, defect_class: str = "scratch") -> Defect:
    return Defect(defect_class=defect_class, box=(x, y, width, height), area_px=width * height, score=0.91)


@contextlib.contextmanager
def page_bench(folder: Path, **config: Any) -> Iterator[PageBench]:
    """A bench that is closed at the end, whatever happens."""
    folder.mkdir(parents=True, exist_ok=True)
    bench = PageBench(folder, **config)
    try:
        yield bench
    finally:
        bench.close()


def _encoded(kind: str, pixels: Any) -> bytes:
    done, data = cv2.imencode(kind, pixels)
    assert done
    return bytes(data)
