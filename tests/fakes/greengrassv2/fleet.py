"""Simulated devices: what becomes of a deployment on each, as a function of time. Nothing runs; the same time gives the same answer."""

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from linewatch_common.messages.base import encode
from linewatch_common.messages.fleet import LATENCY_BOUNDS_MS, SCORE_BINS, ComponentHealth, FleetHealth, ModelWait
from linewatch_common.messages.status import ComponentState
from linewatch_common.messages.verdicts import ModelUse

MODEL_PREFIX = "com.linewatch.model."
REPORT_SECONDS = 60


class Kind(StrEnum):
    """How a device takes a deployment."""

    SUCCEED = "succeed"
    FAIL = "fail"  # the installation fails; the nucleus restores what ran (ROLLBACK)
    BROKEN = "broken"  # installs, then the component breaks: UNHEALTHY, BROKEN, not heard any more
    SILENT = "silent"  # the pulled cable: takes nothing, reports nothing, since the deployment was created
    MUTE = "mute"  # installs and runs, but never reports again
    FLAP = "flap"  # runs and errors in turn, minute by minute
    SLOW = "slow"  # never finishes installing: TIMED_OUT after the job's time


@dataclass(frozen=True, slots=True)
class Rule:
    """A device's behaviour for deployments with this component version ("" matches any)."""

    kind: Kind
    component: str = ""
    version: str = ""

    def matches(self, components: Mapping[str, str]) -> bool:
        if not self.component:
            return True
        found = components.get(self.component)
        return found is not None and self.version in {"", found}


@dataclass(frozen=True, slots=True)
class Quality:
    """What a device's parts look like."""

    defect_rate: float = 0.05
    latency_ms: float = 28.0
    lost_rate: float = 0.0


@dataclass(frozen=True, slots=True)
class Execution:
    """One deployment on one device. `end` None: never. `result` is IoT Jobs' word for it once it ended."""

    deployment: str
    components: dict[str, str]
    kind: Kind
    start: datetime
    end: datetime | None
    result: str

    def status(self, now: datetime, stopped: datetime | None) -> str:
        """At `now`; the job was stopped (superseded, canceled, aborted) at `stopped`."""
        if stopped is not None and stopped <= now and self.start >= stopped:
            return "CANCELED"
        if self.kind == Kind.SILENT or now < self.start:
            return "QUEUED"
        if self.end is None or now < self.end:
            return "IN_PROGRESS"
        return self.result


@dataclass(slots=True)
class Device:
    """One core device: `base` is what it runs since `born`, before any deployment.

    `opens`: its maintenance window; until then a newly deployed model waits there, and `waits_with` (name, version) is in use.
    """

    thing: str
    born: datetime
    base: dict[str, str]
    rules: list[Rule] = field(default_factory=list)
    parts_per_minute: float = 30.0
    install_seconds: float = 20.0
    runtime: str = "aws_nucleus_classic"
    executions: list[Execution] = field(default_factory=list)
    stops: dict[str, datetime] = field(default_factory=dict)  # deployment to when its job stopped; shared by all
    opens: datetime | None = None
    waits_with: list[tuple[str, str]] = field(default_factory=list)
    finished: frozenset[str] = frozenset()  # components whose work is done

    def take(self, deployment: str, components: dict[str, str], start: datetime, timeout: timedelta) -> Execution:
        """Plan what becomes of a deployment that the device is told of at `start`."""
        kind = next((rule.kind for rule in self.rules if rule.matches(components)), Kind.SUCCEED)
        busy = [each.end for each in self.executions if each.end is not None and self._happened(each)]
        start = max([start, *busy])
        end: datetime | None = start + timedelta(seconds=self.install_seconds)
        result = "SUCCEEDED"
        if kind == Kind.FAIL:
            result = "FAILED"
        elif kind == Kind.SLOW:
            end, result = start + timeout, "TIMED_OUT"
        elif kind == Kind.SILENT:
            end = None
        made = Execution(deployment, components, kind, start, end, result)
        self.executions.append(made)
        return made

    def running(self, now: datetime) -> tuple[dict[str, str], datetime, Kind]:
        """Component to version, since when, and how they do."""
        done = [
            each
            for each in self.executions
            if each.end and each.end <= now and each.result == "SUCCEEDED" and self._happened(each)
        ]
        if not done:
            return self.base, self.born, Kind.SUCCEED
        last = done[-1]
        assert last.end is not None
        return last.components, last.end, last.kind

    def installed(self, now: datetime) -> list[dict[str, Any]]:
        """As ListInstalledComponents says."""
        components, since, kind = self.running(now)
        hit = self._hit(components)
        rows = []
        for name, version in sorted(components.items()):
            done = name.startswith("aws.greengrass.Nucleus") or name in self.finished
            state = "FINISHED" if done else "RUNNING"
            if name == hit and kind == Kind.BROKEN:
                state = "BROKEN"
            elif name == hit and kind == Kind.FLAP:
                state = "ERRORED" if self._flapped(now, since) else "RUNNING"
            rows.append(
                {
                    "componentName": name,
                    "componentVersion": version,
                    "lifecycleState": state,
                    "isRoot": True,
                    "lastStatusChangeTimestamp": since,
                    "lastReportedTimestamp": since,
                }
            )
        return rows

    def healthy(self, now: datetime) -> bool:
        """As the core device's status says: no component is broken."""
        _, _, kind = self.running(now)
        return kind != Kind.BROKEN

    def last_report(self, now: datetime) -> datetime:
        """When it last reported, up to `now`."""
        limit = now
        for each in self.executions:
            if not self._happened(each) and each.kind != Kind.SILENT:
                continue
            if each.kind == Kind.SILENT:
                limit = min(limit, each.start)
            elif each.kind == Kind.MUTE and each.end is not None:
                limit = min(limit, each.end)
        minutes = int((limit - self.born).total_seconds() // REPORT_SECONDS)
        return self.born + timedelta(seconds=minutes * REPORT_SECONDS)

    def report(self, now: datetime, qualities: Mapping[tuple[str, str], Quality]) -> tuple[datetime, bytes]:
        """When the newest report was made, and its bytes."""
        at = self.last_report(now)
        components, since, kind = self.running(at)
        if kind == Kind.FLAP:
            since = at - timedelta(seconds=30)
        if self.opens is not None and since < self.opens <= at:
            since = self.opens  # counts begin anew with the model
        quality = next((qualities[item] for item in components.items() if item in qualities), Quality())
        parts = int((at - since).total_seconds() / 60 * self.parts_per_minute)
        lost = int(parts * quality.lost_rate + self._phase)
        defects = int((parts - lost) * quality.defect_rate + self._phase)
        latency = [0] * (len(LATENCY_BOUNDS_MS) + 1)
        latency[sum(bound < quality.latency_ms for bound in LATENCY_BOUNDS_MS)] = parts - lost
        hit = self._hit(components)
        heard = {
            name: ComponentHealth(version=version, state=self._state(name == hit, kind))
            for name, version in components.items()
            if name.startswith("com.linewatch.") and not (name == hit and kind == Kind.BROKEN)
        }
        models = [
            (name.removeprefix(MODEL_PREFIX), version)
            for name, version in components.items()
            if name.startswith(MODEL_PREFIX)
        ]
        waiting: list[ModelWait] = []
        if self.opens is not None and at < self.opens and models != self.waits_with:
            waiting = [
                ModelWait(role="classifier", identifier=_identifier(*model), until=_text(self.opens))
                for model in models
            ]
            models = self.waits_with
        message = FleetHealth(
            thing=self.thing,
            station="line1",
            at=_text(at),
            since=_text(since),
            sequence=max(0, int((at - since).total_seconds() // REPORT_SECONDS)),
            components=dict(list(heard.items())[:12]),
            models=[
                ModelUse(role="classifier", identifier=_identifier(name, version), version=version)
                for name, version in models[:4]
            ],
            waiting=waiting,
            outcomes={"pass": parts - lost - defects, "fail": defects, "missed": lost},
            latency_ms=latency,
            scores=[parts - lost, *([0] * (SCORE_BINS - 1))],
        )
        return at, encode(message)

    @property
    def _phase(self) -> float:
        """From 0 to below 1: where rounding goes up. Devices differ in it, so that a fleet of few parts each still has its rate."""
        return zlib.crc32(self.thing.encode()) / 2**32

    def _state(self, hit: bool, kind: Kind) -> ComponentState:
        return ComponentState.DEGRADED if hit and kind == Kind.FLAP else ComponentState.READY

    def _flapped(self, now: datetime, since: datetime) -> bool:
        return int((now - since).total_seconds() // REPORT_SECONDS) % 2 == 1

    def _hit(self, components: Mapping[str, str]) -> str:
        """The component that the behaviour is about."""
        named = [rule.component for rule in self.rules if rule.component and rule.matches(components)]
        return named[0] if named else next(iter(sorted(components)), "")

    def _happened(self, execution: Execution) -> bool:
        stopped = self.stops.get(execution.deployment)
        return stopped is None or execution.start < stopped


def abort_time(executions: Iterable[Execution], criteria: list[dict[str, Any]]) -> datetime | None:
    """When IoT Jobs cancels the rest: the first end at which a rule's share of the ended ones is reached."""
    ended = sorted(((each.end, each.result) for each in executions if each.end is not None), key=lambda pair: pair[0])
    counts = {"FAILED": 0, "REJECTED": 0, "TIMED_OUT": 0, "ALL": 0}
    for total, (end, result) in enumerate(ended, 1):
        if result in counts:
            counts[result] += 1
            counts["ALL"] += 1
        for rule in criteria:
            if (
                total >= rule["minNumberOfExecutedThings"]
                and 100 * counts[rule["failureType"]] / total >= rule["thresholdPercentage"]
            ):
                return end
    return None


def _identifier(name: str, version: str) -> str:
    return f"{name}-{version.replace('.', '-')}"


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
