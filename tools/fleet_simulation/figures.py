"""What the simulation found, whether it is as promised, and the page's tables."""

from collections.abc import Sequence
from dataclasses import dataclass

from botocore import xform_name

from tools.fleet_simulation import setting
from tools.fleet_simulation.client import Step

MAX_STATUS_CPU_SECONDS = 20.0
MAX_PEAK_MB = 300.0
# What another thousand devices costs may grow by that much from the small fleets to the large one.
MAX_GROWTH = 2.0
# Smaller differences (CPU seconds, calls) are the process's start, not the devices.
_NOISE = 1.0
_ROLLED_BACK = 4
LONGEST_LINE = 180


@dataclass(frozen=True, slots=True)
class Run:
    """One fleet: the good release, the state after it, the bad release, the state after that."""

    devices: int
    good: Step
    status: Step
    bad: Step
    after: Step
    world_cpu_seconds: float


def problems(runs: Sequence[Run]) -> list[str]:
    """What is not as promised, in words."""
    found = []
    for run in runs:
        name = f"{run.devices} devices"
        if run.good.exit_code:
            found.append(f"{name}: the good release ended with {run.good.exit_code}: {run.good.lines[-1][1]}")
        if run.bad.exit_code != _ROLLED_BACK:
            found.append(f"{name}: the bad release ended with {run.bad.exit_code}, not {_ROLLED_BACK}")
        found += [f"{name}: {each}" for each in _strayed(run)]
        cpu = max(run.status.cpu_seconds, run.after.cpu_seconds)
        if cpu > MAX_STATUS_CPU_SECONDS:
            found.append(f"{name}: status takes {cpu} s of CPU")
        peak = max(step.peak_mb for step in _steps(run))
        if peak > MAX_PEAK_MB:
            found.append(f"{name}: the client needs {peak} MB")
    return found + _bent(runs)


def _steps(run: Run) -> tuple[Step, ...]:
    return (run.good, run.status, run.bad, run.after)


def _strayed(run: Run) -> list[str]:
    """Rings that do not run the good release in the end, or were touched by the bad one."""
    found = []
    for ring in run.after.shown["rings"]:
        version = ring["components"].get(setting.MODEL)
        if version != setting.GOOD:
            found.append(f"{ring['ring']} stands at {version}, not {setting.GOOD}")
        if ring["phase"] and ring["ring"] != "canary":
            found.append(f"{ring['ring']} was touched by the bad release")
    return found


def _bent(runs: Sequence[Run]) -> list[str]:
    """Cost that grows faster than the devices: by three runs, what a device more costs at first and later."""
    if len(runs) < 3:
        return []
    low, middle, high = runs[0], runs[len(runs) // 2], runs[-1]
    costs = {
        "CPU of status": [each.status.cpu_seconds for each in (low, middle, high)],
        "CPU of a release": [each.good.cpu_seconds for each in (low, middle, high)],
        "calls of a release": [float(sum(each.good.calls.values())) for each in (low, middle, high)],
    }
    found = []
    for what, (small, medium, large) in costs.items():
        first = max(medium - small, _NOISE) / (middle.devices - low.devices)
        later = (large - medium) / (high.devices - middle.devices)
        if later > MAX_GROWTH * first:
            found.append(f"{what} bends: {first:.5f} a device at first, {later:.5f} later")
    return found


def as_markdown(runs: Sequence[Run]) -> str:
    """The three tables: cost, calls, and the course of the largest fleet's releases."""
    return "\n\n".join([_costs(runs), _calls(runs), _course(runs[-1])])


def _costs(runs: Sequence[Run]) -> str:
    lines = [
        "| Devices | Release: simulated time | CPU | Calls | CPU a device | Calls a device | `status --refresh`: CPU | Calls | Memory |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for run in runs:
        calls = sum(run.good.calls.values())
        lines.append(
            f"| {run.devices:,} | {run.good.minutes:.0f} min | {run.good.cpu_seconds:.1f} s | {calls:,} | "
            f"{1000 * run.good.cpu_seconds / run.devices:.2f} ms | {calls / run.devices:.2f} | {run.status.cpu_seconds:.1f} s | "
            f"{sum(run.status.calls.values())} | {max(step.peak_mb for step in _steps(run)):.0f} MB |"
        )
    return "\n".join(lines)


def _calls(runs: Sequence[Run]) -> str:
    sizes = " | ".join(f"{run.devices:,}" for run in runs)
    lines = [
        f"| Calls of the good release | Quota a second ({setting.QUOTAS_READ}) | {sizes} | most between two waits | refused, tried again |",
        f"|---|---:|{'---:|' * len(runs)}---:|---:|",
    ]
    last = runs[-1].good
    for quota in setting.QUOTAS:
        what = called(quota.operation, last)
        counts = " | ".join(f"{run.good.calls.get(what, 0):,}" for run in runs)
        rate = f"[{quota.rate:g}]({quota.source})" if quota.known else f"{quota.rate:g} assumed"
        lines.append(
            f"| {quota.operation} | {rate} | {counts} | {last.at_once.get(what, 0)} | {last.refused.get(what, 0)} |"
        )
    return "\n".join(lines)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_LINE else f"{text[:LONGEST_LINE]} …"


def called(operation: str, step: Step) -> str:
    """An operation as the caller counts it: service:operation."""
    name = xform_name(operation)
    return next((what for what in step.calls if what.endswith(f":{name}")), f":{name}")


def _course(run: Run) -> str:
    lines = [f"| Minute | {run.devices:,} devices |", "|---:|---|"]
    for step in (run.good, run.bad):
        lines += [f"| {seconds / 60:.1f} | {_cut(text)} |" for seconds, text in step.lines]
    return "\n".join(lines)
