"""The command line that every component has: `run` and `--selfcheck`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

from linewatch_common import __version__
from linewatch_common.service import ExitCode, Service, run_service

USAGE = 2  # what argparse exits with, too


def component_parser(package: str, description: str) -> argparse.ArgumentParser:
    """A parser of the words that all components share; a component may add its own."""
    parser = argparse.ArgumentParser(prog=package, description=description)
    parser.add_argument("command", nargs="?", choices=["run"], help="run as a Greengrass component")
    parser.add_argument("--selfcheck", action="store_true", help="import everything, print one line, and end")
    parser.add_argument("--version", action="version", version=__version__)
    return parser


def carry_out(
    parser: argparse.ArgumentParser, given: argparse.Namespace, service: Service[Any], selfcheck: Callable[[], str]
) -> int:
    """Do what was asked; returns the exit code."""
    if given.selfcheck:
        sys.stdout.write(f"{selfcheck()}\n")
        return ExitCode.OK
    if given.command == "run":
        return run_service(service)
    parser.print_usage(sys.stderr)
    return USAGE


def component_main(
    arguments: Sequence[str], description: str, service: Service[Any], selfcheck: Callable[[], str]
) -> int:
    """`main` of a component that needs no words of its own. `selfcheck` returns one line that begins with OK."""
    parser = component_parser(f"linewatch_{service.name.rpartition('.')[2].lower()}", description)
    return carry_out(parser, parser.parse_args(arguments), service, selfcheck)
