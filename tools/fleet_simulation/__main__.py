"""A release to thousands of simulated devices, and one that is refused at the canary: CPU, memory and API calls of the client.

`python -m tools.fleet_simulation --devices 10000` runs it for a tenth, three tenths and all of them, prints the tables and writes
build/fleet.json; `--keep` renews the figures in docs/fleet.md. Exit code 0: everything is as docs/fleet.md promises.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from linewatch_common.errors import UnavailableError
from linewatch_common.files import write_atomically

from tools import report
from tools.fleet_simulation import setting
from tools.fleet_simulation.client import Step
from tools.fleet_simulation.figures import Run, as_markdown, problems
from tools.fleet_simulation.world import RunningWorld, World

RESULT = report.ROOT / "build/fleet.json"
PAGE = report.ROOT / "docs/fleet.md"
BEGIN, END = "<!-- fleet: written by `python -m tools.fleet_simulation --keep` -->", "<!-- end of fleet -->"
# A step at 10,000 devices takes some minutes on a busy machine.
_STEP_SECONDS = 1800.0


def simulate(devices: int, say: Callable[[str], None] = print) -> Run:
    """One fleet. Raises UnavailableError when a step of the client breaks."""
    with RunningWorld() as world:
        world.populate(devices)
        say(f"{devices} devices: {', '.join(f'{ring} {size}' for ring, size in setting.ring_sizes(devices).items())}")
        good = client(world, "deploy", "--version", setting.GOOD)
        status = client(world, "status")
        say(f"good release: exit code {good.exit_code}, {good.cpu_seconds} s of CPU; status {status.cpu_seconds} s")
        bad = client(world, "deploy", "--version", setting.BAD)
        after = client(world, "status")
        say(f"bad release: exit code {bad.exit_code}, {bad.lines[-1][1]}")
        return Run(devices, good, status, bad, after, world.cpu_seconds())


def client(world: World, step: str, *options: str) -> Step:
    """A step in a process of its own."""
    command = [sys.executable, "-m", "tools.fleet_simulation.client", step, world.greengrass, world.s3, *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd=report.ROOT, timeout=_STEP_SECONDS, check=False)
    if done.returncode:
        raise UnavailableError(f"{step} {' '.join(options)} broke: {done.stderr[-2000:]}")
    return Step(**json.loads(done.stdout))


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m tools.fleet_simulation", description=__doc__)
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--keep", action="store_true", help="renew the figures in docs/fleet.md")
    options = parser.parse_args()
    sizes = (options.devices // 10, options.devices * 3 // 10, options.devices)
    runs = [simulate(size) for size in sizes]
    found = problems(runs)
    text = as_markdown(runs)
    print(text)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    figures = {
        "date": report.today(),
        "machine": report.machine(),
        "runs": [asdict(run) for run in runs],
        "problems": found,
    }
    write_atomically(options.out, (json.dumps(figures, indent=2) + "\n").encode(), mode=0o644)
    if options.keep:
        report.keep(BEGIN, END, f"{report.today()}, {report.machine()}.\n\n{text}", PAGE)
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
