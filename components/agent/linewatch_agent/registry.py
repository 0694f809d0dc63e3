"""The models in memory, by name."""

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from linewatch_agent.errors import BadRequestError, BusyError, ModelExistsError, NoMemoryError, UnknownModelError
from linewatch_agent.loading import LoadedModel, ModelLoader

log = logging.getLogger(__name__)

# The original's names: letters and digits with single or repeated dashes inside. Its own limit was 63; identifiers of packages need more.
NAME_PATTERN = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*")
MAX_NAME_LENGTH = 128
# Loads run one after the other; who waits holds a worker of the server, and predictions need these.
MAX_WAITING_LOADS = 4


@dataclass(frozen=True, slots=True)
class Entry:
    """A model under its name. `role` is set when a linewatch package serves that role: clients cannot drop it then."""

    name: str
    model: LoadedModel
    role: str | None = None


class ModelRegistry:
    """Safe for concurrent use: lookups never wait for a load. Whoever holds an entry can finish with it after it was removed."""

    def __init__(self, loader: ModelLoader, budget_bytes: int) -> None:
        self._loader = loader
        self._budget_bytes = budget_bytes
        self._entries: dict[str, Entry] = {}
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        self._turns = threading.BoundedSemaphore(MAX_WAITING_LOADS)

    def get(self, name: str) -> Entry:
        """Raises UnknownModelError, which lists what is loaded."""
        with self._lock:
            return self._known(name)

    def all(self) -> tuple[Entry, ...]:
        """Every entry, by name."""
        with self._lock:
            return tuple(self._entries[name] for name in sorted(self._entries))

    def load(self, name: str, folder: Path, url: str) -> Entry:
        """Load and add under a new name. Raises as `load_aside`, and BadRequestError for the name, ModelExistsError, BusyError."""
        check_name(name)
        with self._one_at_a_time():
            with self._lock:
                self._refuse_known(name)
            entry = Entry(name, self._load(folder, url))
            with self._lock:
                self._refuse_known(name)  # a package may have come into service under it meanwhile
                self._entries[name] = entry
        log.info("model %s: loaded from %s, about %.1f MB", name, folder, entry.model.memory_bytes / 1e6)
        return entry

    def load_aside(self, folder: Path, url: str, freed_bytes: int = 0) -> LoadedModel:
        """Load without adding: nothing that runs is touched. Waits for its turn, however many clients load.

        `freed_bytes`: what the budget counts for a model that is gone and whose place this one takes.
        Raises NothingThereError, NotLoadableError, NoMemoryError.
        """
        with self._loading:
            return self._load(folder, url, freed_bytes)

    def put(self, entry: Entry) -> None:
        """Add, in place of what had this name, between two predictions."""
        with self._lock:
            self._entries[entry.name] = entry

    def remove(self, name: str, *, by_client: bool = False) -> None:
        """Predictions that run on it still end well. Raises UnknownModelError, for a client also when it serves a role."""
        with self._lock:
            entry = self._known(name)
            if by_client and entry.role is not None:
                raise UnknownModelError(
                    f"model {name!r} was not loaded by a client: it serves the role {entry.role!r} for its model component, "
                    "and leaves when that component is removed"
                )
            del self._entries[name]
        log.info("model %s: dropped", name)

    def memory_bytes(self) -> int:
        """What all models together are counted with."""
        return sum(entry.model.memory_bytes for entry in self.all())

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        if not self._turns.acquire(blocking=False):
            raise BusyError(f"{MAX_WAITING_LOADS} models are being loaded at the moment; try again when they are done")
        try:
            with self._loading:
                yield
        finally:
            self._turns.release()

    def _known(self, name: str) -> Entry:
        entry = self._entries.get(name)
        if entry is None:
            loaded = ", ".join(sorted(self._entries)) or "none"
            raise UnknownModelError(f"model {name[:MAX_NAME_LENGTH]!r} is not loaded; loaded: {loaded}")
        return entry

    def _refuse_known(self, name: str) -> None:
        known = self._entries.get(name)
        if known is not None:
            raise ModelExistsError(f"model {name!r} is loaded already, from {known.model.url}; unload it first")

    def _load(self, folder: Path, url: str, freed_bytes: int = 0) -> LoadedModel:
        source = self._loader.find(folder)
        self._check_budget(folder, source.size_bytes, freed_bytes)
        model = self._loader.load(source, url)
        self._check_budget(folder, model.memory_bytes, freed_bytes)
        return model

    def _check_budget(self, folder: Path, more_bytes: int, freed_bytes: int) -> None:
        used = self.memory_bytes() - freed_bytes
        if used + more_bytes > self._budget_bytes:
            raise NoMemoryError(
                f"{folder}: needs about {more_bytes / 1e6:.1f} MB, {used / 1e6:.1f} of the {self._budget_bytes / 1e6:.1f} MB "
                "of MemoryBudgetMB are in use; unload a model or raise MemoryBudgetMB"
            )


def check_name(name: str) -> None:
    """Raises BadRequestError when `name` cannot name a model."""
    if len(name) > MAX_NAME_LENGTH or not NAME_PATTERN.fullmatch(name):
        raise BadRequestError(
            f"model name {name[:MAX_NAME_LENGTH]!r}: want 1 to {MAX_NAME_LENGTH} letters, digits and inner dashes "
            "(no dots or underscores), e.g. 'surface-1-0-0'"
        )
