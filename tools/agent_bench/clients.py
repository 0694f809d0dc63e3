"""Many clients of the agent at once: whether any prediction fails, and how long the slowest wait.

Each client is a process of its own that predicts again as soon as it has its answer, on a picture of its own whose outputs it knows.
Before and after the crowd one of them predicts alone: what the crowd's figures are held against.
"""

import argparse
import contextlib
import multiprocessing
import os
import sys
import time
from array import array
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from linewatch_agent_api.client import AgentClient
from linewatch_common.errors import LinewatchError

from tools.agent_bench import servers
from tools.line import percentile
from tools.line.line import ROOT, short_root
from tools.report import keep, machine, merge, today

MODEL = "SurfaceClassifier"
BEGIN, END = "<!-- clients: written by `python -m tools.agent_bench.clients --keep` -->", "<!-- end of clients -->"
# One alone predicts for this share of the time, half of it before the crowd and half after.
ALONE_SHARE = 0.1
LEAST_ALONE_SECONDS = 2.0
# Sixteen interpreters import numpy and gRPC on two cores.
START_SECONDS = 120.0
# A client notices the end of its time after a prediction, which has a deadline of 5 s.
REPORT_SECONDS = 30.0
# The same picture on another number of threads: the last bits of a sum may differ.
TOLERANCE = 1e-4
# An agent that is away refuses at once; asking again without a pause would only heat the core.
PAUSE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Figures:
    """What a run found; milliseconds of single predictions."""

    clients: int
    seconds: float
    predictions: int
    errors: int
    alone_p50: float
    crowd_p50: float
    crowd_p99: float

    @property
    def ratio(self) -> float:
        """The crowd's p99 over the median of one alone."""
        return self.crowd_p99 / self.alone_p50

    @property
    def kept(self) -> bool:
        """No error, and nobody waits longer than if all stood in one line."""
        return self.errors == 0 and self.ratio <= self.clients


@dataclass(frozen=True, slots=True)
class Shift:
    """What one client did in a time: milliseconds of each prediction, and the first words of what went wrong."""

    taken: "array[float]"
    errors: int
    first_error: str


def work(orders: "Connection[Any, Any]", socket: str, seed: int) -> None:
    """A client's process: says that it is ready, then answers each number of seconds with a Shift; None ends it."""
    with AgentClient(socket) as client:
        model = client.describe(MODEL)
        chance = np.random.default_rng(seed)
        inputs = {tensor.name: _noise(chance, tensor.shape, tensor.dtype) for tensor in model.inputs}
        expected = client.predict(MODEL, inputs)
        orders.send("ready")
        while (seconds := orders.recv()) is not None:
            orders.send(_shift(client, inputs, expected, seconds))


def _noise(chance: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Any:
    return (chance.random(shape) * (255 if dtype == "uint8" else 1)).astype(dtype)


def _shift(client: AgentClient, inputs: Any, expected: Any, seconds: float) -> Shift:
    taken, errors, first = array("d"), 0, ""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        start = time.perf_counter()
        try:
            outputs = client.predict(MODEL, inputs)
        except LinewatchError as error:
            errors, first = errors + 1, first or str(error)
            time.sleep(PAUSE_SECONDS)
            continue
        taken.append((time.perf_counter() - start) * 1000)
        if not all(np.allclose(outputs[name], value, atol=TOLERANCE) for name, value in expected.items()):
            errors, first = errors + 1, first or "the outputs are not those of this picture"
    return Shift(taken, errors, first)


class Crowd:
    """The clients' processes."""

    def __init__(self, held: ExitStack, socket: str, clients: int) -> None:
        """Raises LinewatchError when one does not come up."""
        context = multiprocessing.get_context("spawn")
        self._lines: list[Connection[Any, Any]] = []
        for number in range(clients):
            ours, theirs = context.Pipe()
            process = context.Process(target=work, args=(theirs, socket, number), daemon=True)
            process.start()
            theirs.close()
            held.enter_context(_ended(process))
            self._lines.append(ours)
        for line in self._lines:
            _received(line, START_SECONDS)

    def run(self, clients: int, seconds: float) -> list[Shift]:
        """The first `clients` at once. Raises LinewatchError when one ends before its time."""
        lines = self._lines[:clients]
        for line in lines:
            line.send(seconds)
        return [_received(line, seconds + REPORT_SECONDS) for line in lines]

    def dismiss(self) -> None:
        """End them."""
        for line in self._lines:
            with contextlib.suppress(OSError):
                line.send(None)


@contextlib.contextmanager
def _ended(process: Any) -> Iterator[None]:
    try:
        yield
    finally:
        process.join(1.0)
        process.kill()
        process.join()


def _received(line: "Connection[Any, Any]", seconds: float) -> Any:
    try:
        if line.poll(seconds):
            return line.recv()
    except EOFError as error:
        raise LinewatchError("a client ended; its own lines say why") from error
    raise LinewatchError(f"a client did not report within {seconds:.0f} s")


def measure(clients: int, seconds: float) -> tuple[Figures, str]:
    """Figures, and the first error's words. Raises LinewatchError."""
    with ExitStack() as held:
        server = held.enter_context(servers.agent(short_root(ROOT / "build/agent-clients"), 0))
        with AgentClient(server.address) as client:
            client.load(MODEL, ROOT / "components/models" / MODEL)
        crowd = Crowd(held, server.address, clients)
        held.callback(crowd.dismiss)
        share = max(seconds * ALONE_SHARE / 2, LEAST_ALONE_SECONDS)
        before = crowd.run(1, share)
        together = crowd.run(clients, seconds)
        alone = before + crowd.run(1, share)
    everybody = [*alone, *together]
    singles, crowded = ([value for shift in shifts for value in shift.taken] for shifts in (alone, together))
    if not singles or not crowded:
        raise LinewatchError(next((shift.first_error for shift in everybody if shift.errors), "nobody predicted"))
    figures = Figures(
        clients=clients,
        seconds=seconds,
        predictions=len(crowded),
        errors=sum(shift.errors for shift in everybody),
        alone_p50=round(percentile(singles, 0.5), 3),
        crowd_p50=round(percentile(crowded, 0.5), 3),
        crowd_p99=round(percentile(crowded, 0.99), 3),
    )
    return figures, next((shift.first_error for shift in everybody if shift.errors), "")


def as_markdown(figures: Figures) -> str:
    """A table with one row."""
    names = (
        "clients | seconds | predictions | errors | one alone, p50 ms | p50 ms | p99 ms | p99 / one alone | promised"
    )
    ratio = f"{figures.ratio:.1f} | ≤ {figures.clients}"
    times = f"{figures.alone_p50:.2f} | {figures.crowd_p50:.2f} | {figures.crowd_p99:.2f}"
    row = f"{figures.clients} | {figures.seconds:g} | {figures.predictions} | {figures.errors} | {times} | {ratio}"
    return f"| {names} |\n|{'---:|' * 9}\n| {row} |"


def main() -> int:
    """Exit 0 when no prediction failed and the slowest kept the limit."""
    parser = argparse.ArgumentParser(prog="python -m tools.agent_bench.clients", description=__doc__)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=300.0, help="how long they predict at once")
    parser.add_argument("--keep", action="store_true", help="renew the figures in docs/benchmarks.md")
    arguments = parser.parse_args()
    # Both ends with the allocator's settings of the recipe: the clients' processes begin with this environment.
    os.environ.update(servers.device_environment())
    try:
        figures, error = measure(arguments.clients, arguments.seconds)
    except LinewatchError as failure:
        print(f"agent clients: {failure}", file=sys.stderr)
        return 1
    text = as_markdown(figures)
    print(text)
    merge({"agent_clients": asdict(figures) | {"ratio": round(figures.ratio, 2)}})
    if arguments.keep:
        keep(BEGIN, END, f"{today()}, {machine()}.\n\n{text}")
    if error:
        print(f"agent clients: {figures.errors} errors, the first: {error}", file=sys.stderr)
    return 0 if figures.kept else 1


if __name__ == "__main__":
    sys.exit(main())
