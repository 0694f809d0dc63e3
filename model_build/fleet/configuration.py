"""The fleet's configuration file (schema `linewatch.Fleet/1`): rings in order, windows, gates, rollout, configuration per ring."""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Annotated, Any, TypeVar

import msgspec
from linewatch_common.errors import ConfigError
from linewatch_common.messages.fleet import LATENCY_BOUNDS_MS
from linewatch_common.names import AGENT
from linewatch_common.windows import Window, zone_of

from model_build.fleet.errors import FleetInputError
from model_build.fleet.statistics import LEAST_ABORT_DEVICES, abort_minimum

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Minutes = Annotated[int, msgspec.Meta(ge=1, le=10_080)]
# Names are parts of S3 keys, deployment names and client tokens.
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,47}$")]
ComponentName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,128}$")]
Version = Annotated[str, msgspec.Meta(pattern=r"^(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})$")]
T = TypeVar("T")
# EdgeAgent's keys for the times in which a device may change a model.
DEVICE_WINDOWS, DEVICE_ZONE = "MaintenanceWindows", "MaintenanceTimeZone"


class Gate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a ring must show before the next one starts.

    Rates come from the health reports of the ring's devices since the deployment, beside those before it. `watch_minutes` pass in any
    case; a device without a good report after `report_minutes` is silent, which is a failure; a gate that cannot decide holds, and
    gives up after `hold_minutes`. All three count from when the last device of the ring is told of the deployment.
    """

    failed_devices: Share = 0.0  # share of the ring that may fail or stay silent; 0 in a canary
    watch_minutes: Minutes = 10
    report_minutes: Minutes = 20
    hold_minutes: Minutes = 480
    minimum_parts: Annotated[int, msgspec.Meta(ge=0)] = 1000  # since the deployment; 0: rates are not judged
    defect_rate_margin: Share = 0.02  # the defect rate may differ by that much, up or down
    confidence: Annotated[float, msgspec.Meta(ge=0.8, le=0.9999)] = 0.95
    latency_ms: int = 150  # one of LATENCY_BOUNDS_MS
    slow_parts: Share = 0.05  # share of parts that may be slower than latency_ms
    lost_parts: Share = 0.01  # share of parts that may end late, missed or in error
    inspected_devices: Annotated[int, msgspec.Meta(ge=0, le=500)] = 50  # whose components are asked for one by one


class Abort(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """IoT stops sending a ring's deployment when `percent` of at least `minimum_devices` ended so. It takes nothing back."""

    failure: Annotated[str, msgspec.Meta(pattern="^(FAILED|REJECTED|TIMED_OUT|ALL)$")] = "ALL"
    percent: Annotated[float, msgspec.Meta(gt=0, le=100)] = 20.0
    minimum_devices: Annotated[int, msgspec.Meta(ge=1)] = LEAST_ABORT_DEVICES


class Ring(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing group with a place in the order. `configuration` (component to object) overrides the fleet's, component by component."""

    name: Name
    thing_group: Annotated[str, msgspec.Meta(pattern=r"^[a-zA-Z0-9:_-]{1,128}$")]
    windows: list[Window] = []
    gate: Gate | None = None
    per_minute: Annotated[int, msgspec.Meta(ge=1, le=1000)] | None = None
    configuration: dict[ComponentName, dict[str, Any]] = {}


class Fleet(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="schema", tag="linewatch.Fleet/1"
):
    """One fleet. `configuration` (component to object) is the whole of what differs from the recipe's defaults."""

    name: Name
    rings: Annotated[list[Ring], msgspec.Meta(min_length=1, max_length=20)]
    gate: Gate = Gate()
    timezone: str = "UTC"
    per_minute: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    abort: Annotated[list[Abort], msgspec.Meta(max_length=4)] | None = None  # None: by what each ring tolerates
    install_minutes: Minutes = 30  # a device that installs longer counts as failed
    failure_handling: Annotated[str, msgspec.Meta(pattern="^(ROLLBACK|DO_NOTHING)$")] = "ROLLBACK"
    configuration: dict[ComponentName, dict[str, Any]] = {}

    def ring(self, name: str) -> Ring:
        """By name. Raises FleetInputError."""
        for ring in self.rings:
            if ring.name == name:
                return ring
        raise FleetInputError(f"fleet {self.name} has no ring {name}: {', '.join(each.name for each in self.rings)}")

    def gate_of(self, ring: Ring) -> Gate:
        """The ring's own gate, or the fleet's."""
        return ring.gate or self.gate

    def rollout(self, ring: Ring, devices: int) -> timedelta:
        """How long it takes until the last of `devices` is told of a deployment."""
        return timedelta(minutes=devices / (ring.per_minute or self.per_minute))

    def aborts_of(self, ring: Ring) -> list[Abort]:
        """When IoT stops sending to that ring: as the file says, else so late that what its gate tolerates does not stop it."""
        if self.abort is not None:
            return self.abort
        tolerated = self.gate_of(ring).failed_devices
        percent = min(100.0, max(Abort().percent, 300 * tolerated))
        return [Abort(percent=percent, minimum_devices=abort_minimum(tolerated, percent / 100))]

    def configuration_of(self, ring: Ring, component: str) -> dict[str, Any] | None:
        """What is merged into the component's defaults in that ring; None: the file says nothing of it."""
        return ring.configuration.get(component, self.configuration.get(component))


def read_fleet(data: bytes, where: str) -> Fleet:
    """The configuration in `data`. Raises FleetInputError with one line that names `where`, the field and the reason."""
    fleet = decode(data, Fleet, where)
    for kind, names in (("ring", [r.name for r in fleet.rings]), ("thing group", [r.thing_group for r in fleet.rings])):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise FleetInputError(f"{where}: {kind} {twice[0]} is named twice; each device is in exactly one ring")
    for gate in (fleet.gate, *(ring.gate for ring in fleet.rings if ring.gate)):
        if gate.latency_ms not in LATENCY_BOUNDS_MS:
            bounds = ", ".join(map(str, LATENCY_BOUNDS_MS))
            raise FleetInputError(f"{where}: latency_ms {gate.latency_ms} is none of the reports' bounds ({bounds})")
    zone(fleet, where)
    _check_device_windows(fleet, where)
    return fleet


def zone(fleet: Fleet, where: str = "fleet") -> tzinfo:
    """The fleet's time zone. Raises FleetInputError."""
    return _zone(fleet.timezone, f"{where}: timezone")


def _zone(name: str, where: str) -> tzinfo:
    try:
        return zone_of(name)
    except ConfigError as error:
        raise FleetInputError(f"{where}: {error}") from error


def _check_device_windows(fleet: Fleet, where: str) -> None:
    """The devices' own windows are read like the rings': a mistake shows here, not on a thousand devices."""
    for place, configuration in (
        ("configuration", fleet.configuration),
        *((f"ring {r.name}", r.configuration) for r in fleet.rings),
    ):
        own = configuration.get(AGENT, {})
        about = f"{where}: {place}: {AGENT}"
        try:
            msgspec.convert(own.get(DEVICE_WINDOWS, []), type=list[Window])
            _zone(msgspec.convert(own.get(DEVICE_ZONE, "UTC"), type=str), f"{about}: {DEVICE_ZONE}")
        except msgspec.ValidationError as error:
            raise FleetInputError(f"{about}: {DEVICE_WINDOWS}: {error}") from error


def decode(data: bytes, kind: type[T], where: str) -> T:
    """JSON as `kind`. Raises FleetInputError."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FleetInputError(f"{where}: {error}") from error


def moment_text(moment: datetime) -> str:
    """UTC, to the second: 2026-11-22T10:00:00Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment_of(text: str) -> datetime:
    """The moment of a text with or without a fraction of a second. Raises ValueError."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
