"""Models whose component went: they serve on for a while, as an update or a restart brings a new offer."""

import logging
from collections.abc import Callable, Iterator

from linewatch_common.errors import StorageError
from linewatch_common.logs import capped
from linewatch_common.messages.models import ModelRetired

from linewatch_agent.serving import ActiveModel
from linewatch_agent.table import RoleTable
from linewatch_agent.waiting import WaitingModels

log = logging.getLogger(__name__)


class Withdrawals:
    """Used by one thread, but for `orphaned`. A withdrawn model stays for `patience` seconds, and while a successor waits.

    `component`: our own name, as what we retire ourselves is no withdrawal. `clock` is monotonic.
    """

    def __init__(
        self,
        table: RoleTable,
        waiting: WaitingModels,
        component: str,
        patience: float,
        clock: Callable[[], float],
    ) -> None:
        self._table = table
        self._waiting = waiting
        self._component = component
        self._patience = patience
        self._clock = clock
        self._started = clock()

    def heard(self, message: ModelRetired) -> None:
        """A model component stops: its model stays until a new offer, or until nobody offered it for long. One that waits is forgotten."""
        waits = self._waiting.statuses().get(message.role)
        if waits is not None and waits.identifier == message.identifier:
            self._waiting.drop(message.role, "its component went")
            self.renew(message.role)
        active = self._table.get(message.role)
        if active is None or active.identifier != message.identifier or message.by == self._component:
            return
        active.withdrawn_at = self._clock()
        log.info(
            "model %s: its component %s went; it serves on for %.0f min without a new offer",
            message.identifier,
            capped(message.by),
            self._patience / 60,
        )

    def renew(self, role: str) -> None:
        """What serves was not withdrawn for good while a successor waited: its time begins now."""
        active = self._table.get(role)
        if active is not None and active.withdrawn_at is not None:
            active.withdrawn_at = self._clock()

    def drop_due(self) -> Iterator[tuple[ActiveModel, str]]:
        """Drop what nobody offered again, with its copy; gives it, and why."""
        heir = self._waiting.statuses()
        for active in self._table.all():
            if active.role in heir or active.withdrawn_at is None:
                continue
            if self._clock() - active.withdrawn_at < self._patience:
                continue
            try:
                self._table.vacate(active)
            except StorageError as error:
                log.warning("model %s is withdrawn but stays: %s", active.identifier, error)
                active.withdrawn_at = self._clock()  # try again after the same time
                continue
            yield active, f"withdrawn, and not offered again for {self._patience / 60:.0f} min"

    def orphaned(self) -> list[str]:
        """Active since our start without any offer, for longer than a withdrawn model would have, and without a successor that waits."""
        if self._clock() - self._started < self._patience:
            return []
        heir = self._waiting.statuses()
        return sorted(
            active.identifier for active in self._table.all() if not active.offered and active.role not in heir
        )
