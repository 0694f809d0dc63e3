"""The records of one fleet in the state store."""

from typing import TypeVar

import msgspec

from model_build.fleet.configuration import Fleet, decode, read_fleet
from model_build.fleet.errors import ConflictError, NotFoundError, RunningAlreadyError
from model_build.fleet.records import OPEN, Before, Current, HistoryRecord, Phase, Plan, RingState
from model_build.fleet.store import StateStore

T = TypeVar("T", bound=msgspec.Struct)
_CURRENT = "current.json"
_CONFIGURATION = "fleet.json"


class Book:
    """Reads and writes records (module `records` lists the keys). `store` lies at the fleet's own prefix."""

    def __init__(self, store: StateStore) -> None:
        self.store = store

    def configuration(self) -> Fleet:
        """The stored configuration. Raises NotFoundError, FleetInputError."""
        found = self.store.read(_CONFIGURATION)
        if found is None:
            raise NotFoundError(
                f"{self.store.address}{_CONFIGURATION} does not exist: `fleet configure FILE` stores a fleet"
            )
        return read_fleet(found[0], f"{self.store.address}{_CONFIGURATION}")

    def configure(self, data: bytes) -> None:
        """Store a configuration that was read without error."""
        self.store.write(_CONFIGURATION, data)

    def current(self) -> Current | None:
        """The plan under way or the last one."""
        return self._read(_CURRENT, Current)

    def claim(self, current: Current) -> None:
        """Make this plan the one under way. Raises RunningAlreadyError when another one is."""
        data = msgspec.json.encode(current)
        found = self.store.read(_CURRENT)
        try:
            if found is None:
                self.store.create(_CURRENT, data)
                return
            standing = decode(found[0], Current, f"{self.store.address}{_CURRENT}")
            if standing.phase in OPEN and standing.plan != current.plan:
                raise RunningAlreadyError(half_finished(standing))
            self.store.replace(_CURRENT, data, found[1])
        except ConflictError as error:
            raise RunningAlreadyError(
                "another deployment of this fleet was begun at this moment: see `fleet status`"
            ) from error

    def move(self, current: Current) -> None:
        """The same plan's next phase. Raises RunningAlreadyError when another plan took its place."""
        found = self.store.read(_CURRENT)
        if found is not None and decode(found[0], Current, _CURRENT).plan != current.plan:
            raise RunningAlreadyError(f"plan {current.plan} is not the one under way any more: see `fleet status`")
        self.store.write(_CURRENT, msgspec.json.encode(current))

    def plan(self, plan: str) -> Plan:
        """Raises NotFoundError."""
        found = self._read(f"plans/{plan}/plan.json", Plan)
        if found is None:
            raise NotFoundError(f"{self.store.address}plans/{plan}: there is no such plan")
        return found

    def save_plan(self, plan: Plan, devices: dict[str, list[str]]) -> None:
        """Store a plan, its rings' devices first; the same plan again changes nothing."""
        for ring, things in devices.items():
            self.store.write(f"plans/{plan.plan}/{ring}/devices.json", msgspec.json.encode(things))
        self.store.write(f"plans/{plan.plan}/plan.json", msgspec.json.encode(plan))

    def devices(self, plan: str, ring: str) -> list[str]:
        """The ring's things when the plan was made. Raises NotFoundError."""
        key = f"plans/{plan}/{ring}/devices.json"
        found = self.store.read(key)
        if found is None:
            raise NotFoundError(f"{self.store.address}{key} does not exist")
        return decode(found[0], list[str], key)

    def before(self, plan: str, ring: str) -> Before | None:
        """What stood before the ring was touched; None: it was not."""
        return self._read(f"plans/{plan}/{ring}/before.json", Before)

    def save_before(self, plan: str, ring: str, before: Before) -> Before:
        """Written once: a second try gives back what the first one saw."""
        key = f"plans/{plan}/{ring}/before.json"
        try:
            self.store.create(key, msgspec.json.encode(before))
        except ConflictError:
            return self._read(key, Before) or before
        return before

    def ring(self, plan: str, ring: str) -> RingState | None:
        """Where a ring stands; None: it was not begun."""
        return self._read(f"plans/{plan}/{ring}/state.json", RingState)

    def save_ring(self, plan: str, state: RingState) -> RingState:
        """Store and give back."""
        self.store.write(f"plans/{plan}/{state.ring}/state.json", msgspec.json.encode(state))
        return state

    def record(self, entry: HistoryRecord) -> None:
        """Add to the history; the same end again changes nothing."""
        self.store.write(f"history/{entry.ended}-{entry.plan}.json", msgspec.json.encode(entry))

    def history(self, count: int) -> list[HistoryRecord]:
        """The newest `count` ends, newest first."""
        keys = sorted(self.store.keys("history/"), reverse=True)[:count]
        return [entry for key in keys if (entry := self._read(key, HistoryRecord)) is not None]

    def _read(self, key: str, kind: type[T]) -> T | None:
        found = self.store.read(key)
        return None if found is None else decode(found[0], kind, f"{self.store.address}{key}")


def half_finished(current: Current) -> str:
    """A line about a plan that is not finished, with advice."""
    where = f" at ring {current.ring}" if current.ring else ""
    why = f" ({current.reason})" if current.reason else ""
    advice = "`fleet deploy --resume` goes on with it, `fleet rollback` takes it back"
    if current.phase == Phase.ROLLING_BACK:
        advice = "`fleet rollback` finishes taking it back"
    return f"plan {current.plan} is {current.phase}{where} since {current.changed}{why}: {advice}"
