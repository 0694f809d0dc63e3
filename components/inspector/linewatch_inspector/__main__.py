"""Put Inspector together and run it."""

import argparse
import sys

import cv2
from linewatch_common import __version__
from linewatch_common.service import Context, ExitCode, Service, run_service

from linewatch_inspector.component import Inspector
from linewatch_inspector.composition import compose
from linewatch_inspector.config import InspectorConfig, check
from linewatch_inspector.predictor import AgentPredictor
from linewatch_inspector.selfcheck import selfcheck

NAME = "com.linewatch.Inspector"


def build(config: InspectorConfig, context: Context) -> Inspector:
    """Put Inspector together with the real agent."""
    # The pictures are small: OpenCV's threads would only take the processors from the agent.
    cv2.setNumThreads(1)
    return compose(config, context, AgentPredictor())


def main(arguments: list[str]) -> int:
    """Run; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="linewatch_inspector", description="linewatch's inspector: judges every frame and keeps the ledger."
    )
    parser.add_argument("command", nargs="?", choices=["run"], help="run as a Greengrass component")
    parser.add_argument("--selfcheck", action="store_true", help="import everything, print one line, and end")
    parser.add_argument("--version", action="version", version=__version__)
    given = parser.parse_args(arguments)
    if given.selfcheck:
        sys.stdout.write(f"{selfcheck()}\n")
        return ExitCode.OK
    if given.command == "run":
        return run_service(Service(NAME, InspectorConfig, build, check))
    parser.print_usage(sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
