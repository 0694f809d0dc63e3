"""Which model serves which role: puts together what restores, answers offers and retires. No bus and no threads here."""

import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

from linewatch_common.errors import PackageError
from linewatch_common.messages.models import (
    ModelActivated,
    ModelOffered,
    ModelProved,
    ModelRefused,
    ModelRetired,
    ModelWaiting,
)
from linewatch_common.messages.status import RoleStatus, WaitingModel
from linewatch_common.windows import Schedule

from linewatch_agent.active import ActiveFile
from linewatch_agent.admission import Admission
from linewatch_agent.counters import Counters
from linewatch_agent.offers import Offers
from linewatch_agent.packages import PackageStore
from linewatch_agent.proving import ProvingMark
from linewatch_agent.registry import ModelRegistry
from linewatch_agent.reloading import Reloads
from linewatch_agent.replaced import ReplacedModels
from linewatch_agent.restoring import Restoring
from linewatch_agent.rivals import Rivals
from linewatch_agent.table import RoleTable
from linewatch_agent.waiting import WaitingModels
from linewatch_agent.withdrawals import Withdrawals

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RoleSettings:
    """`root`: the folder that holds the copies. `withdrawal_seconds`: how long a withdrawn model waits for a new offer.

    `schedule`: when a model may replace another one.
    """

    component: str
    root: Path
    latency_budget_ms: float
    withdrawal_seconds: float
    schedule: Schedule = field(default_factory=Schedule)


class Roles:
    """Changed by one thread; `statuses`, `waiting`, `orphaned` and `problems` may be asked by any.

    `on_change` hears of every model that is active or waits anew, that has ended or serves again.
    """

    def __init__(
        self,
        registry: ModelRegistry,
        store: PackageStore,
        file: ActiveFile,
        settings: RoleSettings,
        counters: Counters,
        *,
        clock: Callable[[], float] = time.monotonic,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._component = settings.component
        self._counters = counters
        self._mark = ProvingMark(settings.root / "proving.json")
        self._table = RoleTable(registry, store, file, settings.root, on_change)
        self._restoring = Restoring(self._table, store, registry)
        self._waiting = WaitingModels(settings.schedule, clock, on_change)
        self._reloads = Reloads(registry, store, counters, clock, on_change)
        self._replaced = ReplacedModels(self._table, clock)
        self._withdrawals = Withdrawals(
            self._table, self._waiting, settings.component, settings.withdrawal_seconds, clock
        )
        self._rivals = Rivals(clock)
        admission = Admission(registry, store, self._table, self._mark, settings.latency_budget_ms)
        self._offers = Offers(self._table, admission, self._waiting, self._replaced, self._reloads, counters=counters)

    def restore(self) -> None:
        """Serve what was active before, from our own copies. A broken copy is refused with a line, and its role stays empty."""
        self._mark.look()
        self._restoring.run()

    def answer(self, offer: ModelOffered) -> ModelProved | ModelActivated | ModelWaiting | ModelRefused:
        """Prove (trial) or activate the offered package, or let it wait. What runs is not touched by one that waits or is refused."""
        answer = self._offers.answer(offer)
        if isinstance(answer, ModelActivated):
            self._rivals.stands(offer.role, offer.lease)
        return answer

    def stop(self) -> None:
        """The process ends. From any thread."""
        self._mark.stop()

    def withdrawn(self, message: ModelRetired) -> None:
        """A model component stops: its model stays until a new offer, or until nobody offered it for long. One that waits is forgotten."""
        self._rivals.went(message.by)
        self._withdrawals.heard(message)

    def retire_due(self, in_use: Collection[str] | None, heard_at: float) -> list[ModelRetired]:
        """Drop what nobody needs any more; call it often.

        `in_use`: the identifiers that Inspector named in its last heartbeat, heard at `heard_at` (monotonic); None without Inspector.
        """
        self._rivals.look()
        for role in self._waiting.look():
            self._withdrawals.renew(role)
        dropped = [*self._replaced.drop_due(in_use, heard_at), *self._withdrawals.drop_due()]
        self._counters.add("models_retired", len(dropped))
        for active, reason in dropped:
            log.info("model %s retired: %s", active.identifier, reason)
        return [
            ModelRetired(identifier=active.identifier, role=active.role, by=self._component, reason=reason)
            for active, reason in dropped
        ]

    def reload_due(self) -> None:
        """Load again what serves a role and whose runtime has ended; call it often. A damaged copy leaves the role to the next offer."""
        for active in self._table.all():
            try:
                self._reloads.look(active)
            except PackageError as error:
                self._table.lose(active, str(error))

    def statuses(self) -> dict[str, RoleStatus]:
        """Each role's model, for the heartbeat."""
        return self._table.statuses()

    def waiting(self) -> dict[str, WaitingModel]:
        """Each role's model that waits for the maintenance window, for the heartbeat."""
        return self._waiting.statuses()

    def orphaned(self) -> list[str]:
        """Active since our start without any offer, for longer than a withdrawn model would have, and without a successor that waits."""
        return self._withdrawals.orphaned()

    def problems(self) -> str:
        """What could not be restored and has no successor yet, and what is down; empty when all is well."""
        return self._table.problems()
