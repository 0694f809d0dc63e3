"""The ways to a prediction by DLR, and by OpenVINO for the same float32 net, by the name of their row."""

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from linewatch_agent.backends.dlr.backend import installed_runtime
from linewatch_agent.backends.dlr.library import Library
from linewatch_agent.backends.dlr.process import thread_settings
from linewatch_agent_api.client import AgentClient
from linewatch_common.errors import LinewatchError, UnavailableError

from tools.agent_bench import paths, servers
from tools.agent_bench.neo.artefact import NeoModel, made, this_processor
from tools.agent_bench.neo.rows import DLR, DLR_AGENT, FLOAT, OPENVINO, OPENVINO_AGENT
from tools.agent_bench.paths import Prediction

# Float32 on both sides, summed in another order.
TOLERANCE = 1e-4


def ways(held: ExitStack, state: Path, kept: Path, tensor: Any) -> tuple[dict[str, Prediction], dict[str, str]]:
    """The ways, each agreeing with OpenVINO; and by row, why this machine has none. `kept`: where the net stays. Raises LinewatchError."""
    try:
        runtime = _runtime()
        model = made(kept, this_processor())
    except UnavailableError as error:
        return {}, {f"{FLOAT}, DLR": str(error)}
    found = {
        OPENVINO: paths.in_process(paths.started_core(), model.onnx / "model.onnx", tensor),
        DLR: _in_process(runtime, model.compiled, tensor),
    }
    found |= _agent(held, state / "agent-neo", model, tensor)
    wanted = found[OPENVINO]().ravel().copy()
    for name, run in found.items():
        apart = float(np.abs(run().ravel() - wanted).max())
        if apart > TOLERANCE:
            raise LinewatchError(f"{name}: its answer is {apart:.6f} from OpenVINO's")
    return found, {}


def _runtime() -> Path:
    found = installed_runtime()
    if found is None:
        raise UnavailableError("the extra dlr is not installed, or has no library for this machine")
    return found


def _in_process(runtime: Path, folder: Path, tensor: Any) -> Prediction:
    """DLR in this process, without a server: what a program that links it gets."""
    os.environ |= thread_settings(0)  # read when the library starts its threads
    model = Library(str(runtime)).load([str(path) for path in sorted(folder.iterdir())])
    given = tensor.reshape(-1).view(np.uint8).data
    (spec,) = model.outputs
    taken = np.empty(spec.shape, spec.dtype)
    answer = taken.reshape(-1).view(np.uint8).data

    def predict() -> Any:
        model.run([given], [answer])
        return taken

    return predict


def _agent(held: ExitStack, folder: Path, model: NeoModel, tensor: Any) -> dict[str, Prediction]:
    server = held.enter_context(servers.agent(folder, 0))
    client = held.enter_context(AgentClient(server.address))
    client.load("r18-float32", model.onnx)
    client.load("r18-neo", model.compiled)
    return {
        OPENVINO_AGENT: paths.by_bytes(client, "r18-float32", "x", tensor),
        DLR_AGENT: paths.by_bytes(client, "r18-neo", "x", tensor),
    }
