"""Serve the fake as a process: prints its address, ends with the standard input."""

import argparse
import sys
from datetime import UTC, datetime

from tests.fakes.greengrassv2.backend import Backend
from tests.fakes.greengrassv2.server import serving
from tests.fakes.greengrassv2.state import SimulatedClock


def main() -> None:
    """Run until the standard input closes, so that it never outlives the test that started it."""
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.greengrassv2", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--real-time", action="store_true", help="the machine's clock instead of one that is advanced")
    options = parser.parse_args()
    clock = (lambda: datetime.now(UTC)) if options.real_time else SimulatedClock()
    with serving(Backend(clock), options.port) as server:
        print(server.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
