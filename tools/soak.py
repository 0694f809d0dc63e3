"""Kill every component at random moments and see that no part is lost.

Each run: a fresh core, the whole bundle, 200 frames (and some more, so that a kill at the end can be seen to heal); at a random moment of
the 200 one component's processes get SIGKILL. Then every captured frame
must have exactly one outcome, what nobody could judge must be `missed` and alarmed, and the line must judge again within 5 seconds.
"""

import argparse
import random
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from linewatch_common.errors import LinewatchError
from linewatch_common.messages import Alert, decode
from linewatch_common.messages.alerts import AlertKind, AlertState

from tools import report
from tools.line import COMPONENTS, Inspected, Line, LineSettings, build
from tools.line.line import ROOT, STATION

STATE = ROOT / "build/soak"
BEGIN = "<!-- soak: written by `make soak` -->"
END = "<!-- end of soak -->"
FRAMES = 200
BACK_SECONDS = 5.0
# Pictures go on for so long after the run's frames, so that a kill at its end can still be seen to heal.
TAIL_SECONDS = BACK_SECONDS + 1
# The line's end after the last frame: a killed component's restart, deadlines, the ledger's batch.
SETTLE_SECONDS = 60.0
NEVER = 1e9
# A run leaves hundreds of MB. Only one with a finding is of use afterwards, and of these the last ones.
KEPT_FINDINGS = 5
JUDGED = {"pass", "fail", "review"}


@dataclass(frozen=True, slots=True)
class Run:
    """One kill: when (frames captured by then), what became of the parts, how long until a part was judged again.

    `folder` is where the run's logs and ledger lie; it stays when there are problems.
    """

    component: str
    seed: int
    killed_at_frame: int
    outcomes: dict[str, int]
    back_seconds: float
    problems: list[str]
    folder: str


class Alarms:
    """The alerts raised during a run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._raised: list[AlertKind] = []

    def receive(self, _topic: str, payload: bytes) -> None:
        alert: Alert = decode(payload, Alert)
        if alert.state is AlertState.RAISED:
            with self._lock:
                self._raised.append(alert.kind)

    def raised(self, kind: AlertKind) -> bool:
        with self._lock:
            return kind in self._raised


def one_run(component: str, seed: int, fps: float) -> Run:
    """A run of the line with one kill. Raises LineError when the line does not come up or does not finish."""
    at_frame = random.Random(f"{component} {seed}").randint(5, FRAMES - 20)
    alarms = Alarms()
    frames = FRAMES + int(TAIL_SECONDS * fps)
    settings = LineSettings(frames=frames, fps=fps)
    with Line(settings, STATE / f"{component.rpartition('.')[2][:6]}{seed}") as line:
        with line.core.subscribe(f"linewatch/{STATION}/alerts", alarms.receive):
            line.deploy()
            line.wait_for(lambda: line.records.captured() >= at_frame, SETTLE_SECONDS, f"{at_frame} frames")
            # Not at a frame's edge, but anywhere between two.
            time.sleep(random.Random(f"{seed} {component}").random() / fps)
            killed = time.monotonic()
            line.kill(component)
            back = _seconds_until_judging(line, killed)
            line.wait_for(
                lambda: line.records.captured() >= frames, SETTLE_SECONDS + frames / fps, "all frames captured"
            )
            line.wait_for(lambda: sum(line.records.outcomes().values()) >= frames, SETTLE_SECONDS, "all outcomes")
        rows, problems = line.records.rows(), line.records.unaccounted()
        outcomes = line.records.outcomes()
    problems += _contradictions(rows, outcomes, alarms, back)
    return Run(component, seed, at_frame, outcomes, back, problems, str(line.root))


def _seconds_until_judging(line: Line, killed: float) -> float:
    """Seconds from the kill until a frame that was captured after it is judged; NEVER when it is not."""
    captured = line.records.captured()

    def judged_again() -> bool:
        return any(row.sequence > captured and row.outcome in JUDGED for row in line.records.rows())

    while not judged_again():
        line.check_core()
        if time.monotonic() - killed > SETTLE_SECONDS:
            return NEVER
        time.sleep(0.05)
    return round(time.monotonic() - killed, 2)


def _contradictions(rows: list[Inspected], outcomes: dict[str, int], alarms: Alarms, back: float) -> list[str]:
    problems = []
    if len({row.epoch for row in rows}) != 1:
        problems.append("the ring was made again in the middle of a run")
    if outcomes.get("missed") and not alarms.raised(AlertKind.FRAMES_MISSED):
        problems.append(f"{outcomes['missed']} frames missed without an alert")
    if back > BACK_SECONDS:
        problems.append(f"judging again only after {back} s" if back < NEVER else "never judging again")
    return problems


def as_markdown(runs: list[Run]) -> str:
    """One row a component."""
    lines = [
        "| component killed | runs | frames | missed | late | back after, worst s | contradictions |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for component in COMPONENTS:
        of = [run for run in runs if run.component == component]
        if of:
            frames = sum(sum(run.outcomes.values()) for run in of)
            missed, late = (sum(run.outcomes.get(name, 0) for run in of) for name in ("missed", "late"))
            worst = max(run.back_seconds for run in of)
            wrong = sum(len(run.problems) for run in of)
            lines.append(f"| {component} | {len(of)} | {frames} | {missed} | {late} | {worst} | {wrong} |")
    return "\n".join(lines)


def main() -> int:
    """Exit 0 when no run contradicts the promise."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--runs", type=int, default=20, help="runs for each component")
    parser.add_argument("--fps", type=float, default=20.0, help="frames a second")
    parser.add_argument("--component", action="append", choices=COMPONENTS, help="only this one (may be repeated)")
    parser.add_argument("--seed", type=int, default=1, help="first seed")
    parser.add_argument("--keep", action="store_true", help="renew the figures in docs/benchmarks.md")
    arguments = parser.parse_args()
    runs: list[Run] = []
    try:
        build()
        for run in _all_runs(arguments):
            runs.append(run)  # what was run counts, also when a person ends it early
    except KeyboardInterrupt:
        print(f"soak: ended early, after {len(runs)} runs", file=sys.stderr)
    except LinewatchError as error:
        print(f"soak: {error}", file=sys.stderr)
        return 1
    print(as_markdown(runs))
    report.merge({"soak": [asdict(run) for run in runs]})
    if arguments.keep:
        report.keep(BEGIN, END, f"{report.today()}, {report.machine()}.\n\n{as_markdown(runs)}")
    return 1 if any(run.problems for run in runs) else 0


def _all_runs(arguments: argparse.Namespace) -> Iterator[Run]:
    components = arguments.component or COMPONENTS
    total = len(components) * arguments.runs
    findings: list[Path] = []
    for number, (seed, component) in enumerate(
        (
            (seed, component)
            for seed in range(arguments.seed, arguments.seed + arguments.runs)
            for component in components
        ),
        1,
    ):
        run = one_run(component, seed, arguments.fps)
        state = "; ".join(run.problems) or "ok"
        print(
            f"[{number}/{total}] {component} seed {seed}: killed at frame {run.killed_at_frame}, {run.outcomes}, "
            f"back after {run.back_seconds} s: {state}",
            flush=True,
        )
        findings = tidied(findings, run)
        yield run


def tidied(findings: list[Path], run: Run) -> list[Path]:
    """The folders of runs with findings, oldest first, after `run`: its own is removed when it had none, and the oldest above the limit."""
    folder = Path(run.folder)
    if not run.problems:
        shutil.rmtree(folder, ignore_errors=True)
        return findings
    findings = [*findings, folder]
    for old in findings[:-KEPT_FINDINGS]:
        shutil.rmtree(old, ignore_errors=True)
    return findings[-KEPT_FINDINGS:]


if __name__ == "__main__":
    sys.exit(main())
