"""Tables for people."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from model_build.fleet.records import HistoryRecord, Plan
from model_build.fleet.status import FleetStatus, RingChange

MODEL_PREFIX = "com.linewatch."


def print_plan(console: Console, made: Plan) -> None:
    """Rings in order, and what each one can show."""
    release = ", ".join(f"{name} {version}" for name, version in sorted(made.release.items()))
    console.print(f"plan {made.plan}: {release} to {made.fleet.name}", highlight=False)
    table = Table(
        "ring", "thing group", "devices", "window", "shows, with 95 %, a failure that hits", box=None, pad_edge=False
    )
    for planned in made.rings:
        ring = made.fleet.ring(planned.name)
        windows = (
            "; ".join(f"{','.join(each.days)} {each.start} +{each.minutes} min" for each in ring.windows) or "any time"
        )
        hit = f"{planned.detectable:.1%} of the devices or more"
        table.add_row(ring.name, ring.thing_group, str(planned.devices), Text(windows), hit)
    console.print(table)


def print_status(console: Console, status: FleetStatus) -> None:
    """One row a ring, then what needs a look."""
    current = status.current
    if current is not None:
        reason = f": {current.reason}" if current.reason else ""
        console.print(
            f"{status.fleet}: plan {current.plan} {current.phase} {current.ring}{reason}", highlight=False, markup=False
        )
    console.print(f"health gathered {status.gathered or 'never'}", highlight=False)
    waiting = any(ring.waiting for ring in status.rings)  # rare, and a terminal is narrow
    names = (
        "ring",
        "devices",
        "phase",
        "installed",
        "to go",
        "failed",
        "reporting",
        "silent",
        "other",
        *(["waiting"] if waiting else []),
        "parts",
        "defects",
        "alerts",
    )
    table = Table(*names, box=None, pad_edge=False)
    for ring in status.rings:
        rate = f"{ring.defects / ring.parts:.2%}" if ring.parts else "-"
        cells = (
            ring.ring,
            ring.devices,
            ring.phase or "-",
            ring.counts.succeeded,
            ring.counts.waiting,
            ring.counts.bad,
        )
        elsewhere = (ring.elsewhere, ring.waiting) if waiting else (ring.elsewhere,)
        table.add_row(*map(str, (*cells, ring.reporting, ring.silent, *elsewhere, ring.parts, rate, ring.alerts)))
    console.print(table)
    for ring in status.rings:
        for concern in ring.concerns:
            console.print(f"  {ring.ring} {concern}", highlight=False, markup=False)


def print_changes(console: Console, changes: Sequence[RingChange]) -> None:
    """One row a component that differs."""
    table = Table("ring", "component", "before", "after", box=None, pad_edge=False)
    for change in changes:
        for component, before, after in change.rows:
            table.add_row(change.ring, component, Text(before or "-"), Text(after or "-"))
        if not change.rows:
            table.add_row(change.ring, "nothing differs", "", "")
    console.print(table)


def print_history(console: Console, entries: Sequence[HistoryRecord]) -> None:
    """Newest first."""
    table = Table("ended", "plan", "release", "devices", "end", "by", "reason", box=None, pad_edge=False)
    for entry in entries:
        release = ", ".join(
            f"{name.removeprefix(MODEL_PREFIX)} {version}" for name, version in sorted(entry.release.items())
        )
        cells = (entry.ended, entry.plan, release, str(entry.devices), str(entry.phase), entry.by, entry.reason)
        table.add_row(*(Text(cell) for cell in cells))
    console.print(table)
