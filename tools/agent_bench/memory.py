"""How much memory the agent takes with both sample models, and by how much it grows over many predictions.

`python -m tools.agent_bench.memory --predictions 200000` takes over half an hour.
"""

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from linewatch_agent_api.client import AgentClient
from linewatch_common.errors import LinewatchError

from tools.agent_bench import servers
from tools.line.line import ROOT, short_root
from tools.report import merge

SAMPLES = ("SurfaceClassifier", "SurfaceSegmenter")
# Arenas of the allocator and the pool's threads are in use after these; what comes later is growth.
SETTLING = 2000
LIMIT_MB = 350.0
LIMIT_GROWTH = 0.02


def measure(predictions: int) -> dict[str, Any]:
    """Predict in turn on both models. Raises LinewatchError."""
    with ExitStack() as held:
        server = held.enter_context(servers.agent(short_root(ROOT / "build/agent-memory"), 0))
        client = held.enter_context(AgentClient(server.address))
        loaded = [client.load(name, ROOT / "components/models" / name) for name in SAMPLES]
        inputs = [{tensor.name: np.zeros(tensor.shape, tensor.dtype) for tensor in model.inputs} for model in loaded]

        def predict(times: int) -> int:
            for place in range(times):
                client.predict(SAMPLES[place % 2], inputs[place % 2])
            return _resident_bytes(server.pid)

        settled = predict(min(SETTLING, predictions))
        after = predict(predictions)
    return {"predictions": predictions, "rss_mb": round(after / 1e6, 1), "growth": round(after / settled - 1, 4)}


def _resident_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def main() -> int:
    """Exit 0 when both limits are kept."""
    parser = argparse.ArgumentParser(prog="python -m tools.agent_bench.memory", description=__doc__)
    parser.add_argument("--predictions", type=int, default=20_000)
    arguments = parser.parse_args()
    try:
        figures = measure(arguments.predictions)
    except LinewatchError as error:
        print(f"agent memory: {error}", file=sys.stderr)
        return 1
    print(
        f"{figures['rss_mb']} MB (limit {LIMIT_MB:g}), grown by {figures['growth']:.2%} (limit {LIMIT_GROWTH:.0%}) "
        f"over {figures['predictions']} predictions on {' and '.join(SAMPLES)}"
    )
    merge({"agent_memory": figures})
    return 0 if figures["rss_mb"] <= LIMIT_MB and figures["growth"] < LIMIT_GROWTH else 1


if __name__ == "__main__":
    sys.exit(main())
