"""Measure the line on this machine: latency by stage at 5 frames a second, and memory.

Prints a table, writes build/bench.json, and with --keep renews the figures in docs/benchmarks.md.
"""

import argparse
import sys
from collections.abc import Callable
from typing import Any

from linewatch_common.errors import LinewatchError

from tools.line import Inspected, Line, LineSettings, build, percentile
from tools.line.line import ROOT
from tools.line.summary import summary
from tools.report import keep, machine, merge, today

STATE = ROOT / "build/bench"
BEGIN = "<!-- line: written by `make bench` -->"
END = "<!-- end of line -->"
WARM_UP_FRAMES = 10  # the first frames pay for caches and lazy imports; an operator never sees them again
# From the promise to users; the table says where a run lies.
LIMITS_MS = {"p50": 60.0, "p99": 150.0}
LIMIT_MEMORY_MB = 900.0
FRAMES_SECONDS = 120.0


def stages(rows: list[Inspected]) -> dict[str, dict[str, float]]:
    """Stage to p50 and p99 in ms, the total last, beside it the sum of the stages' medians.

    A stage that a part did not go through (the segmenter after a clear pass) counts as 0 for it, so the stages add up to the total.
    """
    judged = [row.stages_ms for row in rows if row.stages_ms]
    names = sorted({name for timing in judged for name in timing}, key=_order(judged))
    table = {name: _percentiles([timing.get(name, 0.0) for timing in judged]) for name in names}
    table["sum of stages"] = _percentiles([sum(timing.values()) for timing in judged])
    table["total"] = _percentiles([row.total_ms for row in rows if row.stages_ms and row.total_ms is not None])
    return table


def _order(judged: list[dict[str, float]]) -> Callable[[str], int]:
    """Stages in the order in which the verdict with the most of them names them."""
    most = max(len(timing) for timing in judged)
    longest = next(list(timing) for timing in judged if len(timing) == most)
    return lambda name: longest.index(name) if name in longest else len(longest)


def _percentiles(values: list[float]) -> dict[str, float]:
    return {"p50": round(percentile(values, 0.5), 2), "p99": round(percentile(values, 0.99), 2)}


def measure(frames: int, fps: float) -> dict[str, Any]:
    """One run of the bundle; raises LinewatchError when it does not finish."""
    settings = LineSettings(frames=frames + WARM_UP_FRAMES, fps=fps)
    with Line(settings, STATE) as line:
        line.deploy()
        line.wait_for(
            lambda: sum(line.records.outcomes().values()) >= settings.frames,
            FRAMES_SECONDS + settings.frames / fps,
            f"{settings.frames} outcomes",
        )
        rows = [row for row in line.records.rows() if row.sequence > WARM_UP_FRAMES]
        figures = summary(line, line.memory())
    memory = figures["rss_mb"]
    return {
        "at": today(),
        "machine": machine(),
        "frames": len(rows),
        "fps": fps,
        "outcomes": figures["outcomes"],
        "unaccounted": figures["unaccounted"],
        "stages_ms": stages(rows),
        "memory_mb": memory | {"bundle": round(sum(memory.values()), 1)},
    }


def as_markdown(figures: dict[str, Any]) -> str:
    """The figures as two tables."""
    lines = [
        f"{figures['at']}, {figures['machine']}: {figures['frames']} frames at {figures['fps']:g} a second, sample models.",
        "",
        "| stage | p50 ms | p99 ms |",
        "|---|---:|---:|",
    ]
    lines += [f"| {name} | {row['p50']:.2f} | {row['p99']:.2f} |" for name, row in figures["stages_ms"].items()]
    lines += ["", "| component | PSS MB |", "|---|---:|"]
    lines += [f"| {name} | {size:.1f} |" for name, size in figures["memory_mb"].items()]
    return "\n".join(lines)


def verdict_on(figures: dict[str, Any]) -> list[str]:
    """What does not keep its limit, a line each."""
    total, bundle = figures["stages_ms"]["total"], figures["memory_mb"]["bundle"]
    found = [f"latency {k}: {total[k]} ms, limit {limit:g} ms" for k, limit in LIMITS_MS.items() if total[k] > limit]
    if bundle > LIMIT_MEMORY_MB:
        found.append(f"memory of the bundle: {bundle} MB, limit {LIMIT_MEMORY_MB:g} MB")
    return [*found, *figures["unaccounted"]]


def main() -> int:
    """Exit 0 when every limit is kept."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--fps", type=float, default=5.0)
    parser.add_argument("--keep", action="store_true", help="renew the figures in docs/benchmarks.md")
    arguments = parser.parse_args()
    try:
        build()
        figures = measure(arguments.frames, arguments.fps)
    except LinewatchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print(as_markdown(figures))
    merge(figures)
    if arguments.keep:
        keep(BEGIN, END, as_markdown(figures))
    over = verdict_on(figures)
    for line in over:
        print(f"bench: over: {line}", file=sys.stderr)
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
