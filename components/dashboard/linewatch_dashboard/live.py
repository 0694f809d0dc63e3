"""The live part of the page: messages in, pictures and states out to the viewers. Runs on one event loop."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar, TypeVarTuple, Unpack, assert_never

import msgspec
from linewatch_common.errors import LinewatchError, MessageError, UnavailableError
from linewatch_common.logs import Complaints
from linewatch_common.messages import (
    Alert,
    CommandResult,
    Heartbeat,
    InspectionStored,
    ModelMessage,
    Verdict,
    VerdictMessage,
    decode,
)

from linewatch_dashboard.archive import Archive, Inspection, Places
from linewatch_dashboard.inbox import Inbox, Source
from linewatch_dashboard.line import REJECTS_SHOWN, Line
from linewatch_dashboard.packing import Pictures
from linewatch_dashboard.timeline import Shown, Timeline
from linewatch_dashboard.view import Feed, StateMessage
from linewatch_dashboard.viewers import Loaded, Viewer, Viewers

log = logging.getLogger(__name__)

Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")

# States change with every verdict; four a second are as many as an eye can use.
STATE_SPACING_SECONDS = 0.25
# A viewer takes the connection for lost after a few of these.
STATE_AT_LEAST_SECONDS = 1.0
# The ledger is asked only while somebody watches; between two of its answers the messages tell what is new.
LEDGER_SPACING_SECONDS = 2.0

COMPLAINT_SPACING_SECONDS = 10.0

# Beyond it a phone's browser gives up, and ten viewers would take a device's memory.
MAX_PICTURE_BYTES = 16 * 1024 * 1024

PLACE_UNKNOWN = "Inspector has not said yet where its pictures are"


@dataclass(slots=True)
class FeedCounters:
    """What the page's own heartbeat tells; each only grows."""

    verdicts: int = 0
    pictures: int = 0
    bad_messages: int = 0
    troubles: int = 0


class Live:
    """Owns the line's state. Everything but the constructor is called on the event loop."""

    def __init__(
        self,
        *,
        line: Line,
        timeline: Timeline,
        viewers: Viewers,
        archive: Archive,
        inbox: Inbox,
        pictures_per_second: float,
        picture_worker: Executor,
        ledger_worker: Executor,
        on_result: Callable[[CommandResult], None],
    ) -> None:
        self._line = line
        self._timeline = timeline
        self._viewers = viewers
        self._archive = archive
        self._inbox = inbox
        self._unreadable = Complaints(log, "a message")
        self._spacing = 1.0 / pictures_per_second
        self._picture_worker = picture_worker
        self._ledger_worker = ledger_worker
        self._on_result = on_result
        self._loaded: Loaded | None = None
        self._mail = asyncio.Event()
        self._picture_due = asyncio.Event()
        self._state_due = asyncio.Event()
        self._watched = asyncio.Event()
        self._complained_at = -COMPLAINT_SPACING_SECONDS
        self.counters = FeedCounters()

    async def run(self) -> None:
        """Work until cancelled."""
        self._inbox.wake_by(asyncio.get_running_loop(), self._mail)
        try:
            async with asyncio.TaskGroup() as tasks:
                for step in (self._read_mail, self._show_picture, self._show_state, self._ask_ledger):
                    tasks.create_task(_again_and_again(step))
        finally:
            self._inbox.detach()

    def join(self, viewer: Viewer) -> bool:
        """A page was opened: it gets the state and the latest inspection at once. False when there are enough viewers."""
        if not self._viewers.admit(viewer):
            return False
        viewer.offer_state(self.state_text())
        loaded, shown = self._loaded, self._timeline.shown
        if loaded is not None and shown is not None and loaded.shown.sequence == shown.sequence:
            viewer.offer_inspection(loaded)
        self._picture_due.set()
        self._watched.set()
        return True

    def leave(self, viewer: Viewer) -> None:
        """A page was closed."""
        self._viewers.dismiss(viewer)
        if not len(self._viewers):
            self._watched.clear()

    def state(self) -> StateMessage:
        """The line as of now."""
        shown = self._timeline.shown
        feed = Feed(viewers=len(self._viewers), skipped=self._viewers.skipped, messages_dropped=self._inbox.dropped)
        sequence = shown.sequence if shown else 0
        return self._line.message(time.monotonic(), self._timeline.last_arrived, sequence, feed)

    def state_text(self) -> str:
        """`state` as JSON."""
        return msgspec.json.encode(self.state()).decode()

    async def find(self, frame_id: str) -> Inspection:
        """An inspection by its frame. Raises as Archive.find, UnavailableError also while Inspector was not heard yet."""
        return await _in(self._ledger_worker, self._archive.find, self._known_places(), frame_id)

    def _known_places(self) -> Places:
        places = self._places()
        if places is None:
            raise UnavailableError(PLACE_UNKNOWN)
        return places

    def _places(self) -> Places | None:
        inspector = self._line.inspector
        return Places(inspector.ledger, inspector.store) if inspector else None

    # --- messages in

    async def _read_mail(self) -> None:
        await self._mail.wait()
        self._mail.clear()
        for source, raw in self._inbox.drain():
            try:
                self._take(source, raw)
            except MessageError as error:
                self.counters.bad_messages += 1
                self._unreadable.note(f"{source.value}: {error}")
        self._state_due.set()

    def _take(self, source: Source, raw: bytes) -> None:
        now = time.monotonic()
        match source:
            case Source.VERDICTS:
                self._take_verdict(decode(raw, VerdictMessage), now)
            case Source.STATUS:
                self._take_heartbeat(decode(raw, Heartbeat), now)
            case Source.ALERTS:
                self._line.add_alert(decode(raw, Alert))
            case Source.MODELS:
                self._line.add_model_message(decode(raw, ModelMessage), now)
            case Source.RESULTS:
                self._on_result(decode(raw, CommandResult))
            case _:
                assert_never(source)

    def _take_verdict(self, message: Verdict | InspectionStored, now: float) -> None:
        if isinstance(message, Verdict):
            self.counters.verdicts += 1
            self._timeline.add_verdict(message, now)
            self._line.add_verdict(message)
        else:
            self._timeline.add_stored(message.frame_id, message.path)
            self._line.add_stored(message.frame_id)
        self._picture_due.set()

    def _take_heartbeat(self, beat: Heartbeat, now: float) -> None:
        before = self._places()
        self._line.add_heartbeat(beat, now)
        if before is None and self._places() is not None:
            self._loaded = None  # it could not be read without the place
            self._picture_due.set()

    # --- pictures out

    async def _show_picture(self) -> None:
        await self._wait_for_picture()
        self._picture_due.clear()
        self._timeline.expire(time.monotonic())
        shown = self._timeline.shown
        if shown is None or not len(self._viewers):
            return
        if self._loaded is not None and self._loaded.shown.sequence == shown.sequence:
            return
        self._count_skipped(shown)
        self._loaded = await self._load(shown)
        self.counters.pictures += bool(self._loaded.pictures.picture)
        self._viewers.offer_inspection(self._loaded)
        await asyncio.sleep(self._spacing)

    async def _wait_for_picture(self) -> None:
        """Until news, or until a picture that is waited for does not come any more."""
        expiry = self._timeline.next_expiry()
        wait = None if expiry is None else max(0.0, expiry - time.monotonic())
        try:
            async with asyncio.timeout(wait):
                await self._picture_due.wait()
        except TimeoutError:
            return

    def _count_skipped(self, shown: Shown) -> None:
        """Inspections that came and went between two pictures while somebody watched."""
        if self._loaded is not None:
            self._viewers.skipped += max(0, shown.sequence - self._loaded.shown.sequence - 1)

    async def _load(self, shown: Shown) -> Loaded:
        places = self._places()
        if shown.path is None or places is None:
            return Loaded(shown, Pictures(missing=shown.missing or PLACE_UNKNOWN))
        try:
            stored = await _in(self._picture_worker, self._archive.read, places, shown.path)
        except LinewatchError as error:
            self._complain(f"{shown.path}: {error}")
            return Loaded(shown, Pictures(missing="the stored picture cannot be read"))
        if stored.verdict.frame_id != shown.verdict.frame_id:
            self._complain(f"{shown.path} holds the inspection of {stored.verdict.frame_id}")
            return Loaded(shown, Pictures(missing="the stored picture is another part's"))
        if len(stored.pictures.picture) > MAX_PICTURE_BYTES:
            return Loaded(shown, Pictures(missing="the picture is too large for this page"))
        return Loaded(replace(shown, verdict=stored.verdict), stored.pictures)

    # --- states out

    async def _show_state(self) -> None:
        try:
            async with asyncio.timeout(STATE_AT_LEAST_SECONDS):
                await self._state_due.wait()
        except TimeoutError:
            pass  # nothing is new, which is worth telling too
        self._state_due.clear()
        if len(self._viewers):
            self._viewers.offer_state(self.state_text())
        await asyncio.sleep(STATE_SPACING_SECONDS)

    async def _ask_ledger(self) -> None:
        await self._watched.wait()
        places = self._places()
        if places is None:
            await asyncio.sleep(STATE_SPACING_SECONDS)
            return
        try:
            await self._read_ledger(places)
            self._state_due.set()
        except LinewatchError as error:
            self._complain(str(error))
        await asyncio.sleep(LEDGER_SPACING_SECONDS)

    async def _read_ledger(self, places: Places) -> None:
        outcomes = await _in(self._ledger_worker, self._archive.outcomes, places)
        self._line.set_outcomes(outcomes, time.monotonic())
        self._line.add_rejects(await _in(self._ledger_worker, self._archive.rejects, places, REJECTS_SHOWN))
        if self._timeline.shown is None:
            latest = await _in(self._ledger_worker, self._archive.latest, places)
            if latest is not None:
                self._timeline.add_past(*latest, _arrival_of(latest[0]))
                self._picture_due.set()

    def _complain(self, trouble: str) -> None:
        """A trouble that comes with every picture must not fill the log."""
        self.counters.troubles += 1
        now = time.monotonic()
        if now - self._complained_at >= COMPLAINT_SPACING_SECONDS:
            self._complained_at = now
            log.warning("%s (trouble %d)", trouble, self.counters.troubles)


async def _in(worker: Executor, call: Callable[[Unpack[Arguments]], Result], *args: *Arguments) -> Result:
    """Run a blocking call in a worker thread."""
    return await asyncio.get_running_loop().run_in_executor(worker, call, *args)


def _arrival_of(verdict: Verdict) -> float:
    """When a verdict of the ledger was published, in monotonic seconds; of one from the future (the clock was set back) as far ago."""
    age = datetime.now(tz=UTC) - datetime.fromisoformat(verdict.published_at)
    return time.monotonic() - abs(age.total_seconds())


async def _again_and_again(step: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await step()
        except Exception:  # a task's top: the page must go on whatever one message did to it
            log.exception("the page stumbled")
            await asyncio.sleep(1.0)
