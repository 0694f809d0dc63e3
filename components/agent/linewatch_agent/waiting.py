"""Models that wait for the device's maintenance window: proved, not loaded, one a role. In memory alone: their components offer again."""

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
from linewatch_common.messages.models import ModelOffered, ModelWaiting
from linewatch_common.messages.status import WaitingModel
from linewatch_common.windows import Schedule

log = logging.getLogger(__name__)

# A component that lives offers within a heartbeat or two.
OFFER_SECONDS = 60.0


class WaitingModels:
    """Changed by one thread, asked by any. `clock` is monotonic; `on_change` hears of every change, for the heartbeat."""

    def __init__(self, schedule: Schedule, clock: Callable[[], float], on_change: Callable[[], None]) -> None:
        self._schedule = schedule
        self._clock = clock
        self._on_change = on_change
        self._lock = threading.Lock()
        self._models: dict[str, WaitingModel] = {}
        self._due_since = 0.0

    def closed_until(self) -> datetime | None:
        """When the window opens; None: it is open now."""
        return self._schedule.closed_until()

    def names(self, offer: ModelOffered) -> bool:
        """This very package waits."""
        waits = self._models.get(offer.role)
        return waits is not None and (waits.identifier, waits.manifest_digest) == (
            offer.identifier,
            offer.manifest_digest,
        )

    def put(self, offer: ModelOffered, until: datetime) -> ModelWaiting:
        """Let the offered package wait, in place of what waited for its role, and answer its offer."""
        text = _text(until)
        if not self.names(offer):
            log.info("role %s: %s waits for the maintenance window, until %s", offer.role, offer.identifier, text)
        self._set(
            offer.role,
            WaitingModel(
                identifier=offer.identifier, version=offer.version, manifest_digest=offer.manifest_digest, until=text
            ),
        )
        return ModelWaiting(
            identifier=offer.identifier,
            role=offer.role,
            version=offer.version,
            manifest_digest=offer.manifest_digest,
            nonce=offer.nonce,
            until=text,
        )

    def drop(self, role: str, why: str) -> None:
        """What waits for the role waits no longer."""
        with self._lock:
            dropped = self._models.pop(role, None)
        if dropped is not None:
            log.info("role %s: %s no longer waits: %s", role, dropped.identifier, why)
            self._on_change()

    def look(self) -> list[str]:
        """Call it often. Once the window is open, what waits is due; its component offers it again. Roles where none did are given back."""
        until = self.closed_until() if self.statuses() else None
        forsaken = []
        for role, model in self.statuses().items():
            if until is not None:
                self._set(
                    role, msgspec.structs.replace(model, until=_text(until), due=False)
                )  # the clock may have been set
            elif not model.due:
                self._due_since = self._clock()
                self._set(role, msgspec.structs.replace(model, due=True))
            elif self._clock() - self._due_since > OFFER_SECONDS:
                self.drop(role, "the maintenance window is open, and nobody offers it")
                forsaken.append(role)
        return forsaken

    def statuses(self) -> dict[str, WaitingModel]:
        """By role, for the heartbeat."""
        with self._lock:
            return dict(self._models)

    def _set(self, role: str, model: WaitingModel) -> None:
        with self._lock:
            changed = self._models.get(role) != model
            self._models[role] = model
        if changed:
            self._on_change()


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
