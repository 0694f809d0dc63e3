"""`device add` and `device remove` of the command line."""

import argparse
from pathlib import Path

from model_build.data.commands import Commands

_FOLDER = Path("build/devices")
_DEVICE = "Let a device join or leave the fleet (docs/infrastructure.md)."
# AWS IoT takes up to five minutes until a policy that was detached can be deleted.
_PATIENCE_SECONDS = 330.0
_ADD = """Let a device join the fleet: thing, certificate, policy, thing group.

The group is the ring that the device belongs to; it and the template's role alias exist already. Names of all devices have one length.
The same command again makes what is missing and leaves what is right, so it goes on after an interruption.
Prints what to type on the device; its key and certificate lie in build/devices/THING and nowhere else.

  python -m model_build device add plant-a-0007 --group plant-a-canary --runtime lite
  python -m model_build device add plant-a-0007 --group plant-a-canary --dry-run
"""
_REMOVE = """Take a device out of the fleet: certificate (first), policy, groups, core device, thing, and its local files.

The same command again goes on after an interruption.

  python -m model_build device remove plant-a-0007
"""


def add_commands(commands: Commands) -> None:
    """Add `device` with both."""
    raw = argparse.RawDescriptionHelpFormatter
    device = commands.add_parser("device", help="let a device join or leave the fleet", description=_DEVICE)
    steps = device.add_subparsers(dest="device_step", required=True, metavar="STEP")
    add = steps.add_parser("add", help="a device joins", description=_ADD, formatter_class=raw)
    add.add_argument("--group", required=True, help="the thing group (ring) it belongs to")
    add.add_argument("--role-alias", default="linewatch-token-exchange", help="default: the template's")
    add.add_argument(
        "--runtime", choices=["classic", "lite", "both"], default="both", help="whose installer lines to print"
    )
    remove = steps.add_parser("remove", help="a device leaves", description=_REMOVE, formatter_class=raw)
    for parser, command in ((add, _add), (remove, _remove)):
        parser.add_argument("thing", help="the device's name, for example plant-a-0007")
        parser.add_argument(
            "--out", type=Path, default=_FOLDER, help=f"folder of all devices' folders (default: {_FOLDER})"
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="print the API calls that change something, make none"
        )
        parser.set_defaults(command=command)


def _add(options: argparse.Namespace) -> None:
    from model_build.devices.adding import add  # noqa: PLC0415 - boto3 takes a second of every other command
    from model_build.devices.installer import CONFIGURATION_FILES, commands  # noqa: PLC0415 - likewise

    folder = options.out / options.thing
    add(_account(options.dry_run), options.thing, options.group, options.role_alias, folder)
    for runtime in CONFIGURATION_FILES:
        if options.runtime in (runtime, "both"):
            print(f"\nOn the device, {runtime}:\n{commands(runtime, options.thing, folder)}")


def _remove(options: argparse.Namespace) -> None:
    from model_build.devices.removing import remove  # noqa: PLC0415 - likewise

    remove(_account(options.dry_run), options.thing, options.out / options.thing)


def _account(dry_run: bool):  # type: ignore[no-untyped-def]  # its type lives behind the import
    import boto3  # noqa: PLC0415 - likewise

    from model_build.devices.account import Account  # noqa: PLC0415 - likewise
    from model_build.fleet.calls import Caller  # noqa: PLC0415 - likewise

    session = boto3.Session()
    clients = {name: session.client(name) for name in ("iot", "sts", "greengrassv2")}
    return Account(clients, Caller(patience=_PATIENCE_SECONDS, on_wait=print), print, dry_run=dry_run)
