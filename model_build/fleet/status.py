"""The state of a fleet, by stored health and a few calls a ring; nothing is asked of one device alone."""

from collections.abc import Mapping

import msgspec
from linewatch_common.messages.verdicts import Outcome

from model_build.fleet.configuration import Fleet, moment_of
from model_build.fleet.core import FleetCore
from model_build.fleet.gate import SILENT_AFTER, total_tally
from model_build.fleet.health import Report, Summary
from model_build.fleet.merging import components_of, differences
from model_build.fleet.records import Counts, Current, Deployed, Plan
from model_build.fleet.requests import deployment_request

NAMES_SHOWN = 10


class RingStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One ring. `reporting`, `silent` and `elsewhere` (another version than deployed, or not ready) add up to `devices`.

    `waiting`: of those that report, how many have a model that waits for its maintenance window.
    """

    ring: str
    group: str
    devices: int
    deployment: str
    components: dict[str, str]
    phase: str
    counts: Counts
    reporting: int
    silent: int
    elsewhere: int
    waiting: int
    parts: int
    defects: int
    alerts: int
    concerns: list[str]  # some names, each with its reason


class FleetStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A fleet; `gathered` is when health was folded last (UTC text, "" never)."""

    fleet: str
    gathered: str
    current: Current | None
    rings: list[RingStatus]


def fleet_status(core: FleetCore, fleet: Fleet, summary: Summary) -> FleetStatus:
    """Some calls for each ring, whatever its size. Raises NotFoundError for a thing group that does not exist."""
    current = core.book.current()
    rings = []
    for ring in fleet.rings:
        target = core.cloud.thing_group(ring.thing_group)
        things = core.cloud.things(ring.thing_group)
        standing = core.cloud.latest(target)
        state = core.book.ring(current.plan, ring.name) if current else None
        seen = [(thing, summary.reports.get(thing)) for thing in things]
        components = {name: spec.version for name, spec in sorted(standing.components.items())} if standing else {}
        faults = {thing: fault for thing, report in seen if (fault := _fault(report, components, summary.at))}
        tally = total_tally([report.counted.tally for _, report in seen if report is not None])
        rings.append(
            RingStatus(
                ring=ring.name,
                group=ring.thing_group,
                devices=len(things),
                deployment=standing.deployment if standing else "",
                components=components,
                phase=str(state.phase) if state else "",
                counts=core.cloud.counts(standing.job) if standing and standing.job else Counts(),
                reporting=len(things) - len(faults),
                silent=sum(fault == "silent" for fault in faults.values()),
                elsewhere=sum(fault != "silent" for fault in faults.values()),
                waiting=sum(bool(report and report.waiting) and thing not in faults for thing, report in seen),
                parts=sum(tally.outcomes.values()),
                defects=tally.outcomes.get(Outcome.FAIL, 0),
                alerts=sum(bool(report and report.alerts) for _, report in seen),
                concerns=[f"{thing}: {fault}" for thing, fault in sorted(faults.items())[:NAMES_SHOWN]],
            )
        )
    return FleetStatus(fleet=fleet.name, gathered=summary.at, current=current, rings=rings)


def _fault(report: Report | None, components: Mapping[str, str], gathered: str) -> str:
    if report is None or not gathered or moment_of(gathered) - moment_of(report.received) > SILENT_AFTER:
        return "silent"
    if report.unreadable:
        return f"unreadable report: {report.unreadable}"
    wrong = [
        f"{name} {version}" for name, version in report.versions.items() if components.get(name, version) != version
    ]
    return f"runs {', '.join(sorted(wrong))}" if wrong else report.reason


class RingChange(msgspec.Struct, frozen=True, kw_only=True):
    """What differs in a ring: rows of component, before, after."""

    ring: str
    before: str
    after: str
    rows: list[tuple[str, str, str]]


def recorded_changes(core: FleetCore, made: Plan) -> list[RingChange]:
    """What stands in each ring now, against what stood before the plan touched it (or when it was made)."""
    changes = []
    for planned in made.rings:
        before = core.book.before(made.plan, planned.name)
        previous = before.previous if before else _previous(core, planned.previous)
        standing = core.cloud.latest(planned.target)
        rows = differences(previous.components if previous else {}, standing.components if standing else {})
        name = previous.deployment if previous else "", standing.deployment if standing else ""
        changes.append(RingChange(ring=planned.name, before=name[0], after=name[1], rows=rows))
    return changes


def planned_changes(core: FleetCore, made: Plan) -> tuple[list[RingChange], list[dict[str, object]]]:
    """What a plan would change in each ring, and the exact calls; nothing is written."""
    changes: list[RingChange] = []
    calls: list[dict[str, object]] = []
    for planned in made.rings:
        before = core.lookout.standing(made, planned.name)
        request = deployment_request(made, planned.name, before)
        rows = differences(before.previous.components if before.previous else {}, components_of(request["components"]))
        changes.append(RingChange(ring=planned.name, before=planned.previous, after="", rows=rows))
        calls.append({"service": "greengrassv2", "operation": "create_deployment", "parameters": request})
    return changes, calls


def _previous(core: FleetCore, deployment: str) -> Deployed | None:
    return core.cloud.deployment(deployment) if deployment else None
