"""Measure the agent on this machine: a prediction through it beside the same one in process and through other servers.

Prints a table, puts the figures into build/bench.json, and with --keep renews them in docs/benchmarks.md.
"""

import argparse
import os
import subprocess
import sys
from contextlib import ExitStack
from typing import Any

from linewatch_common.errors import LinewatchError

from tools.agent_bench import figures as f
from tools.agent_bench import servers, ways
from tools.agent_bench.measuring import TIMED, interleaved, row
from tools.agent_bench.neo import ways as neo
from tools.line.line import ROOT, short_root
from tools.report import keep, machine, merge, today

STATE = ROOT / "build/agent-bench"
MODELS = STATE / "models"
BENCH_PYTHON = ROOT / ".venv-bench/bin/python"
BEGIN = "<!-- agent: written by `make bench` -->"
END = "<!-- end of agent -->"


def main() -> int:
    """Exit 0 when every ratio is kept."""
    parser = argparse.ArgumentParser(prog="python -m tools.agent_bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=60, help=f"each way runs {TIMED} times in a round")
    parser.add_argument("--no-peers", action="store_true", help="leave mlserver and litserve out")
    parser.add_argument("--keep", action="store_true", help="renew the figures in docs/benchmarks.md")
    arguments = parser.parse_args()
    _as_on_a_device()
    try:
        make_models()
        figures = measure(arguments.rounds, peers=not arguments.no_peers)
    except LinewatchError as error:
        print(f"agent bench: {error}", file=sys.stderr)
        return 1
    text = f.as_markdown(figures)
    print(text)
    merge({"ratios": figures["ratios"], "agent": {name: value for name, value in figures.items() if name != "ratios"}})
    if arguments.keep:
        keep(BEGIN, END, text)
    over = f.broken(figures["ratios"])
    for line in over:
        print(f"agent bench: {line}", file=sys.stderr)
    return 1 if over else 0


def _as_on_a_device() -> None:
    """Run with the allocator's settings of the agent's recipe: both ends of a connection need them for large messages."""
    wanted = servers.device_environment()
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        again = [sys.executable, "-m", "tools.agent_bench", *sys.argv[1:]]
        os.execve(sys.executable, again, os.environ | wanted)  # noqa: S606 - ourselves


def make_models() -> None:
    """Make the benched models once. Raises LinewatchError."""
    made = MODELS / "made"
    if made.exists():
        return
    command = [str(BENCH_PYTHON), "-m", "tools.agent_bench.nets", str(MODELS)]
    if not BENCH_PYTHON.exists() or subprocess.run(command, cwd=ROOT, check=False).returncode:
        raise LinewatchError("the models cannot be made: `make bench` sets up what that needs")
    made.touch()


def measure(rounds: int, *, peers: bool) -> dict[str, Any]:
    """Start everything, measure, take it down. Raises LinewatchError."""
    state = short_root(STATE)
    with ExitStack() as held:
        compared = ways.in_process(held, MODELS) | ways.agent(held, state, MODELS)
        if peers:
            compared |= ways.peers(held, state, MODELS)
        ways.agree(compared)
        compiled, missing = neo.ways(held, state, STATE / "neo", ways.pictures()[1])
        compared |= compiled
        rows = {name: row(values) for name, values in interleaved(compared, rounds).items()}
    return {
        "at": today(),
        "machine": machine(),
        "runs": rounds * TIMED,
        "ratios": f.ratios(rows),
        "ratios_of_minima": f.ratios(rows, "min"),
        "rows": rows,
        "missing": missing,
    }


if __name__ == "__main__":
    sys.exit(main())
