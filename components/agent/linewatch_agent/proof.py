"""Whether a loaded package answers as its golden set says, and fast enough."""

import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from linewatch_common.errors import PackageError
from linewatch_common.manifest import Manifest
from linewatch_vision.golden import differences, read_golden

from linewatch_agent.backends.port import Net


@dataclass(frozen=True, slots=True)
class Proof:
    """The median latency of a prediction in milliseconds, and how many golden pictures were run."""

    latency_ms: float
    samples: int


def prove(net: Net, folder: Path, manifest: Manifest, budget_ms: float) -> Proof:
    """Run the golden set of the package in `folder` on `net`.

    Raises PackageError with one line that names the picture and the difference, or the latency and its budget: as soon as the median
    is known to be over it, because who installs the package does not wait long and other models wait behind this one.
    """
    durations: list[float] = []
    cases = read_golden(folder, manifest)
    for place, case in enumerate(cases):
        start = time.perf_counter()
        actual = net.predict(case.inputs)
        durations.append((time.perf_counter() - start) * 1000)
        for difference in differences(case, actual, manifest):
            raise PackageError(f"{manifest.identifier}: golden picture {place + 1}: {difference}")
        if 2 * sum(duration > budget_ms for duration in durations) > len(cases):
            break
    latency_ms = statistics.median(durations)
    if latency_ms > budget_ms:
        raise PackageError(
            f"{manifest.identifier}: a prediction takes {latency_ms:.0f} ms on this device, GoldenLatencyBudgetMs is {budget_ms:.0f}"
        )
    return Proof(latency_ms, len(durations))
