"""A role's model whose runtime has ended is loaded again from our own copy.

A Neo model runs in a process of its own, which may crash or hang. No client can unload a role's model, and its component sees it named
in the heartbeat and has nothing to offer: without this the line would be in error until the agent starts again.
"""

import logging
from collections.abc import Callable

from linewatch_common.errors import InputError, PackageError, StorageError

from linewatch_agent.counters import Counters
from linewatch_agent.errors import unforeseen
from linewatch_agent.packages import PackageStore, StoredPackage
from linewatch_agent.registry import Entry, ModelRegistry
from linewatch_agent.serving import ActiveModel

log = logging.getLogger(__name__)


class Reloads:
    """Used by one thread. `clock` is monotonic; `on_change` hears of every end and return, for the heartbeat."""

    def __init__(
        self,
        registry: ModelRegistry,
        store: PackageStore,
        counters: Counters,
        clock: Callable[[], float],
        on_change: Callable[[], None],
    ) -> None:
        self._registry = registry
        self._store = store
        self._counters = counters
        self._clock = clock
        self._on_change = on_change

    def look(self, active: ActiveModel) -> None:
        """Load it again when that is due; call it often. Raises PackageError when our copy is damaged: trying again would not help."""
        if not self.is_down(active) or not active.outage.is_due(self._clock()):
            return
        try:
            self.load(active, self._store.verified(active.package.folder, active.package.digest))
        except PackageError:
            raise
        except (InputError, StorageError) as error:
            self._failed(active, str(error))
        except Exception as error:  # what no adapter foresaw: the pauses hold for it all the same
            log.exception("role %s: an internal error", active.role)
            self._failed(active, unforeseen(error))

    def is_down(self, active: ActiveModel) -> bool:
        """Whether its runtime has ended; that is counted and said once."""
        ended = active.model.net.ended
        if ended and not active.outage.problem:
            problem = f"role {active.role}: {active.identifier} has ended: {ended}"
            pause = active.outage.begins(problem, self._clock())
            self._counters.add("models_ended")
            log.error("%s; it is loaded again in %.0f s", problem, pause)
            self._on_change()
        return bool(ended)

    def load(self, active: ActiveModel, package: StoredPackage) -> None:
        """Load it now from `package`, its verified copy. Raises as ModelRegistry.load_aside; it is then down as before."""
        folder, freed = package.folder, active.model.memory_bytes
        active.model = self._registry.load_aside(folder, str(folder), freed_bytes=freed)
        self._registry.put(Entry(active.identifier, active.model, active.role))
        active.outage.ends(self._clock())
        self._counters.add("models_reloaded")
        log.info("role %s: %s serves again", active.role, active.identifier)
        self._on_change()

    def _failed(self, active: ActiveModel, reason: str) -> None:
        problem = f"role {active.role}: {active.identifier} has ended and cannot be loaded again: {reason}"
        pause = active.outage.goes_on(problem, self._clock())
        log.error("%s; the next try is in %.0f s", problem, pause)
        self._on_change()
