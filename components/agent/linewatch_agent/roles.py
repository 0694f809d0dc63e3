"""Which model serves which role: offers, activation, restoring, withdrawal, retirement. No bus and no threads here.

The running model of a role is touched only after its successor is copied, verified, loaded, proved and written down as active.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from linewatch_common.errors import CorruptStateError, InputError, PackageError, StorageError
from linewatch_common.logs import capped
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

from linewatch_agent.active import ActiveFile, ActivePackage
from linewatch_agent.counters import Counters
from linewatch_agent.errors import unforeseen
from linewatch_agent.loading import LoadedModel
from linewatch_agent.packages import PackageStore, StoredPackage
from linewatch_agent.proof import Proof, prove
from linewatch_agent.proving import ProvingMark
from linewatch_agent.registry import Entry, ModelRegistry
from linewatch_agent.reloading import Reloads
from linewatch_agent.serving import ActiveModel
from linewatch_agent.waiting import WaitingModels

log = logging.getLogger(__name__)

# Inspector switches between two frames; one that is away does not need the old model.
REPLACED_SECONDS = 60.0
MAX_REASON = 300


@dataclass(frozen=True, slots=True)
class _Replaced:
    active: ActiveModel
    since: float
    by: str


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


@dataclass(slots=True)
class _State:
    """`unrestored`: recorded and not served, by role: a key that is missing or a disk that was not read may come back."""

    active: dict[str, ActiveModel] = field(default_factory=dict)
    unrestored: dict[str, ActivePackage] = field(default_factory=dict)
    replaced: list[_Replaced] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)  # by role; "" for all of them


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
        self._on_change = on_change
        self._registry = registry
        self._store = store
        self._file = file
        self._settings = settings
        self._counters = counters
        self._clock = clock
        self._started = clock()
        self._lock = threading.Lock()
        self._state = _State()
        self._waiting = WaitingModels(settings.schedule, clock, on_change)
        self._reloads = Reloads(registry, store, counters, clock, on_change)
        self._mark = ProvingMark(settings.root / "proving.json")

    def restore(self) -> None:
        """Serve what was active before, from our own copies. A broken copy is refused with a line, and its role stays empty."""
        self._mark.look()
        try:
            recorded = self._file.read()
        except CorruptStateError as error:
            # The model components offer again what they hold, so the line gets its models back without a person.
            self._problem("", f"no role is restored: {error}")
            return
        for role, package in recorded.items():
            try:
                self._restore_one(role, package)
            except (InputError, StorageError) as error:
                self._not_restored(role, package, str(error))
            except Exception as error:  # what no adapter foresaw: the other roles are to be served all the same
                log.exception("role %s: an internal error", role)
                self._not_restored(role, package, unforeseen(error))
        self._store.sweep([self._settings.root / package.folder for package in recorded.values()])

    def answer(self, offer: ModelOffered) -> ModelProved | ModelActivated | ModelWaiting | ModelRefused:
        """Prove (trial) or activate the offered package, or let it wait. What runs is not touched by one that waits or is refused."""
        try:
            return self._prove(offer) if offer.trial else self._activate(offer)
        except (InputError, StorageError) as error:
            return self._refused(offer, str(error))
        except Exception as error:  # what no adapter foresaw: without an answer the deployment would not know why
            log.exception("model %s: an internal error", offer.identifier)
            return self._refused(offer, unforeseen(error))

    def stop(self) -> None:
        """The process ends. From any thread."""
        self._mark.stop()

    def withdrawn(self, message: ModelRetired) -> None:
        """A model component stops: its model stays until a new offer, or until nobody offered it for long. One that waits is forgotten."""
        waits = self._waiting.statuses().get(message.role)
        if waits is not None and waits.identifier == message.identifier:
            self._waits_no_longer(message.role, "its component went")
        active = self._state.active.get(message.role)
        if active is None or active.identifier != message.identifier or message.by == self._settings.component:
            return
        active.withdrawn_at = self._clock()
        log.info(
            "model %s: its component %s went; it serves on for %.0f min without a new offer",
            message.identifier,
            capped(message.by),
            self._settings.withdrawal_seconds / 60,
        )

    def retire_due(self, in_use: Collection[str] | None, heard_at: float) -> list[ModelRetired]:
        """Drop what nobody needs any more.

        `in_use`: the identifiers that Inspector named in its last heartbeat, heard at `heard_at` (monotonic); None without Inspector.
        """
        for role in self._waiting.look():
            self._renew_patience(role)
        retired = list(self._retire_replaced(in_use, heard_at))
        retired += self._retire_withdrawn()
        self._counters.add("models_retired", len(retired))
        return retired

    def reload_due(self) -> None:
        """Load again what serves a role and whose runtime has ended; call it often. A damaged copy leaves the role to the next offer."""
        for active in list(self._state.active.values()):
            try:
                self._reloads.look(active)
            except PackageError as error:
                self._give_up(active, str(error))

    def statuses(self) -> dict[str, RoleStatus]:
        """Each role's model, for the heartbeat."""
        with self._lock:
            return {role: active.status() for role, active in self._state.active.items()}

    def waiting(self) -> dict[str, WaitingModel]:
        """Each role's model that waits for the maintenance window, for the heartbeat."""
        return self._waiting.statuses()

    def orphaned(self) -> list[str]:
        """Active since our start without any offer, for longer than a withdrawn model would have, and without a successor that waits."""
        if self._clock() - self._started < self._settings.withdrawal_seconds:
            return []
        heir = self._waiting.statuses()
        with self._lock:
            return sorted(
                active.identifier
                for role, active in self._state.active.items()
                if not active.offered and role not in heir
            )

    def problems(self) -> str:
        """What could not be restored and has no successor yet, and what is down; empty when all is well."""
        with self._lock:
            down = [active.outage.problem for active in self._state.active.values() if active.outage.problem]
            return "; ".join([*self._state.problems.values(), *down])

    def _not_restored(self, role: str, package: ActivePackage, reason: str) -> None:
        self._state.unrestored[role] = package
        self._problem(role, f"role {role}: {package.identifier} is not restored: {reason}")

    def _give_up(self, active: ActiveModel, reason: str) -> None:
        """Its component, which no longer sees it named, offers it again, and that repairs our copy."""
        with self._lock:
            del self._state.active[active.role]
        self._drop_from_memory(active)
        self._not_restored(active.role, self._recorded(active.package, active.previous), reason)
        self._on_change()

    def _refused(self, offer: ModelOffered, reason: str) -> ModelRefused:
        self._counters.add("models_refused")
        log.error("model %s refused: %s", offer.identifier, reason)
        return ModelRefused(identifier=offer.identifier, nonce=offer.nonce, reason=capped(reason, MAX_REASON - 1))

    def _restore_one(self, role: str, recorded: ActivePackage) -> None:
        package = self._store.verified(self._settings.root / recorded.folder, recorded.manifest_digest)
        if package.manifest.role != role:
            raise PackageError(f"its manifest says role {package.manifest.role!r}")
        model = self._registry.load_aside(package.folder, str(package.folder))
        self._serve(ActiveModel(role, package, model, offered=False, previous=recorded.previous))
        log.info("role %s: %s restored from our own copy", role, recorded.identifier)

    def _prove(self, offer: ModelOffered) -> ModelProved:
        package = self._taken(offer)
        try:
            _, proof = self._loaded_and_proved(package)
        finally:
            if package.fresh and not self._serves_from(package.folder):
                self._store.drop(package.folder)
        log.info("model %s proved: %.1f ms, %d golden pictures", offer.identifier, proof.latency_ms, proof.samples)
        return ModelProved(
            identifier=offer.identifier,
            manifest_digest=offer.manifest_digest,
            nonce=offer.nonce,
            latency_ms=round(proof.latency_ms, 3),
            golden_samples=proof.samples,
        )

    def _activate(self, offer: ModelOffered) -> ModelActivated | ModelWaiting:
        before = self._state.active.get(offer.role)
        if before is not None and _is_same(before, offer):
            if self._reloads.is_down(before):
                self._reloads.load(before, self._taken(offer))  # what is answered as active answers
            before.offered, before.withdrawn_at = True, None
            self._leave_other_roles(before)
            # A rollback. Where another component stands behind what waited, it offers again.
            self._waits_no_longer(offer.role, f"{offer.identifier} was offered again")
            return _activated(offer, None)
        back = before is not None and before.previous == offer.manifest_digest
        until = None if before is None or back else self._waiting.closed_until()
        if until is not None:
            return self._wait(offer, until)
        previous = None if before is None or back else before.package.digest
        package = self._taken(offer)
        try:
            model, proof = self._loaded_and_proved(package)
            self._write_down(offer.role, package, previous)
        except BaseException:
            if package.fresh:
                self._store.drop(package.folder)
            raise
        active = ActiveModel(offer.role, package, model, offered=True, previous=previous)
        self._serve(active)
        self._leave_other_roles(active)
        self._waiting.drop(offer.role, f"{offer.identifier} is active")
        replaced = None if before is None else self._replace(before, offer.identifier)
        self._counters.add("models_activated")
        log.info(
            "role %s: %s is active (%.1f ms, %d golden pictures), replaced %s",
            offer.role,
            offer.identifier,
            proof.latency_ms,
            proof.samples,
            replaced or "nothing",
        )
        return _activated(offer, replaced)

    def _wait(self, offer: ModelOffered, until: datetime) -> ModelWaiting:
        """Proved once, so that a bad package is refused now and not in the window."""
        if not self._waiting.names(offer):
            self._prove(offer)
        return self._waiting.put(offer, until)

    def _waits_no_longer(self, role: str, why: str) -> None:
        self._waiting.drop(role, why)
        self._renew_patience(role)

    def _renew_patience(self, role: str) -> None:
        """What serves was not withdrawn for good while a successor waited: its time begins now."""
        active = self._state.active.get(role)
        if active is not None and active.withdrawn_at is not None:
            active.withdrawn_at = self._clock()

    def _serves_from(self, folder: Path) -> bool:
        """A model serves from this very copy, which was broken and has just been made again."""
        return any(active.package.folder == folder for active in self._state.active.values())

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

    def _loaded_and_proved(self, package: StoredPackage) -> tuple[LoadedModel, Proof]:
        with self._mark.around(package.manifest.identifier, package.digest):
            model = self._registry.load_aside(package.folder, str(package.folder))
            return model, prove(model.net, package.folder, package.manifest, self._settings.latency_budget_ms)

    def _write_down(self, role: str, package: StoredPackage | None, previous: str | None = None) -> None:
        """Make durable that `package` serves `role` alone (None: nothing does) in place of `previous`. Raises StorageError."""
        left = {role} if package is None else {role, *self._other_roles(role, package.manifest.name)}
        records = self._state.unrestored | {
            name: self._recorded(active.package, active.previous) for name, active in self._state.active.items()
        }
        records = {name: record for name, record in records.items() if name not in left}
        if package is not None:
            records[role] = self._recorded(package, previous)
        self._file.write(records)

    def _recorded(self, package: StoredPackage, previous: str | None) -> ActivePackage:
        return ActivePackage(
            identifier=package.manifest.identifier,
            manifest_digest=package.digest,
            folder=package.folder.relative_to(self._settings.root).as_posix(),
            previous=previous,
        )

    def _serve(self, active: ActiveModel) -> None:
        self._registry.put(Entry(active.identifier, active.model, active.role))
        state = self._state
        with self._lock:
            state.active[active.role] = active
            state.unrestored.pop(active.role, None)
            state.problems.pop(active.role, None)
            state.problems.pop("", None)
            # Back in service, it must not be dropped for having been replaced once.
            state.replaced = [old for old in state.replaced if old.active.package.folder != active.package.folder]
        self._store.in_service(active.package.folder)
        self._on_change()

    def _other_roles(self, role: str, model: str) -> list[str]:
        """What another version of `model` serves: a component holds one version, and that has one role."""
        return [
            name
            for name, active in self._state.active.items()
            if name != role and active.package.manifest.name == model
        ]

    def _leave_other_roles(self, active: ActiveModel) -> None:
        """Other versions of this model are replaced by it, whatever their role is."""
        for role in self._other_roles(active.role, active.package.manifest.name):
            with self._lock:
                other = self._state.active.pop(role)
            self._replace(other, active.identifier)
            log.info("role %s: %s left it, replaced by %s", role, other.identifier, active.identifier)
            self._on_change()
            try:
                self._write_down(active.role, active.package, active.previous)
            except StorageError as error:
                log.warning("role %s: %s comes back at the next start: %s", role, other.identifier, error)

    def _replace(self, before: ActiveModel, by: str) -> str | None:
        self._state.replaced.append(_Replaced(before, self._clock(), by))
        return before.identifier if before.identifier != by else None

    def _retire_replaced(self, in_use: Collection[str] | None, heard_at: float) -> Iterator[ModelRetired]:
        for old in list(self._state.replaced):
            unnamed = in_use is not None and heard_at > old.since and old.active.identifier not in in_use
            if unnamed or self._clock() - old.since > REPLACED_SECONDS:
                self._state.replaced.remove(old)
                self._store.drop(old.active.package.folder)
                if self._drop_from_memory(old.active):
                    yield self._retired(old.active, f"replaced by {old.by}")

    def _retire_withdrawn(self) -> Iterator[ModelRetired]:
        heir = self._waiting.statuses()
        for role, active in list(self._state.active.items()):
            patience = self._settings.withdrawal_seconds
            if role in heir or active.withdrawn_at is None or self._clock() - active.withdrawn_at < patience:
                continue
            try:
                self._write_down(active.role, None)
            except StorageError as error:
                log.warning("model %s is withdrawn but stays: %s", active.identifier, error)
                active.withdrawn_at = self._clock()  # try again after the same time
                continue
            with self._lock:
                del self._state.active[active.role]
            self._drop_from_memory(active)
            self._store.drop(active.package.folder)
            yield self._retired(active, f"withdrawn, and not offered again for {patience / 60:.0f} min")

    def _drop_from_memory(self, active: ActiveModel) -> bool:
        """False when the name serves another package by now."""
        served = {entry.name: entry.model for entry in self._registry.all()}
        if served.get(active.identifier) is not active.model:
            return False
        self._registry.remove(active.identifier)
        return True

    def _retired(self, active: ActiveModel, reason: str) -> ModelRetired:
        log.info("model %s retired: %s", active.identifier, reason)
        return ModelRetired(
            identifier=active.identifier, role=active.role, by=self._settings.component, reason=reason[:MAX_REASON]
        )

    def _problem(self, role: str, problem: str) -> None:
        log.error("%s", problem)
        with self._lock:
            self._state.problems[role] = problem


def _is_same(active: ActiveModel, offer: ModelOffered) -> bool:
    return (active.identifier, active.package.digest) == (offer.identifier, offer.manifest_digest)


def _activated(offer: ModelOffered, replaced: str | None) -> ModelActivated:
    return ModelActivated(
        identifier=offer.identifier,
        role=offer.role,
        version=offer.version,
        manifest_digest=offer.manifest_digest,
        nonce=offer.nonce,
        replaced=replaced,
    )
