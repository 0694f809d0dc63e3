"""How long one picture takes, every model in turns within the same minutes: compare within one report, not between two."""

import os
import platform
import random
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from model_build.compiling.running import Model

TIMED = 5  # runs in one turn, after one that warms the caches up
ROUNDS = 12
_PACKAGES = ("openvino", "onnxruntime", "onnx", "nncf", "ai-edge-litert", "tensorflow", "numpy")


class Times(Struct, frozen=True, forbid_unknown_fields=True):
    """Milliseconds. `min` is near an idle machine, `p50` is what this one gave."""

    min: float
    p50: float


class Latency(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """latency.json: unsigned, of one machine and one moment."""

    schema: str = "linewatch.Latency/1"
    measured_at: str
    processor: str
    architecture: str
    cores: int
    threads: int
    versions: dict[str, str]
    models: dict[str, Times]


def measure(models: Mapping[str, Model], tensor: NDArray[np.uint8], rounds: int = ROUNDS) -> dict[str, Times]:
    """Run all of them interleaved on one picture uint8 (1, H, W, 3); the order is drawn anew in each round."""
    order, draw = list(models), random.Random(0)
    taken: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(rounds):
        draw.shuffle(order)
        for name in order:
            models[name].run(tensor)
            for _ in range(TIMED):
                start = time.perf_counter()
                models[name].run(tensor)
                taken[name].append((time.perf_counter() - start) * 1000)
    return {name: Times(round(min(values), 3), round(float(np.median(values)), 3)) for name, values in taken.items()}


def report(models: dict[str, Times], threads: int) -> Latency:
    """The figures with the machine that they are of."""
    return Latency(
        measured_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        processor=processor(),
        architecture=platform.machine(),
        cores=os.cpu_count() or 0,
        threads=threads,
        versions=versions(),
        models=models,
    )


def processor() -> str:
    """Its model name as the kernel gives it; on boards whose kernel gives none, the board's."""
    for path, prefix in (("/proc/cpuinfo", "model name"), ("/proc/device-tree/model", "")):
        try:
            lines = Path(path).read_text(encoding="utf-8", errors="replace").strip("\0").splitlines()
        except OSError:
            continue
        for line in lines:
            if line.startswith(prefix):
                return line.rpartition(":")[2].strip()
    return "unknown"


def versions() -> dict[str, str]:
    """Of the packages here that had a hand in it."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
