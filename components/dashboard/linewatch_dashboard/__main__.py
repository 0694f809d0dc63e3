"""Put the page together and run it."""

import argparse
import sys

from linewatch_common import __version__
from linewatch_common.service import Context, ExitCode, Service, run_service

from linewatch_dashboard.component import Dashboard
from linewatch_dashboard.composition import compose
from linewatch_dashboard.config import DashboardConfig, check
from linewatch_dashboard.disk import DiskArchive
from linewatch_dashboard.selfcheck import selfcheck

NAME = "com.linewatch.Dashboard"


def build(config: DashboardConfig, context: Context) -> Dashboard:
    """Put the page together over Inspector's files."""
    return compose(config, context, DiskArchive())[0]


def main(arguments: list[str]) -> int:
    """Run; returns the exit code."""
    parser = argparse.ArgumentParser(prog="linewatch_dashboard", description="linewatch's web page of the line.")
    parser.add_argument("command", nargs="?", choices=["run"], help="run as a Greengrass component")
    parser.add_argument("--selfcheck", action="store_true", help="import everything, print one line, and end")
    parser.add_argument("--version", action="version", version=__version__)
    given = parser.parse_args(arguments)
    if given.selfcheck:
        sys.stdout.write(f"{selfcheck()}\n")
        return ExitCode.OK
    if given.command == "run":
        return run_service(Service(NAME, DashboardConfig, build, check))
    parser.print_usage(sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
