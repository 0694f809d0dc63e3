"""What a ring looks like: before it is touched, and to its gate afterwards."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec

from model_build.fleet.book import Book
from model_build.fleet.cloud import Cloud
from model_build.fleet.configuration import moment_of
from model_build.fleet.errors import ForeignRevisionError, NotFoundError
from model_build.fleet.gate import NAMES_SHOWN, REPORTING_PREFIX, Evidence, judge, report_fault
from model_build.fleet.health import HealthReports, gather, tallies
from model_build.fleet.merging import full_merge
from model_build.fleet.records import Before, Decision, Deployed, Plan, RingState, Verdict
from model_build.fleet.requests import deployment_name

_BROKEN = frozenset({"BROKEN", "ERRORED"})


@dataclass(frozen=True, slots=True)
class Lookout:
    """Reads; the health summary in the store is the only thing it writes."""

    cloud: Cloud
    book: Book
    reports: HealthReports

    def before(self, made: Plan, ring: str, now: datetime) -> Before:
        """What stands now, which must be what stood when the plan was made. Raises ForeignRevisionError."""
        devices = self.book.devices(made.plan, ring)
        standing = self.standing(made, ring)
        unhealthy = self.cloud.unhealthy(made.ring(ring).target)
        summary = gather(self.reports, self.book.store, devices, now)
        return msgspec.structs.replace(standing, unhealthy=unhealthy, health=tallies(summary.reports, devices))

    def standing(self, made: Plan, ring: str) -> Before:
        """The components alone; writes nothing. Raises ForeignRevisionError."""
        previous = self._previous(made, ring)
        merges = self.full_merges(made.ring(ring).target, previous, made.release)
        return Before(previous=previous, full_merges=merges, unhealthy=[], health={})

    def full_merges(
        self, target: str, previous: Deployed | None, release: Mapping[str, str]
    ) -> dict[str, dict[str, Any]]:
        """All that was merged into each of the release's components by now; older deployments are read only when that is needed."""
        if previous is None:
            return {}
        revisions = [previous.components]
        names = [name for name in release if name in previous.components]
        if any("" not in (previous.components[name].reset or []) for name in names):
            revisions += [each.components for each in self.cloud.earlier(target, previous.deployment)]
        return {name: full_merge(revisions, name) for name in names}

    def verdict(self, made: Plan, state: RingState, now: datetime) -> Verdict:
        """The gate's, by everything that can be known now. Small rings are asked device by device before they pass."""
        before = self.book.before(made.plan, state.ring)
        if before is None:
            raise NotFoundError(f"plan {made.plan}: what stood in ring {state.ring} before is not recorded")
        devices = self.book.devices(made.plan, state.ring)
        gate = made.fleet.gate_of(made.fleet.ring(state.ring))
        broken = self._broken(made.ring(state.ring).target, set(devices) - set(before.unhealthy), made.release)
        seen = Evidence(
            now=now,
            started=moment_of(state.started),
            devices=devices,
            release=made.release,
            before=before,
            counts=self.cloud.counts(state.job),
            broken=broken,
            reports=gather(self.reports, self.book.store, devices, now).reports,
            rollout=made.fleet.rollout(made.fleet.ring(state.ring), len(devices)),
        )
        verdict = judge(gate, seen)
        if verdict.decision != Decision.PASS or len(devices) > gate.inspected_devices:
            return verdict
        claiming = [thing for thing in devices if thing not in broken and not report_fault(seen, thing)]
        faults = {thing: fault for thing in claiming if (fault := self._fault(thing, made.release))}
        return judge(gate, replace(seen, broken={**broken, **faults})) if faults else verdict

    def _previous(self, made: Plan, ring: str) -> Deployed | None:
        planned = made.ring(ring)
        standing = self.cloud.latest(planned.target)
        if (standing.deployment if standing else "") == planned.previous:
            return standing
        if standing is not None and standing.name == deployment_name(made, ring):
            return self.cloud.deployment(planned.previous) if planned.previous else None
        raise ForeignRevisionError(foreign(ring, standing.deployment if standing else "none", planned.previous))

    def _broken(self, target: str, devices: set[str], release: Mapping[str, str]) -> dict[str, str]:
        """Devices that became unhealthy, with the reason of the first few."""
        things = [thing for thing in self.cloud.unhealthy(target) if thing in devices]
        reasons = {thing: self._fault(thing, release) for thing in things[:NAMES_SHOWN]}
        common = next((reason for reason in reasons.values() if reason), "the core device is UNHEALTHY")
        return {thing: reasons.get(thing) or common for thing in things}

    def _fault(self, thing: str, release: Mapping[str, str]) -> str:
        """Why a device does not run the release, by what Greengrass lists."""
        installed = self.cloud.installed(thing)
        if installed is None:
            return "Greengrass does not know this core device"
        for name, (version, state) in sorted(installed.items()):
            if state in _BROKEN:
                return f"{name} {version} is {state}"
        for name, version in sorted(release.items()):
            found = installed.get(name)
            if found is None or found[0] != version or found[1] not in _at_work(name):
                return f"{name} is {' '.join(found) if found else 'missing'}, not {version} RUNNING"
        return ""


def _at_work(name: str) -> set[str]:
    """Lifecycle states of a component that does what it should; one of somebody else may have nothing left to do."""
    return {"RUNNING"} if name.startswith(REPORTING_PREFIX) else {"RUNNING", "FINISHED"}


def foreign(ring: str, found: str, expected: str) -> str:
    """The line about it."""
    return (
        f"ring {ring}: deployment {found} stands there, not {expected or 'none'}: somebody else deployed in between. Nothing of it was "
        "overwritten; `fleet diff` shows it, `fleet rollback` restores the other rings"
    )
