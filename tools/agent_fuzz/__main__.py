"""Send mutated requests to a real agent, over both of its interfaces, and see that none harms it.

The agent must not die, hang or grow; every answer must be a code that the interface documents, with one line that says why, and
never an internal error. Every now and then whole requests must still work.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from linewatch_common.errors import LinewatchError

from tools.agent_fuzz.attack import SIDE, Attack, Outcome
from tools.agent_fuzz.target import running_target
from tools.report import keep, machine, today

MODELS = Path(__file__).resolve().parents[2] / "components/models"
MEMORY = Path("/dev/shm")  # noqa: S108 - where Linux keeps POSIX shared memory
# Of what the agent holds after the warm-up.
MAX_GROWTH = 0.05
BEGIN, END = "<!-- fuzz: written by `python -m tools.agent_fuzz --keep` -->", "<!-- end of fuzz -->"


def fuzz(requests: int, seed: int, classifier: Path, segmenter: Path) -> Outcome:
    """One run against an agent of its own. Raises LinewatchError when it does not start or refuses what is whole."""
    picture = MEMORY / f"fuzz-{os.getpid()}"
    with tempfile.TemporaryDirectory(prefix="lw-", dir=MEMORY) as folder:
        picture.write_bytes(bytes(SIDE * SIDE * 3))
        try:
            with running_target(Path(folder), classifier, segmenter) as target:
                attack = Attack(target, seed, picture)
                try:
                    return attack.run(requests)
                finally:
                    attack.close()
        finally:
            picture.unlink()


def growth_of(outcome: Outcome) -> float:
    """Of the memory since the warm-up, as a share of it."""
    if outcome.before is None or outcome.after is None:
        return 0.0
    return outcome.after.megabytes / outcome.before.megabytes - 1


def as_markdown(outcome: Outcome, seed: int) -> str:
    """The figures as a table."""
    before, after = ("?" if held is None else f"{held.megabytes:.1f}" for held in (outcome.before, outcome.after))
    return (
        "| requests | seed | seconds | found | MB after the first fifth | MB at the end | grown by | allowed |\n"
        "|---:|---:|---:|---:|---:|---:|---:|---:|\n"
        f"| {sum(outcome.answers.values())} | {seed} | {outcome.seconds:.0f} | {len(outcome.problems)} | {before} | {after} | "
        f"{growth_of(outcome):.1%} | {MAX_GROWTH:.0%} |"
    )


def main() -> int:
    """Exit 0 when nothing was found."""
    parser = argparse.ArgumentParser(prog="python -m tools.agent_fuzz", description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000, help="how many (default: %(default)s)")
    parser.add_argument(
        "--seed", type=int, default=1, help="the same seed sends the same requests (default: %(default)s)"
    )
    parser.add_argument("--keep", action="store_true", help="renew the figures in docs/benchmarks.md")
    arguments = parser.parse_args()
    try:
        outcome = fuzz(arguments.requests, arguments.seed, MODELS / "SurfaceClassifier", MODELS / "SurfaceSegmenter")
    except LinewatchError as error:
        print(f"fuzz: {error}", file=sys.stderr)
        return 1
    for (call, code), count in sorted(outcome.answers.items()):
        print(f"{call:24} {code:20} {count:8}")
    print(f"{sum(outcome.answers.values())} requests in {outcome.seconds:.0f} s; {outcome.before} -> {outcome.after}")
    if arguments.keep:
        keep(BEGIN, END, f"{today()}, {machine()}.\n\n{as_markdown(outcome, arguments.seed)}")
    for problem in outcome.problems[:20]:
        print(problem, file=sys.stderr)
    growth = growth_of(outcome)
    if growth > MAX_GROWTH:
        print(f"fuzz: the agent grew by {growth:.1%}", file=sys.stderr)
    return 1 if outcome.problems or growth > MAX_GROWTH else 0


if __name__ == "__main__":
    sys.exit(main())
