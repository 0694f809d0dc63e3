"""What serves which role: in memory for whoever asks, by its name for clients, on the disk for our next start."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from linewatch_common.errors import StorageError
from linewatch_common.messages.status import RoleStatus

from linewatch_agent.active import ActiveFile, ActivePackage
from linewatch_agent.packages import PackageStore
from linewatch_agent.registry import Entry, ModelRegistry
from linewatch_agent.serving import ActiveModel

log = logging.getLogger(__name__)


class RoleTable:
    """Changed by one thread; `all`, `statuses` and `problems` may be asked by any. What comes to serve is written down before.

    `root`: the folder that holds the copies. `on_change` hears of every model that begins to serve, leaves its role or is lost.
    """

    def __init__(
        self,
        registry: ModelRegistry,
        store: PackageStore,
        file: ActiveFile,
        root: Path,
        on_change: Callable[[], None],
    ) -> None:
        self._registry = registry
        self._store = store
        self._file = file
        self._root = root
        self._on_change = on_change
        self._lock = threading.Lock()
        self._active: dict[str, ActiveModel] = {}
        # Recorded and not served: a key that is missing or a disk that was not read may come back.
        self._unrestored: dict[str, ActivePackage] = {}
        self._problems: dict[str, str] = {}  # by role; "" for all of them

    def recorded(self) -> dict[str, ActivePackage]:
        """What the disk says, by role. Raises CorruptStateError."""
        return self._file.read()

    def copy_of(self, record: ActivePackage) -> Path:
        """Where the recorded package's copy lies."""
        return self._root / record.folder

    def get(self, role: str) -> ActiveModel | None:
        """What serves the role."""
        return self._active.get(role)

    def all(self) -> list[ActiveModel]:
        """What serves any role."""
        with self._lock:
            return list(self._active.values())

    def serves_from(self, folder: Path) -> bool:
        """Whether a model serves from this very copy."""
        return any(active.package.folder == folder for active in self._active.values())

    def in_other_roles(self, active: ActiveModel) -> list[ActiveModel]:
        """Where other versions of this model serve: a component holds one version, and that has one role."""
        name = active.package.manifest.name
        return [
            other
            for other in self._active.values()
            if other.role != active.role and other.package.manifest.name == name
        ]

    def activate(self, active: ActiveModel) -> None:
        """Write down that it serves its role, and that its model has no other one; then serve it. Raises StorageError: all is as before."""
        left = {active.role, *(other.role for other in self.in_other_roles(active))}
        self._write({active.role: self._record(active)}, left)
        self.serve(active)

    def serve(self, active: ActiveModel) -> None:
        """Serve what is written down."""
        self._registry.put(Entry(active.identifier, active.model, active.role))
        with self._lock:
            self._active[active.role] = active
            self._unrestored.pop(active.role, None)
            self._problems.pop(active.role, None)
            self._problems.pop("", None)
        self._store.in_service(active.package.folder)
        self._on_change()

    def leaves(self, active: ActiveModel) -> None:
        """It no longer serves its role, for a version of its model with another one. Clients still find it by its name."""
        with self._lock:
            del self._active[active.role]
        self._on_change()
        try:
            self._write({}, set())
        except StorageError as error:
            log.warning("role %s: %s comes back at the next start: %s", active.role, active.identifier, error)

    def vacate(self, active: ActiveModel) -> None:
        """Write down that nothing serves its role, and discard it. Raises StorageError: all is as before."""
        self._write({}, {active.role})
        with self._lock:
            del self._active[active.role]
        self.discard(active)

    def lose(self, active: ActiveModel, reason: str) -> None:
        """Drop it from memory and keep its record.

        Its component, which no longer sees it named, offers it again, and that repairs our copy.
        """
        with self._lock:
            del self._active[active.role]
        self._unload(active)
        self.not_restored(active.role, self._record(active), reason)
        self._on_change()

    def discard(self, active: ActiveModel) -> bool:
        """Remove the copy of what serves no role, and drop it from memory; False when its name serves another package by now."""
        self._store.drop(active.package.folder)
        return self._unload(active)

    def not_restored(self, role: str, record: ActivePackage, reason: str) -> None:
        """The recorded package cannot be served at the moment; it stays recorded until a successor serves."""
        self._unrestored[role] = record
        self._problem(role, f"role {role}: {record.identifier} is not restored: {reason}")

    def nothing_restored(self, reason: str) -> None:
        """The record cannot be read."""
        self._problem("", f"no role is restored: {reason}")

    def statuses(self) -> dict[str, RoleStatus]:
        """Each role's model, for the heartbeat."""
        return {active.role: active.status() for active in self.all()}

    def problems(self) -> str:
        """What could not be restored and has no successor yet, and what is down; empty when all is well."""
        with self._lock:
            down = [active.outage.problem for active in self._active.values() if active.outage.problem]
            return "; ".join([*self._problems.values(), *down])

    def _write(self, new: dict[str, ActivePackage], left: set[str]) -> None:
        """Make durable what serves and what is not restored, but for the roles that are `left`, and `new`. Raises StorageError."""
        records = self._unrestored | {active.role: self._record(active) for active in self._active.values()}
        self._file.write({role: record for role, record in records.items() if role not in left} | new)

    def _record(self, active: ActiveModel) -> ActivePackage:
        package = active.package
        return ActivePackage(
            identifier=package.manifest.identifier,
            manifest_digest=package.digest,
            folder=package.folder.relative_to(self._root).as_posix(),
            previous=active.previous,
        )

    def _unload(self, active: ActiveModel) -> bool:
        served = {entry.name: entry.model for entry in self._registry.all()}
        if served.get(active.identifier) is not active.model:
            return False
        self._registry.remove(active.identifier)
        return True

    def _problem(self, role: str, problem: str) -> None:
        log.error("%s", problem)
        with self._lock:
            self._problems[role] = problem
