"""The models that Lookout's clients name, and their states."""

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from linewatch_agent.errors import BusyError, NotLoadableError, NotReadyError, RequestError, UnknownModelError
from linewatch_agent.loading import LoadedModel
from linewatch_agent.lookout.detector import Detector, detector_of
from linewatch_agent.registry import ModelRegistry
from linewatch_agent.roots import ModelRoots

log = logging.getLogger(__name__)

ROLE_PREFIX = "role:"
# Detections that may run or wait at once; more would only wait longer than their clients do.
MAX_DETECTIONS = 8


class State(StrEnum):
    """Named as on the wire."""

    STOPPED = "STOPPED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    FAILED = "FAILED"
    STOPPING = "STOPPING"


@dataclass(frozen=True, slots=True)
class Condition:
    """A model's state, and why it failed."""

    name: str
    state: State
    message: str = ""


class _Slot:
    """One model; its fields are guarded by the lock of LookoutModels."""

    def __init__(self, name: str, sources: tuple[str, ...]) -> None:
        self.name = name
        self.sources = sources
        self.state = State.STOPPED
        self.message = ""
        self.loaded: dict[str, str] = {}  # folder to the name in the registry, of what this model loaded for itself

    def condition(self) -> Condition:
        return Condition(self.name, self.state, self.message)


class LookoutModels:
    """Safe for concurrent use. `sources`: for each model its folders, or "role:classifier" for the package that serves a role."""

    def __init__(self, registry: ModelRegistry, roots: ModelRoots, sources: Mapping[str, Sequence[str]]) -> None:
        self._registry = registry
        self._roots = roots
        self._slots = {name: _Slot(name, tuple(given)) for name, given in sources.items()}
        self._lock = threading.Lock()
        # However many are started at once, they take one turn of the registry's, and it does not refuse them.
        self._loads = threading.Lock()
        self._detections = threading.BoundedSemaphore(MAX_DETECTIONS)

    def all(self) -> list[Condition]:
        """Every model that is configured."""
        with self._lock:
            return [slot.condition() for slot in self._slots.values()]

    def describe(self, name: str) -> Condition:
        """Raises UnknownModelError."""
        with self._lock:
            return self._slot(name).condition()

    def start(self, name: str) -> State:
        """Begin to load in a thread of its own. Raises UnknownModelError, NotReadyError."""
        with self._lock:
            slot = self._slot(name)
            if slot.state not in (State.STOPPED, State.FAILED):
                raise NotReadyError(f"model {name!r} is {slot.state}; only a STOPPED or FAILED one can be started")
            slot.state, slot.message = State.STARTING, ""
        threading.Thread(target=self._load, args=(slot,), name=f"start-{name[:20]}", daemon=True).start()
        return State.STARTING

    def stop(self, name: str) -> State:
        """Drop a running model; detections that run on it end well. Raises UnknownModelError, NotReadyError."""
        with self._lock:
            slot = self._slot(name)
            if slot.state is not State.RUNNING:
                raise NotReadyError(f"model {name!r} is {slot.state}; only a RUNNING one can be stopped")
            slot.state = State.STOPPING
        self._drop(slot)
        self._set(slot, State.STOPPED)
        return State.STOPPED

    @contextmanager
    def running(self, name: str) -> Iterator[Detector]:
        """The detector of a running model, for one detection. Raises UnknownModelError, NotReadyError, BusyError."""
        with self._lock:
            slot = self._slot(name)
            state = slot.state
        if state is not State.RUNNING:
            raise NotReadyError(
                f"model {name!r} is {state}, not RUNNING; call StartModel and wait until DescribeModel says so"
            )
        if not self._detections.acquire(blocking=False):
            raise BusyError(f"{MAX_DETECTIONS} pictures are being judged already; send the next when one is answered")
        try:
            yield self._detector(slot)
        finally:
            self._detections.release()

    def _slot(self, name: str) -> _Slot:
        slot = self._slots.get(name)
        if slot is None:
            known = ", ".join(self._slots) or "none"
            raise UnknownModelError(f"model {name[:128]!r} is not in LookoutModels; configured: {known}")
        return slot

    def _detector(self, slot: _Slot) -> Detector:
        """From what is loaded now: the package of a role may have been replaced since the start."""
        try:
            return detector_of([self._model(slot, source) for source in slot.sources])
        except RequestError as error:  # a role lost its package, or a client of the other interface dropped ours
            with self._lock:
                failed = slot.state is State.RUNNING  # not when it is being stopped, or another detection found it
                if failed:
                    slot.state = State.STOPPING
            if failed:
                self._drop(slot)
                self._set(slot, State.FAILED, str(error))
            raise NotReadyError(f"model {slot.name!r} does not run any more: {error}; start it again") from error

    def _load(self, slot: _Slot) -> None:
        try:
            with self._loads:
                self._load_sources(slot)
            detector_of([self._model(slot, source) for source in slot.sources])
        except Exception as error:  # a thread's top: whatever it is, the model failed and says why
            self._drop(slot)
            if not isinstance(error, RequestError):
                log.exception("model %s: a defect of the agent", slot.name)
            self._set(slot, State.FAILED, str(error) or type(error).__name__)
        else:
            self._set(slot, State.RUNNING)

    def _load_sources(self, slot: _Slot) -> None:
        number = list(self._slots).index(slot.name) + 1
        for place, source in enumerate(slot.sources):
            if not source.startswith(ROLE_PREFIX) and source not in slot.loaded:
                name = f"lookout-{number}-{place + 1}"
                self._registry.load(name, self._roots.folder_of(source), source)
                slot.loaded[source] = name

    def _model(self, slot: _Slot, source: str) -> LoadedModel:
        if not source.startswith(ROLE_PREFIX):
            name = slot.loaded.get(source)
            if name is None:
                raise UnknownModelError(f"{source}: was dropped meanwhile")
            return self._registry.get(name).model
        role = source.removeprefix(ROLE_PREFIX)
        for entry in self._registry.all():
            if entry.role == role:
                return entry.model
        raise NotLoadableError(f"no package serves the role {role!r} at the moment; deploy its model component")

    def _drop(self, slot: _Slot) -> None:
        while slot.loaded:
            _, name = slot.loaded.popitem()
            try:
                self._registry.remove(name)
            except UnknownModelError as error:
                log.info("model %s: %s", slot.name, error)  # a client of the other interface was faster

    def _set(self, slot: _Slot, state: State, message: str = "") -> None:
        with self._lock:
            slot.state, slot.message = state, message[:1000]
        log.log(logging.WARNING if message else logging.INFO, "model %s: %s %s", slot.name, state, message)
