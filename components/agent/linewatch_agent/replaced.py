"""Models that another one has replaced: in memory and on the disk until Inspector has switched."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from linewatch_agent.serving import ActiveModel
from linewatch_agent.table import RoleTable

# Inspector switches between two frames; one that is away does not need the old model.
REPLACED_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class _Replaced:
    active: ActiveModel
    since: float
    by: str


class ReplacedModels:
    """Used by one thread. `clock` is monotonic."""

    def __init__(self, table: RoleTable, clock: Callable[[], float]) -> None:
        self._table = table
        self._clock = clock
        self._replaced: list[_Replaced] = []

    def put(self, active: ActiveModel, by: str) -> None:
        """It no longer serves its role: the model `by` does."""
        self._replaced.append(_Replaced(active, self._clock(), by))

    def spare(self, active: ActiveModel) -> None:
        """Back in service, it must not be dropped for having been replaced once."""
        self._replaced = [old for old in self._replaced if old.active.package.folder != active.package.folder]

    def drop_due(self, in_use: Collection[str] | None, heard_at: float) -> Iterator[tuple[ActiveModel, str]]:
        """Drop what Inspector no longer names, or could have left by now; gives what clients can no longer ask, and why.

        `in_use`: the identifiers in Inspector's last heartbeat, heard at `heard_at`; None without Inspector.
        """
        for old in list(self._replaced):
            unnamed = in_use is not None and heard_at > old.since and old.active.identifier not in in_use
            if unnamed or self._clock() - old.since > REPLACED_SECONDS:
                self._replaced.remove(old)
                if self._table.discard(old.active):
                    yield old.active, f"replaced by {old.by}"
