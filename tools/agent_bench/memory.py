"""How much memory the agent takes with both sample models, and by how much it grows over many predictions.

200,000 predictions take half an hour.
"""

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from linewatch_agent_api.client import AgentClient
from linewatch_common.errors import LinewatchError

from tools.agent_bench import servers
from tools.line.line import ROOT, short_root
from tools.report import keep, machine, merge, today

SAMPLES = ("SurfaceClassifier", "SurfaceSegmenter")
# Each of the agent's threads holds some MB more once it has run a model, and a busy machine brings one after the other to it. After this
# many predictions of so many clients at once all have; what comes later is growth.
SETTLING, CLIENTS = 4000, 16
SAMPLED = 20
PATIENT = 60.0  # a machine that is busy elsewhere says nothing of memory
BEGIN, END = "<!-- memory: written by `python -m tools.agent_bench.memory --keep` -->", "<!-- end of memory -->"
LIMIT_MB = 350.0
LIMIT_GROWTH = 0.02


def measure(predictions: int) -> dict[str, Any]:
    """Predict in turn on both models. Raises LinewatchError."""
    with ExitStack() as held:
        server = held.enter_context(servers.agent(short_root(ROOT / "build/agent-memory"), 0))
        client = held.enter_context(AgentClient(server.address))
        loaded = [client.load(name, ROOT / "components/models" / name) for name in SAMPLES]
        inputs = [{tensor.name: np.zeros(tensor.shape, tensor.dtype) for tensor in model.inputs} for model in loaded]

        def predict(times: int) -> list[int]:
            """What was resident every SAMPLED predictions."""
            held = []
            for place in range(times):
                client.predict(SAMPLES[place % 2], inputs[place % 2], PATIENT)
                if place % SAMPLED == 0:
                    held.append(_resident_bytes(server.pid))
            return held

        _settle(server.address, inputs, min(SETTLING, predictions))
        held_bytes: list[list[int]] = []
        for tenth in range(1, 11):
            held_bytes.append(predict(predictions * tenth // 10 - predictions * (tenth - 1) // 10))
            print(f"{predictions * tenth // 10} predictions: {fmean(held_bytes[-1]) / 1e6:.1f} MB", flush=True)
    return as_figures(predictions, held_bytes)


def _settle(address: str, inputs: list[dict[str, Any]], predictions: int) -> None:
    def client(number: int) -> None:
        with AgentClient(address) as own:
            for place in range(number, number + predictions // CLIENTS):
                own.predict(SAMPLES[place % 2], inputs[place % 2], PATIENT)

    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(client, range(CLIENTS)))


def as_figures(predictions: int, held_bytes: list[list[int]]) -> dict[str, Any]:
    """The largest, and the growth from the first to the last tenth: means, as the allocator gives back and takes again all the time."""
    first, last = fmean(held_bytes[0]), fmean(held_bytes[-1])
    largest = max(max(tenth) for tenth in held_bytes)
    return {"predictions": predictions, "rss_mb": round(largest / 1e6, 1), "growth": round(last / first - 1, 4)}


def as_markdown(figures: dict[str, Any]) -> str:
    """A table with one row."""
    row = f"{figures['predictions']} | {figures['rss_mb']} | ≤ {LIMIT_MB:g} | {figures['growth']:.2%} | < {LIMIT_GROWTH:.0%}"
    return f"| predictions | most resident MB | promised | grown by | promised |\n|{'---:|' * 5}\n| {row} |"


def _resident_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def main() -> int:
    """Exit 0 when both limits are kept."""
    parser = argparse.ArgumentParser(prog="python -m tools.agent_bench.memory", description=__doc__)
    parser.add_argument("--predictions", type=int, default=200_000)
    parser.add_argument("--keep", action="store_true", help="renew the figures in docs/benchmarks.md")
    arguments = parser.parse_args()
    try:
        figures = measure(arguments.predictions)
    except LinewatchError as error:
        print(f"agent memory: {error}", file=sys.stderr)
        return 1
    text = as_markdown(figures)
    print(text)
    merge({"agent_memory": figures})
    if arguments.keep:
        keep(BEGIN, END, f"{today()}, {machine()}.\n\n{text}")
    return 0 if figures["rss_mb"] <= LIMIT_MB and figures["growth"] < LIMIT_GROWTH else 1


if __name__ == "__main__":
    sys.exit(main())
