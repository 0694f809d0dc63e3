"""After our start the roles are served from our own copies: no model component is needed for that."""

import logging

from linewatch_common.errors import CorruptStateError, InputError, PackageError, StorageError

from linewatch_agent.active import ActivePackage
from linewatch_agent.errors import unforeseen
from linewatch_agent.packages import PackageStore
from linewatch_agent.registry import ModelRegistry
from linewatch_agent.serving import ActiveModel
from linewatch_agent.table import RoleTable

log = logging.getLogger(__name__)


class Restoring:
    """Used once, before the first offer is answered."""

    def __init__(self, table: RoleTable, store: PackageStore, registry: ModelRegistry) -> None:
        self._table = table
        self._store = store
        self._registry = registry

    def run(self) -> None:
        """Serve what is recorded and remove every other copy. What cannot be served is a problem of its role alone, in the table."""
        try:
            recorded = self._table.recorded()
        except CorruptStateError as error:
            # The model components offer again what they hold, so the line gets its models back without a person.
            self._table.nothing_restored(str(error))
            return
        for role, record in recorded.items():
            self._restore(role, record)
        self._store.sweep([self._table.copy_of(record) for record in recorded.values()])

    def _restore(self, role: str, record: ActivePackage) -> None:
        try:
            self._table.serve(self._loaded(role, record))
        except (InputError, StorageError) as error:
            self._table.not_restored(role, record, str(error))
        except Exception as error:  # what no adapter foresaw: the other roles are to be served all the same
            log.exception("role %s: an internal error", role)
            self._table.not_restored(role, record, unforeseen(error))
        else:
            log.info("role %s: %s restored from our own copy", role, record.identifier)

    def _loaded(self, role: str, record: ActivePackage) -> ActiveModel:
        package = self._store.verified(self._table.copy_of(record), record.manifest_digest)
        if package.manifest.role != role:
            raise PackageError(f"its manifest says role {package.manifest.role!r}")
        model = self._registry.load_aside(package.folder, str(package.folder))
        return ActiveModel(role, package, model, offered=False, previous=record.previous)
