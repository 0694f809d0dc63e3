"""The open pages, and what waits for each.

Each viewer has a mailbox of two slots, one for the state and one for an inspection: what is not yet sent when something newer comes is
replaced by it, and counted. So a slow viewer sees fewer pictures, never old ones, and holds up nobody.
"""

import asyncio
from dataclasses import dataclass

from linewatch_dashboard.packing import InspectionHeader, Pictures, pack
from linewatch_dashboard.timeline import Shown

# A viewer that says it acknowledges pictures and then does not for so long is asleep; it comes back by itself.
ACKNOWLEDGE_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Loaded:
    """An inspection on show with its pictures in memory."""

    shown: Shown
    pictures: Pictures

    def message(self, now: float, skipped: int) -> bytes:
        """The binary message as of `now` (monotonic seconds)."""
        header = InspectionHeader(
            sequence=self.shown.sequence,
            age_ms=max(0.0, now - self.shown.arrived) * 1000,
            server_ms=now * 1000,
            live=True,
            verdict=self.shown.verdict,
            picture_bytes=len(self.pictures.picture),
            mask_bytes=len(self.pictures.mask),
            no_picture=self.pictures.missing,
            skipped=skipped,
        )
        return pack(header, self.pictures)


class Viewer:
    """One open page. With `acknowledges` it gets the next inspection only after it has shown the last."""

    def __init__(self, *, acknowledges: bool) -> None:
        self._acknowledges = acknowledges
        self._state: str | None = None
        self._inspection: Loaded | None = None
        self._unacknowledged_since: float | None = None
        self._ready = asyncio.Event()
        self.skipped = 0

    def offer_state(self, text: str) -> None:
        """Replace the waiting state."""
        self._state = text
        self._ready.set()

    def offer_inspection(self, loaded: Loaded) -> bool:
        """Replace the waiting inspection. False when one was skipped by that."""
        replaced = self._inspection is not None
        self.skipped += replaced
        self._inspection = loaded
        if self._unacknowledged_since is None:
            self._ready.set()
        return not replaced

    def acknowledge(self) -> None:
        """The viewer has shown the last inspection."""
        self._unacknowledged_since = None
        if self._inspection is not None:
            self._ready.set()

    def asleep(self, now: float) -> bool:
        """Whether the viewer has not shown its last inspection for too long."""
        since = self._unacknowledged_since
        return since is not None and now - since > ACKNOWLEDGE_SECONDS

    async def take(self) -> tuple[str | None, Loaded | None]:
        """Wait until something may be sent, and take it: a state, an inspection or both."""
        await self._ready.wait()
        self._ready.clear()
        state, self._state = self._state, None
        loaded = None
        if self._unacknowledged_since is None:
            loaded, self._inspection = self._inspection, None
        return state, loaded

    def sent_inspection(self, now: float) -> None:
        """An inspection is on its way to the viewer."""
        if self._acknowledges:
            self._unacknowledged_since = now


class Viewers:
    """All open pages, at most `limit`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._viewers: set[Viewer] = set()
        self.skipped = 0
        self.refused = 0

    def __len__(self) -> int:
        return len(self._viewers)

    def admit(self, viewer: Viewer) -> bool:
        """False, and counted, when there are enough already."""
        if len(self._viewers) >= self._limit:
            self.refused += 1
            return False
        self._viewers.add(viewer)
        return True

    def dismiss(self, viewer: Viewer) -> None:
        """The page was closed."""
        self._viewers.discard(viewer)

    def offer_state(self, text: str) -> None:
        """To every viewer."""
        for viewer in self._viewers:
            viewer.offer_state(text)

    def offer_inspection(self, loaded: Loaded) -> None:
        """To every viewer; never waits."""
        for viewer in self._viewers:
            self.skipped += not viewer.offer_inspection(loaded)
