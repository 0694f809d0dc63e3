"""What each `fleet` command does, given its options and a desk to work at."""

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from rich.console import Console

from model_build.fleet.book import Book
from model_build.fleet.configuration import Fleet
from model_build.fleet.core import FleetCore
from model_build.fleet.errors import FleetError, FleetInputError, InterruptedDeploymentError, NotFoundError
from model_build.fleet.health import gather, read_summary
from model_build.fleet.planning import propose
from model_build.fleet.records import OPEN, Phase, Plan, small
from model_build.fleet.requests import rollback_request
from model_build.fleet.run import Deployer, open_plan
from model_build.fleet.status import fleet_status, planned_changes, recorded_changes
from model_build.fleet.tables import print_changes, print_history, print_plan, print_status
from model_build.fleet.voice import Voice


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """One fleet and two consoles; `out` is what was asked for, `voice` what is said meanwhile."""

    core: FleetCore
    out: Console
    voice: Voice
    sleep: Callable[[float], None]

    @property
    def book(self) -> Book:
        """The fleet's records."""
        return self.core.book

    def deployer(self) -> Deployer:
        """For a whole deployment."""
        return Deployer(core=self.core, sleep=self.sleep, say=self.voice.say, progress=self.voice.progress)


def status(options: argparse.Namespace, desk: Desk) -> None:
    """`fleet status`."""
    fleet = desk.book.configuration()
    summary = _gathered(desk, fleet) if options.refresh else read_summary(desk.book.store)
    found = fleet_status(desk.core, fleet, summary)
    if options.json:
        _print_json(desk, small(found))
    else:
        print_status(desk.out, found)


def deploy(options: argparse.Namespace, desk: Desk) -> None:
    """`fleet deploy`: a new plan or the one under way. Raises FleetError's children; each has its exit code."""
    if options.dry_run:
        _dry_run(options, desk)
        return
    try:
        plan = _begun(options, desk)
        desk.deployer().deploy(plan.plan)
    except KeyboardInterrupt:
        desk.voice.quiet()
        raise InterruptedDeploymentError(
            "interrupted. Devices go on with what they were told; `fleet deploy --resume` goes on here, `fleet rollback` takes it back"
        ) from None
    except FleetError as error:
        desk.voice.quiet()
        if options.json:
            _print_json(desk, {"status": "failed", "exit_code": error.exit_code, "reason": str(error)})
        raise
    desk.voice.quiet()
    if options.json:
        _print_json(desk, {"status": str(Phase.DONE), "plan": plan.plan, "release": plan.release})


def rollback(options: argparse.Namespace, desk: Desk) -> None:
    """`fleet rollback`: of the plan under way, or of the last one that ended well. Raises FleetInputError when there is none."""
    current = desk.book.current()
    if current is None or (current.phase not in OPEN and current.phase != Phase.DONE):
        raise FleetInputError(
            "nothing to take back: no deployment is under way, and the last one was taken back already"
        )
    made = desk.book.plan(current.plan)
    if options.dry_run:
        calls = [
            {
                "service": "greengrassv2",
                "operation": "create_deployment",
                "parameters": rollback_request(made, ring.name, before),
            }
            for ring in reversed(made.rings)
            if (before := desk.book.before(made.plan, ring.name)) is not None
        ]
        _print_calls(options, desk, {"plan": made.plan}, calls)
        return
    try:
        answer = desk.deployer().roll_back(made.plan, options.reason)
    except KeyboardInterrupt:
        raise InterruptedDeploymentError("interrupted: `fleet rollback` finishes it") from None
    finally:
        desk.voice.quiet()
    if options.json:
        _print_json(desk, answer)
    else:
        desk.out.print(f"plan {made.plan}: {answer['status']}", highlight=False, markup=False)


def diff(options: argparse.Namespace, desk: Desk) -> None:
    """`fleet diff`: what a release would change, or what changed since the last plan was made."""
    if options.release:
        made, _ = propose(desk.core.cloud, desk.book.configuration(), release_of(options.release), desk.core.clock())
        changes, _ = planned_changes(desk.core, made)
    else:
        current = desk.book.current()
        if current is None:
            raise FleetInputError(
                "nothing was deployed yet: name components as NAME=VERSION to see what that would change"
            )
        changes = recorded_changes(desk.core, desk.book.plan(current.plan))
    if options.json:
        _print_json(desk, [small(change) for change in changes])
    else:
        print_changes(desk.out, changes)


def history(options: argparse.Namespace, desk: Desk) -> None:
    """`fleet history`."""
    entries = desk.book.history(options.count)
    if options.json:
        _print_json(desk, [small(entry) for entry in entries])
    else:
        print_history(desk.out, entries)


def configure(data: bytes, fleet: Fleet, book: Book, out: Console) -> None:
    """`fleet configure`: store a configuration that was read without error."""
    try:
        changed = book.configuration() != fleet
    except (NotFoundError, FleetInputError):
        changed = True
    if changed:
        book.configure(data)
    rings = ", ".join(ring.name for ring in fleet.rings)
    out.print(f"{fleet.name}: {'stored' if changed else 'unchanged'}; rings {rings}", highlight=False, markup=False)


def release_of(words: list[str]) -> dict[str, str]:
    """NAME=VERSION words. Raises FleetInputError."""
    release: dict[str, str] = {}
    for word in words:
        name, separator, version = word.partition("=")
        if not separator or not name or not version or name in release:
            raise FleetInputError(f"{word!r}: want NAME=VERSION, each component once")
        release[name] = version
    return release


def _begun(options: argparse.Namespace, desk: Desk) -> Plan:
    if options.accept:
        current = open_plan(desk.core)
        desk.core.accept_ring(current.plan, current.ring, options.accept)
    if options.resume or options.accept:
        if options.release:
            raise FleetInputError("--resume and --accept go on with the plan under way: do not name components")
        made = desk.book.plan(open_plan(desk.core).plan)
    else:
        made = desk.book.plan(desk.core.plan(release_of(options.release))["plan"])
    if not options.json:
        print_plan(desk.out, made)
    return made


def _dry_run(options: argparse.Namespace, desk: Desk) -> None:
    made, _ = propose(
        desk.core.cloud, desk.book.configuration(), release_of(options.release), desk.core.clock(), desk.core.by
    )
    changes, calls = planned_changes(desk.core, made)
    if not options.json:
        print_plan(desk.out, made)
        print_changes(desk.out, changes)
    head = {
        "plan": made.plan,
        "rings": [small(ring) for ring in made.rings],
        "changes": [small(change) for change in changes],
    }
    _print_calls(options, desk, head, calls)


def _print_calls(options: argparse.Namespace, desk: Desk, head: Mapping[str, Any], calls: list[dict[str, Any]]) -> None:
    if options.json:
        _print_json(desk, {**head, "calls": calls})
        return
    for call in calls:
        desk.out.print(f"{call['service']} {call['operation']}", highlight=False)
        desk.out.print_json(json.dumps(call["parameters"]))


def _gathered(desk: Desk, fleet: Fleet) -> Any:
    things = [thing for ring in fleet.rings for thing in desk.core.cloud.things(ring.thing_group)]
    return gather(
        desk.core.reports,
        desk.book.store,
        things,
        desk.core.clock(),
        lambda done: desk.voice.progress(f"reports: {done} read") if done % 100 == 0 else None,
    )


def _print_json(desk: Desk, value: Any) -> None:
    desk.out.print(msgspec.json.encode(value).decode(), markup=False, highlight=False, soft_wrap=True)
