"""The closing figures of a run."""

from typing import Any

from tools.line.figures import percentile
from tools.line.line import Line

MEGABYTE = 1_000_000


def summary(line: Line, memory: dict[str, int]) -> dict[str, Any]:
    """Inspected parts, outcomes, missed, latency of judged parts, memory (PSS in bytes by component), and what is unaccounted."""
    outcomes = line.records.outcomes()
    totals = [row.total_ms for row in line.records.rows() if row.stages_ms and row.total_ms is not None]
    latency = {"p50": round(percentile(totals, 0.5), 2), "p99": round(percentile(totals, 0.99), 2)} if totals else {}
    return {
        "inspected": sum(outcomes.values()),
        "outcomes": outcomes,
        "missed": outcomes.get("missed", 0),
        "verdict_ms": latency,
        "rss_mb": {name: round(size / MEGABYTE, 1) for name, size in memory.items()},
        "unaccounted": line.records.unaccounted(),
    }
