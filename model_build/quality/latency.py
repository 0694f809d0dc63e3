"""Our net in INT8 beside the reference pair, by OpenVINO with 2 threads, interleaved.

`python -m model_build.quality.latency OUT ours=FILE resnet18=FILE unet=FILE` writes OUT/latency.json.
One round runs every net once, in an order drawn anew, so that whatever else the machine does meets all of them. The ratio of medians
counts; absolute times are of this machine at that time. Where the pair was not compiled, nets of its shapes with random weights stand in:
speed does not depend on what a net has learnt.
"""

import logging
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from linewatch_common.clock import utc_now
from linewatch_common.files import write_atomically
from msgspec import Struct
from numpy.typing import NDArray

from model_build.compiling.running import OPENVINO_OPTIONS

LATENCY_FILE = "latency.json"
OURS, PAIR = "ours", ("resnet18", "unet")
THREADS, ROUNDS, WARM, DRAWS = 2, 300, 20, 500
_STAND_INS = {"resnet18": "r18-uint8", "unet": "unet-uint8"}


class Times(Struct, frozen=True, kw_only=True):
    """Milliseconds of one net."""

    min: float
    p50: float
    p90: float


class Comparison(Struct, frozen=True, kw_only=True):
    """`ratio`: median of ours over the sum of the pair's medians, with its 95 % interval over redrawn rounds.

    `machine`: what it ran on, which decides much: what speeds up ResNet18 need not speed up ours. Empty in figures of before 2026-11-28.
    """

    schema: str = "linewatch.QualityLatency/1"
    at: str
    threads: int
    rounds: int
    cores: int
    machine: str = ""
    stand_ins: tuple[str, ...]
    models: dict[str, Times]
    ratio: float
    ratio_interval: tuple[float, float]


def compare(models: dict[str, Path], rounds: int = ROUNDS) -> tuple[dict[str, NDArray[np.float64]], int]:
    """Milliseconds of each net in each round, and the number of cores."""
    requests = {name: _opened(path) for name, path in models.items()}
    taken: dict[str, list[float]] = {name: [] for name in models}
    order, draw = list(models), random.Random(0)
    for number in range(WARM + rounds):
        draw.shuffle(order)
        for name in order:
            request, picture = requests[name]
            begun = time.perf_counter()
            request.infer({0: picture}, share_inputs=True)
            if number >= WARM:
                taken[name].append((time.perf_counter() - begun) * 1000)
    return {name: np.array(values) for name, values in taken.items()}, os.cpu_count() or 0


def ratio_of(taken: dict[str, NDArray[np.float64]]) -> float:
    """Median of ours over the sum of the pair's medians."""
    return float(np.median(taken[OURS]) / sum(np.median(taken[name]) for name in PAIR))


def interval_of(taken: dict[str, NDArray[np.float64]]) -> tuple[float, float]:
    """95 %, rounds redrawn."""
    rng, rounds = np.random.default_rng(0), len(taken[OURS])
    drawn = (rng.integers(0, rounds, rounds) for _ in range(DRAWS))
    ratios = [ratio_of({name: values[places] for name, values in taken.items()}) for places in drawn]
    low, high = np.quantile(ratios, [0.025, 0.975])
    return round(float(low), 4), round(float(high), 4)


def main(arguments: list[str]) -> None:
    """OUT, then NAME=FILE for each net that there is."""
    from tools.report import machine  # noqa: PLC0415  the page is written where there are no tools

    out, given = Path(arguments[0]), dict(pair.split("=", 1) for pair in arguments[1:])
    models = {name: Path(path) for name, path in given.items()}
    missing = tuple(name for name in PAIR if name not in models)
    out.mkdir(parents=True, exist_ok=True)
    if missing:
        from tools.agent_bench.nets import make  # noqa: PLC0415  needs onnx's quantiser

        logging.disable(logging.WARNING)  # the quantiser's advice
        make(out / "stand-ins")
        models |= {name: out / "stand-ins" / _STAND_INS[name] / "model.onnx" for name in missing}
    taken, cores = compare(models)
    found = Comparison(
        at=utc_now(),
        threads=THREADS,
        rounds=ROUNDS,
        cores=cores,
        machine=machine(),
        stand_ins=missing,
        models={name: _times(values) for name, values in taken.items()},
        ratio=round(ratio_of(taken), 4),
        ratio_interval=interval_of(taken),
    )
    write_atomically(out / LATENCY_FILE, msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n", mode=0o644)


def _times(values: NDArray[np.float64]) -> Times:
    low, middle, high = (round(float(np.quantile(values, share)), 3) for share in (0.0, 0.5, 0.9))
    return Times(min=low, p50=middle, p90=high)


def _opened(path: Path) -> tuple[Any, NDArray[np.uint8]]:
    import openvino  # noqa: PLC0415  the page is written where it is not installed

    compiled: Any = openvino.Core().compile_model(
        str(path), "CPU", OPENVINO_OPTIONS | {"INFERENCE_NUM_THREADS": THREADS}
    )
    shape = tuple(compiled.inputs[0].shape)
    return compiled.create_infer_request(), np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


if __name__ == "__main__":
    main(sys.argv[1:])
