"""The gate between two rings: from what devices report to pass, wait, hold or fail. Pure: no calls, no clock of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from linewatch_common.messages.fleet import LATENCY_BOUNDS_MS
from linewatch_common.messages.status import ComponentState
from linewatch_common.messages.verdicts import Outcome
from linewatch_common.windows import FARTHEST_OPENING

from model_build.fleet.configuration import Gate, moment_of, moment_text
from model_build.fleet.health import Report
from model_build.fleet.records import Before, Counts, Decision, DeviceTally, Tally, Verdict
from model_build.fleet.statistics import difference, parts_needed, sequence, slower_than

MODEL_PREFIX = "com.linewatch.model."
REPORTING_PREFIX = "com.linewatch."  # others send no heartbeats: Greengrass alone knows how they are
# Devices keep time by NTP; a report that was made before the deployment and arrived after it must not pass for a new one.
CLOCK_TOLERANCE = timedelta(minutes=2)
# Five reports missing in a row: it may have reported the release, and died of it.
SILENT_AFTER = timedelta(minutes=5)
NAMES_SHOWN = 5
_JUDGED = (Outcome.PASS, Outcome.FAIL, Outcome.REVIEW)
_LOST = (Outcome.LATE, Outcome.MISSED, Outcome.ERROR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known of a ring at `now`. `broken`: device to reason, of those that were healthy before; `rollout`: until all are told."""

    now: datetime
    started: datetime
    devices: Sequence[str]
    release: Mapping[str, str]
    before: Before
    counts: Counts
    broken: Mapping[str, str]
    reports: Mapping[str, Report]
    rollout: timedelta = timedelta(0)

    @property
    def age(self) -> timedelta:
        """Since the last device was told; negative until then."""
        return self.now - self.started - self.rollout


@dataclass(slots=True)
class _Findings:
    failures: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)


def judge(gate: Gate, seen: Evidence) -> Verdict:
    """The verdict. Failing wins over waiting: what is certain is said at once."""
    found = _Findings()
    faults = {thing: fault for thing in seen.devices if (fault := report_fault(seen, thing))}
    waits = {
        thing: until
        for thing in seen.devices
        if thing not in faults and thing not in seen.broken and (until := waits_until(seen, thing))
    }
    good = [thing for thing in seen.devices if thing not in faults and thing not in seen.broken and thing not in waits]
    _judge_devices(gate, seen, faults, waits, found)
    if gate.minimum_parts:
        _judge_rates(gate, seen, good, found)
    found.figures |= {
        "devices": len(seen.devices),
        "good": len(good),
        "waiting": len(waits),
        "minutes": round(seen.age.total_seconds() / 60, 1),
    }
    if found.failures:
        return Verdict(decision=Decision.FAIL, reasons=found.failures + found.open, figures=found.figures)
    if seen.age < timedelta(minutes=gate.watch_minutes):
        found.open.append(f"watched for {max(0.0, seen.age.total_seconds() / 60):.0f} of {gate.watch_minutes} minutes")
    if found.open:
        given_up = _since_windows(seen, waits) >= timedelta(minutes=gate.hold_minutes)
        return Verdict(
            decision=Decision.HOLD if given_up else Decision.WAIT,
            reasons=found.open + found.notes,
            figures=found.figures,
        )
    return Verdict(decision=Decision.PASS, reasons=found.notes, figures=found.figures)


def report_fault(seen: Evidence, thing: str) -> str:
    """Why this device's newest report does not show the release at work; "" when it does."""
    report = seen.reports.get(thing)
    if report is None:
        return "silent"
    if report.unreadable:
        return "unreadable report"
    received = moment_of(report.received)
    old = received <= seen.started or moment_of(report.at) < seen.started - CLOCK_TOLERANCE
    if old or seen.now - received > SILENT_AFTER:
        return "silent"
    faults = (
        _component_fault(seen.now, report, component, version)
        for component, version in sorted(seen.release.items())
        if component.startswith(REPORTING_PREFIX)
    )
    return next(filter(None, faults), "")


def waits_until(seen: Evidence, thing: str) -> datetime | None:
    """When the maintenance window opens that a model of the release waits for on this device; None: none does."""
    report = seen.reports.get(thing)
    if report is None:
        return None
    openings = [_wait(seen.now, report, component, version) for component, version in seen.release.items()]
    return max(filter(None, openings), default=None)


def _wait(now: datetime, report: Report, component: str, version: str) -> datetime | None:
    """Believed until a report can have told of the takeover, and no longer than any window is away."""
    text = report.waiting.get(identifier(component, version), "") if component.startswith(MODEL_PREFIX) else ""
    until = moment_of(text) if text else None
    return until if until is not None and now - SILENT_AFTER <= until <= now + FARTHEST_OPENING else None


def _since_windows(seen: Evidence, waits: Mapping[str, datetime]) -> timedelta:
    """How long the gate could have been decided: devices that wait begin when their windows open, at the latest after a week."""
    begun = seen.started + seen.rollout
    latest = min(max(waits.values(), default=begun), begun + FARTHEST_OPENING)
    return min(seen.age, seen.now - latest)


def _component_fault(now: datetime, report: Report, component: str, version: str) -> str:
    heard = report.versions.get(component)
    if heard != version:
        return f"{component} {heard or 'missing'} instead of {version}"
    if _wait(now, report, component, version) is not None:
        return ""
    state = report.states.get(component, ComponentState.READY)
    if state != ComponentState.READY:
        return f"{component} {state}"
    if component.startswith(MODEL_PREFIX) and identifier(component, version) not in report.models:
        return f"{identifier(component, version)} not in use"
    return ""


def identifier(component: str, version: str) -> str:
    """The agent's name of a model component's version."""
    return f"{component.removeprefix(MODEL_PREFIX)}-{version.replace('.', '-')}"


def _judge_devices(
    gate: Gate, seen: Evidence, faults: Mapping[str, str], waits: Mapping[str, datetime], found: _Findings
) -> None:
    """Broken and failed devices count at once, devices without a good report after their time, devices that wait never."""
    total = len(seen.devices)
    allowed = int(gate.failed_devices * total)
    certain = max(len(seen.broken), seen.counts.bad)
    if certain > allowed:
        if seen.counts.bad:
            found.failures.append(
                f"the deployment did not succeed on {_of(seen.counts.bad, total)} ({_ends(seen.counts)})"
            )
        found.failures += _grouped(seen.broken, total, "")
        return
    late = {thing: fault for thing, fault in faults.items() if thing not in seen.broken}
    windows = {thing: f"waits for its maintenance window until {moment_text(until)}" for thing, until in waits.items()}
    bad = len(late) + len(seen.broken)
    if bad + len(waits) <= allowed:
        found.notes += _grouped({**late, **seen.broken, **windows}, total, ", tolerated")
        return
    found.open += _grouped(windows, total, "")
    if bad <= allowed:
        found.notes += _grouped({**late, **seen.broken}, total, ", tolerated")
    elif seen.age >= timedelta(minutes=gate.report_minutes):
        found.failures += _grouped({**late, **seen.broken}, total, f" after {gate.report_minutes} minutes")
    else:
        found.open += _grouped(late, total, " so far")


def _judge_rates(gate: Gate, seen: Evidence, good: Sequence[str], found: _Findings) -> None:
    new = total_tally([since_deployment(seen.reports[thing], seen.before.health.get(thing)) for thing in good])
    old = total_tally([entry.tally for entry in seen.before.health.values()])
    judged, defects = _sum(new, _JUDGED), _sum(new, (Outcome.FAIL,))
    every, lost = judged + _sum(new, _LOST), _sum(new, _LOST)
    found.figures |= {"parts": judged, "defects": defects, "lost": lost, "parts_before": _sum(old, _JUDGED)}
    if judged < gate.minimum_parts and every < gate.minimum_parts:
        found.open.append(f"{every} of at least {gate.minimum_parts} parts inspected")
        return
    lost_line = f"parts end late, missed or in error, allowed {gate.lost_parts:.1%}"
    _judge_limit(lost_line, (lost, every), gate.lost_parts, gate.confidence, found)
    slow = slower_than(new.latency, LATENCY_BOUNDS_MS, gate.latency_ms)
    found.figures["slow"] = slow
    slow_line = f"parts take over {gate.latency_ms} ms, allowed {gate.slow_parts:.1%}"
    _judge_limit(slow_line, (slow, sum(new.latency)), gate.slow_parts, gate.confidence, found)
    _judge_defects(gate, seen, (defects, judged), (_sum(old, (Outcome.FAIL,)), _sum(old, _JUDGED)), found)


def _judge_limit(what: str, parts: tuple[int, int], limit: float, confidence: float, found: _Findings) -> None:
    """A share against a limit: over it for certain fails, over it perhaps stays open."""
    bad, total = parts
    if total == 0 or bad <= limit * total:
        return
    low, _ = sequence(bad, total, limit, confidence)
    line = f"{bad} of {total} ({bad / total:.1%}) {what}"
    if low > limit:
        found.failures.append(line)
    else:
        found.open.append(f"{line}: not certain yet")


def _judge_defects(gate: Gate, seen: Evidence, new: tuple[int, int], old: tuple[int, int], found: _Findings) -> None:
    """The defect rate against the same devices' before: the interval of the difference within, across or beyond the margin."""
    if old[1] == 0:
        running = seen.before.previous is not None and any(
            name in seen.before.previous.components for name in seen.release
        )
        target = found.open if running else found.notes
        target.append(
            f"defect rate {new[0] / max(1, new[1]):.2%}; nothing was reported before that it could be compared with"
        )
        return
    low, high = difference(new, old, gate.confidence)
    line = (
        f"defect rate {old[0] / old[1]:.2%} of {old[1]} parts before, {new[0] / max(1, new[1]):.2%} of {new[1]} since: "
        f"difference {low:+.2%} to {high:+.2%} at {gate.confidence:.0%} confidence over all looks, allowed ±{gate.defect_rate_margin:.2%}"
    )
    found.figures |= {"difference_low": round(low, 5), "difference_high": round(high, 5)}
    if low > gate.defect_rate_margin or high < -gate.defect_rate_margin:
        found.failures.append(line)
    elif low < -gate.defect_rate_margin or high > gate.defect_rate_margin:
        needed = parts_needed(old[0] / old[1], gate.defect_rate_margin, gate.confidence)
        found.open.append(f"{line}: inconclusive (about {needed} parts before and since tell an unchanged rate)")
    else:
        found.notes.append(line)


def since_deployment(report: Report, before: DeviceTally | None) -> Tally:
    """A device's counts since its ring was touched: Inspector counts anew when models change, and only then."""
    counted = report.counted
    if before is None or before.since != counted.since:
        return counted.tally
    outcomes = {
        name: max(0, count - before.tally.outcomes.get(name, 0)) for name, count in counted.tally.outcomes.items()
    }
    earlier = [*before.tally.latency, *([0] * len(counted.tally.latency))]
    latency = [max(0, count - past) for count, past in zip(counted.tally.latency, earlier, strict=False)]
    return Tally(outcomes=outcomes, latency=latency)


def total_tally(parts: Sequence[Tally]) -> Tally:
    """All together."""
    outcomes: dict[str, int] = {}
    latency = [0] * (len(LATENCY_BOUNDS_MS) + 1)
    for tally in parts:
        for name, count in tally.outcomes.items():
            outcomes[name] = outcomes.get(name, 0) + count
        for place, count in enumerate(tally.latency[: len(latency)]):
            latency[place] += count
    return Tally(outcomes=outcomes, latency=latency)


def _sum(tally: Tally, outcomes: Sequence[Outcome]) -> int:
    return sum(tally.outcomes.get(each, 0) for each in outcomes)


def _grouped(faults: Mapping[str, str], total: int, suffix: str) -> list[str]:
    """One line a reason, the most frequent first, with some names."""
    by_fault: dict[str, list[str]] = {}
    for thing, fault in sorted(faults.items()):
        by_fault.setdefault(fault, []).append(thing)
    lines = []
    for fault, things in sorted(by_fault.items(), key=lambda item: (-len(item[1]), item[0])):
        names = ", ".join(things[:NAMES_SHOWN]) + (", …" if len(things) > NAMES_SHOWN else "")
        lines.append(f"{fault}: {_of(len(things), total)}{suffix} ({names})")
    return lines


def _of(count: int, total: int) -> str:
    return f"{count} of {total} devices"


def _ends(counts: Counts) -> str:
    named = {
        "failed": counts.failed,
        "rejected": counts.rejected,
        "timed out": counts.timed_out,
        "canceled": counts.canceled,
    }
    return ", ".join(f"{count} {name}" for name, count in named.items() if count)
