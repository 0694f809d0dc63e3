"""Put the page together and run it."""

import sys

from linewatch_common.entry import component_main
from linewatch_common.service import Context, Service

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
    return component_main(
        arguments, "linewatch's web page of the line.", Service(NAME, DashboardConfig, build, check), selfcheck
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
