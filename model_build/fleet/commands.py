"""`fleet` of the command line."""

import argparse
import getpass
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from model_build.fleet import actions
from model_build.fleet.actions import Desk
from model_build.fleet.book import Book
from model_build.fleet.calls import Caller
from model_build.fleet.cloud import Cloud
from model_build.fleet.configuration import Name, decode, read_fleet
from model_build.fleet.connect import Connection
from model_build.fleet.core import FleetCore
from model_build.fleet.costs import add_costs
from model_build.fleet.errors import FleetInputError
from model_build.fleet.voice import Voice

if TYPE_CHECKING:  # the data commands need more than a deployer has
    from model_build.data.commands import Commands

STATE_VARIABLE = "LINEWATCH_FLEET_STATE"
HEALTH_VARIABLE = "LINEWATCH_FLEET_HEALTH"
PIPE_WIDTH = 200
_FLEET = f"""Deploy component versions to a fleet, ring by ring, each ring behind a gate on the devices' own health reports.

A fleet is a file (docs/fleet.md); `configure` stores it. State and health lie in S3: {STATE_VARIABLE} and {HEALTH_VARIABLE}, or --state and
--health, name them (s3://bucket/prefix or a folder; stream:s3://bucket/prefix for health by a delivery stream).

  python -m model_build fleet configure plant-a.json
  python -m model_build fleet deploy --group plant-a com.linewatch.model.SurfaceInspector=1.1.0 --dry-run
  python -m model_build fleet deploy --group plant-a com.linewatch.model.SurfaceInspector=1.1.0
  python -m model_build fleet status --group plant-a
  python -m model_build fleet rollback --group plant-a --reason "too many false rejects"

Exit codes: 0 done, 1 refused, 3 held, 4 rolled back, 5 somebody else deployed, 6 another deployment is under way, 7 credentials,
8 AWS throttles or is away, 130 interrupted. After 3, 7, 8 and 130 `fleet deploy --resume` goes on.
"""
Action = Callable[[argparse.Namespace, Desk], None]


def add_commands(commands: "Commands") -> None:
    """Add it, with its own commands."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = commands.add_parser(
        "fleet", help="deploy to a fleet in rings, see its state, take it back", description=_FLEET, formatter_class=raw
    )
    inner = parser.add_subparsers(dest="fleet_command", required=True, metavar="COMMAND")
    configure = inner.add_parser("configure", help="check a fleet's file and store it")
    configure.add_argument("file", type=Path)
    _add_places(configure)
    configure.set_defaults(command=_configure)

    status = _add(inner, "status", "every ring: what runs, how far, how healthy", actions.status)
    status.add_argument(
        "--refresh", action="store_true", help="read the newest reports first: one read for each that changed"
    )
    deploy = _add(inner, "deploy", "deploy a release, or go on with the one under way", actions.deploy)
    deploy.add_argument("release", nargs="*", metavar="NAME=VERSION")
    deploy.add_argument("--resume", action="store_true", help="go on with the deployment under way")
    deploy.add_argument("--accept", default="", metavar="REASON", help="let a held ring pass, then go on")
    deploy.add_argument("--dry-run", action="store_true", help="print the exact calls, make none that changes anything")
    rollback = _add(inner, "rollback", "restore what stood before, in every ring that was touched", actions.rollback)
    rollback.add_argument("--reason", default="asked for", help="recorded in the history")
    rollback.add_argument(
        "--dry-run", action="store_true", help="print the exact calls, make none that changes anything"
    )
    diff = _add(inner, "diff", "what a release would change, or what changed since the last plan", actions.diff)
    diff.add_argument("release", nargs="*", metavar="NAME=VERSION")
    history = _add(inner, "history", "how deployments ended", actions.history)
    history.add_argument("--count", type=int, default=20, help="the newest (default 20)")
    add_costs(inner)


def _add(inner: "Commands", name: str, text: str, action: Action) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = inner.add_parser(name, help=text, description=text)
    parser.add_argument("--group", required=True, help="the fleet's name")
    parser.add_argument("--json", action="store_true", help="for programs: JSON on stdout")
    _add_places(parser)
    parser.set_defaults(command=lambda options: action(options, _desk(options)))
    return parser


def _add_places(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--state", default=os.environ.get(STATE_VARIABLE, ""), help=f"state of deployments (or {STATE_VARIABLE})"
    )
    parser.add_argument(
        "--health", default=os.environ.get(HEALTH_VARIABLE, ""), help=f"health reports (or {HEALTH_VARIABLE})"
    )
    parser.add_argument("--region", default="", help="AWS region (default: as for the AWS CLI)")
    parser.add_argument("--profile", default="", help="AWS profile (default: as for the AWS CLI)")


def _configure(options: argparse.Namespace) -> None:
    try:
        data = options.file.read_bytes()
    except OSError as error:
        raise FleetInputError(f"{options.file}: {error.strerror}") from error
    fleet = read_fleet(data, str(options.file))
    connection = Connection(options.region, options.profile)
    store = connection.store(_place(options.state, "state", STATE_VARIABLE, fleet.name), Caller())
    actions.configure(data, fleet, Book(store), _out())


def _desk(options: argparse.Namespace) -> Desk:
    """Everything that a command works with; nothing is sent yet."""
    voice = Voice(Console(stderr=True))
    caller = Caller(on_wait=voice.say)
    connection = Connection(options.region, options.profile)
    group = decode(f'"{options.group}"'.encode(), Name, f"--group {options.group}")
    core = FleetCore(
        cloud=Cloud(connection.client("greengrassv2"), connection.client("iot"), caller),
        book=Book(connection.store(_place(options.state, "state", STATE_VARIABLE, group), caller)),
        reports=connection.reports(_given(options.health, "health", HEALTH_VARIABLE), caller, _now),
        clock=_now,
        by=getpass.getuser(),
    )
    return Desk(core=core, out=_out(), voice=voice, sleep=time.sleep)


def _out() -> Console:
    """A file or a pipe has no width that tables would have to fit into."""
    return Console() if sys.stdout.isatty() else Console(width=PIPE_WIDTH)


def _now() -> datetime:
    return datetime.now(UTC)


def _place(address: str, what: str, variable: str, fleet: str) -> str:
    return f"{_given(address, what, variable).rstrip('/')}/fleets/{fleet}"


def _given(address: str, what: str, variable: str) -> str:
    if not address:
        raise FleetInputError(
            f"name the place of the fleet's {what}: --{what} or {variable} (s3://bucket/prefix, or a folder)"
        )
    return address
