"""One step of a fleet manager against the world, as a process of its own: its CPU seconds and its memory are the step's.

`python -m tools.fleet_simulation.client deploy VERSION|status GREENGRASS S3` prints one JSON object.
"""

import argparse
import io
import json
import os
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from model_build.fleet import actions
from model_build.fleet.actions import Desk
from model_build.fleet.book import Book
from model_build.fleet.calls import Caller
from model_build.fleet.cloud import Cloud
from model_build.fleet.commands import PIPE_WIDTH
from model_build.fleet.connect import Connection
from model_build.fleet.core import FleetCore
from model_build.fleet.errors import FleetError
from model_build.fleet.run import Deployer
from model_build.fleet.voice import Voice
from tools.fleet_simulation import setting
from tools.fleet_simulation.world import BUCKET, REGION, World


@dataclass(slots=True)
class Step:
    """What a step did. `lines` are [seconds since its start in simulated time, text]; `at_once` the most calls between two waits."""

    exit_code: int = 0
    cpu_seconds: float = 0.0
    peak_mb: float = 0.0
    minutes: float = 0.0
    lines: list[tuple[float, str]] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    at_once: dict[str, int] = field(default_factory=dict)
    shown: dict[str, Any] = field(default_factory=dict)


class Manager:
    """A fleet manager's process, in the world's time."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._now = world.let_pass(0)
        self.began = self._now
        self.step = Step()
        self._seen: Counter[str] = Counter()
        self.caller = Caller(sleep=self.sleep, on_wait=self._refused)

    def clock(self) -> datetime:
        """The world's."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Time goes on, and devices report meanwhile."""
        self.count()
        self._now = self._world.let_pass(seconds)

    def count(self) -> None:
        """What was called since the last wait."""
        for what, calls in (self.caller.made - self._seen).items():
            self.step.at_once[what] = max(calls, self.step.at_once.get(what, 0))
        self._seen = self.caller.made.copy()

    def say(self, text: str) -> None:
        """A line of the deployment."""
        self.step.lines.append(((self._now - self.began).total_seconds(), text))

    def core(self) -> FleetCore:
        """As the command line composes it, with another clock."""
        connection = Connection(REGION)
        book = Book(connection.store(f"s3://{BUCKET}/state/fleets/{setting.FLEET}", self.caller))
        reports = connection.reports(f"stream:s3://{BUCKET}/health", self.caller, self.clock)
        cloud = Cloud(connection.client("greengrassv2"), connection.client("iot"), self.caller)
        return FleetCore(cloud=cloud, book=book, reports=reports, clock=self.clock, by="simulation")

    def _refused(self, line: str) -> None:
        what = line.partition(": ")[0]
        self.step.refused[what] = self.step.refused.get(what, 0) + 1


def deploy(manager: Manager, version: str) -> None:
    """A whole release; FleetError's children become the exit code."""
    core = manager.core()
    core.book.configure(msgspec.json.encode(setting.fleet()))
    watch = timedelta(minutes=10)
    deployer = Deployer(core=core, sleep=manager.sleep, say=manager.say, progress=lambda _: None, rollback_watch=watch)
    try:
        deployer.deploy(core.plan({setting.MODEL: version})["plan"])
    except FleetError as error:
        manager.step.exit_code = error.exit_code
        manager.say(str(error))


def status(manager: Manager) -> None:
    """`fleet status --refresh --json`."""
    out = io.StringIO()
    console = Console(file=out, width=PIPE_WIDTH)
    desk = Desk(core=manager.core(), out=console, voice=Voice(Console(stderr=True)), sleep=manager.sleep)
    actions.status(argparse.Namespace(refresh=True, json=True), desk)
    manager.step.shown = json.loads(out.getvalue())


def _peak_kb() -> int:
    """This program's own highest memory; getrusage would count that of the process which started it, too."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def main() -> None:
    """Do the step; what it found is one JSON object on stdout."""
    parser = argparse.ArgumentParser(prog="python -m tools.fleet_simulation.client", description=__doc__)
    parser.add_argument("step", choices=["deploy", "status"])
    parser.add_argument("greengrass")
    parser.add_argument("s3")
    parser.add_argument("--version", default=setting.GOOD)
    options = parser.parse_args()
    world = World(options.greengrass, options.s3)
    os.environ.update(world.environment)
    manager = Manager(world)
    if options.step == "deploy":
        deploy(manager, options.version)
    else:
        status(manager)
    manager.count()
    step = manager.step
    step.cpu_seconds = round(time.process_time(), 2)  # start and imports with it
    step.peak_mb = round(_peak_kb() / 1024, 1)
    step.minutes = round((manager.clock() - manager.began).total_seconds() / 60, 1)
    step.calls = dict(sorted(manager.caller.made.items()))
    sys.stdout.write(json.dumps(asdict(step)) + "\n")


if __name__ == "__main__":
    main()
