"""What the state store holds of a deployment, and what the steps return. Every value is JSON; device lists lie in objects of their own.

Keys below the fleet's prefix `fleets/<fleet>/`:
  fleet.json                      the configuration (Fleet)
  current.json                    which plan is under way (Current); the fleet's lock, changed only when nobody else did
  plans/<plan>/plan.json          the Plan, written once
  plans/<plan>/<ring>/devices.json   thing names of the ring at that time, sorted
  plans/<plan>/<ring>/before.json    Before: what to restore and to compare with, written once before the ring is touched
  plans/<plan>/<ring>/state.json     RingState
  history/<time>-<plan>.json      one HistoryRecord for each end
"""

from enum import StrEnum
from typing import Any

import msgspec

from model_build.fleet.configuration import Fleet


class Phase(StrEnum):
    """Where a plan or a ring stands."""

    PLANNED = "planned"
    INSTALLING = "installing"  # the deployment is created, devices take it
    WATCHING = "watching"  # the gate waits for reports
    PASSED = "passed"
    HELD = "held"  # the gate could not decide in its time
    FAILED = "failed"
    ROLLING_BACK = "rolling back"
    ROLLED_BACK = "rolled back"
    FOREIGN = "foreign revision"
    DONE = "done"


# A plan in one of these holds the fleet. PASSED: a ring has, the next one is to come.
CLOSED = frozenset({Phase.ROLLED_BACK, Phase.DONE})
OPEN = frozenset(Phase) - CLOSED


class ComponentSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One entry of a deployment's component map. `merge` is the JSON text that Greengrass keeps; `run_with` as in the API."""

    version: str
    merge: str = ""
    reset: list[str] | None = None
    run_with: dict[str, Any] | None = None


Components = dict[str, ComponentSpec]


class Deployed(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment of a thing group as it stands; `job` may be empty; `created` is UTC text."""

    deployment: str
    revision: str
    name: str
    status: str
    job: str
    created: str
    components: Components


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """Parts judged by devices: counts by outcome, and the latency histogram over LATENCY_BOUNDS_MS and above."""

    outcomes: dict[str, int] = {}
    latency: list[int] = []


class DeviceTally(msgspec.Struct, frozen=True, kw_only=True):
    """One device's counts since `since`."""

    since: str
    tally: Tally


class Before(msgspec.Struct, frozen=True, kw_only=True):
    """A ring before it is touched. `full_merges`: for each of the release's components that ran, all that was merged into its defaults."""

    previous: Deployed | None
    full_merges: dict[str, dict[str, Any]]
    unhealthy: list[str]  # devices that were unhealthy already
    health: dict[str, DeviceTally]  # of the devices that reported


class PlannedRing(msgspec.Struct, frozen=True, kw_only=True):
    """A ring of a plan: its thing group's ARN, how many devices, which deployment stands there (empty: none)."""

    name: str
    target: str
    devices: int
    previous: str
    detectable: float  # share of failing devices that this many devices show with 95 %


class Plan(msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag="linewatch.FleetPlan/1"):
    """A release (component to version) to a fleet, with everything that was known when it was made."""

    plan: str
    made: str
    fleet: Fleet
    release: dict[str, str]
    rings: list[PlannedRing]
    by: str = ""

    def ring(self, name: str) -> PlannedRing:
        """By name. Raises KeyError."""
        return {ring.name: ring for ring in self.rings}[name]


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How far a deployment's job is (devices)."""

    queued: int = 0
    in_progress: int = 0
    succeeded: int = 0
    failed: int = 0
    rejected: int = 0
    timed_out: int = 0
    canceled: int = 0
    removed: int = 0

    @property
    def bad(self) -> int:
        """Ended without success."""
        return self.failed + self.rejected + self.timed_out + self.canceled

    @property
    def waiting(self) -> int:
        """Not ended."""
        return self.queued + self.in_progress


class Decision(StrEnum):
    """A gate's."""

    PASS = "pass"  # noqa: S105 - not a secret
    WAIT = "wait"  # too early to say
    HOLD = "hold"  # it had its time and cannot say
    FAIL = "fail"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a gate says and why, in few lines; `figures` are numbers by name."""

    decision: Decision
    reasons: list[str] = []
    figures: dict[str, float] = {}


class RingState(msgspec.Struct, frozen=True, kw_only=True):
    """Where a ring stands. Times are UTC texts; ids are empty until they exist."""

    ring: str
    phase: Phase
    deployment: str = ""
    revision: str = ""
    job: str = ""
    started: str = ""  # the deployment's own time of creation
    counts: Counts = Counts()
    verdict: Verdict | None = None
    rollback: str = ""  # the deployment that restores
    rollback_job: str = ""
    reason: str = ""


class Current(msgspec.Struct, frozen=True, kw_only=True):
    """The plan that holds the fleet; a phase outside OPEN frees it."""

    plan: str
    phase: Phase
    ring: str = ""
    reason: str = ""
    changed: str = ""


class HistoryRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How a plan ended."""

    plan: str
    fleet: str
    release: dict[str, str]
    made: str
    ended: str
    phase: Phase
    ring: str = ""
    reason: str = ""
    by: str = ""
    devices: int = 0


def small(value: msgspec.Struct) -> dict[str, Any]:
    """As JSON-able values, for a state machine's state or a program."""
    built = msgspec.to_builtins(value)
    assert isinstance(built, dict)  # noqa: S101 - a struct always is
    return built
