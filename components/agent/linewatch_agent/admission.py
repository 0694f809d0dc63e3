"""What must hold of an offered package before it serves: the one that was offered, copied whole, loaded and proved."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from linewatch_common.errors import PackageError
from linewatch_common.messages.models import ModelOffered

from linewatch_agent.loading import LoadedModel
from linewatch_agent.packages import PackageStore, StoredPackage
from linewatch_agent.proof import Proof, prove
from linewatch_agent.proving import ProvingMark
from linewatch_agent.registry import ModelRegistry
from linewatch_agent.table import RoleTable


class Admission:
    """Used by one thread. Nothing that serves is touched. A prediction may take `latency_budget_ms`."""

    def __init__(
        self,
        registry: ModelRegistry,
        store: PackageStore,
        table: RoleTable,
        mark: ProvingMark,
        latency_budget_ms: float,
    ) -> None:
        self._registry = registry
        self._store = store
        self._table = table
        self._mark = mark
        self._latency_budget_ms = latency_budget_ms

    @contextmanager
    def copy_of(self, offer: ModelOffered) -> Iterator[StoredPackage]:
        """Our own verified copy of the offered package. Raises PackageError, StorageError.

        A copy that was made for this is removed at the end, unless a model serves from it by then.
        """
        package = self._taken(offer)
        try:
            yield package
        finally:
            # The copy of what serves may have been broken, and has just been made again.
            if package.fresh and not self._table.serves_from(package.folder):
                self._store.drop(package.folder)

    def proved(self, package: StoredPackage) -> tuple[LoadedModel, Proof]:
        """Load it aside and run its golden set. Raises as ModelRegistry.load_aside, PackageError, StorageError."""
        with self._mark.around(package.manifest.identifier, package.digest):
            model = self._registry.load_aside(package.folder, str(package.folder))
            return model, prove(model.net, package.folder, package.manifest, self._latency_budget_ms)

    def _taken(self, offer: ModelOffered) -> StoredPackage:
        self._mark.refuse_accused(offer.identifier, offer.manifest_digest)
        folder = Path(offer.folder)
        manifest = self._store.manifest_of(folder)
        if (manifest.identifier, manifest.role) != (offer.identifier, offer.role):
            raise PackageError(
                f"offered as {offer.identifier} for the role {offer.role}, but its manifest says {manifest.identifier} "
                f"for the role {manifest.role}"
            )
        return self._store.take(folder, offer.manifest_digest)
