"""All the ways to a prediction that one run compares, by the name of their row."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from linewatch_agent_api.client import AgentClient
from linewatch_common.errors import LinewatchError

from tools.agent_bench import figures as f
from tools.agent_bench import paths, servers
from tools.agent_bench.paths import BySharedMemory, Prediction
from tools.agent_bench.shapes import DEVIATION, MEAN, NETS, SIDE

# Ways that are given the same picture answer the same, but for the rounding of INT8 and of a mask's bytes.
TOLERANCE = 0.02
_PAIR = ("r18", "unet")  # the two models of a frame
_LANES = 2  # frames at once: as many as there are cores


def pictures() -> tuple[Any, Any]:
    """One picture as the nets with preparation take it (uint8 NHWC), and as the others do (float32 NCHW, prepared)."""
    picture = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE, 3), dtype=np.uint8)
    prepared = (picture - np.array(MEAN, np.float32)) / np.array(DEVIATION, np.float32)
    return picture, np.ascontiguousarray(prepared.transpose(0, 3, 1, 2), dtype=np.float32)


def in_process(held: ExitStack, models: Path) -> dict[str, Prediction]:
    """The same models without a server: what everything is compared with."""
    core = paths.started_core()
    picture, tensor = pictures()
    files = {name: models / name / "model.onnx" for name in NETS}
    ways = {
        f.R18: paths.in_process(core, files["r18"], tensor),
        f.UNET: paths.in_process(core, files["unet"], tensor),
        f"{f.R18}, uint8": paths.in_process(core, files["r18-uint8"], picture),
        f"{f.UNET}, uint8": paths.in_process(core, files["unet-uint8"], picture),
    }
    ways[f"{f.TWO_IN_PROCESS}one after the other"] = _one_after_the_other(
        [ways[f"{f.R18}, uint8"], ways[f"{f.UNET}, uint8"]]
    )
    for threads in (1, 2):
        pair = paths.together(core, [files["r18-uint8"], files["unet-uint8"]], picture, threads)
        ways[f"{f.TWO_IN_PROCESS}at once, threads each: {threads}"] = pair
        lanes = [
            _one_after_the_other([paths.in_process(core, files[f"{net}-uint8"], picture, threads) for net in _PAIR])
            for _ in range(_LANES)
        ]
        ways[f"{f.TWO_IN_PROCESS}frames at once: {_LANES}, threads each: {threads}"] = paths.InFlight(held, lanes)
    return ways


def agent(held: ExitStack, folder: Path, models: Path) -> dict[str, Prediction]:
    """Our agent. Raises LinewatchError."""
    address = _agent(held, folder / "agent", models, 0)
    client = held.enter_context(AgentClient(address))
    channel = paths.agent_channel(held, address)
    picture, tensor = pictures()
    ways: dict[str, Prediction] = {}
    for net in _PAIR:
        ways[f"{net}, agent, {f.BYTES}"] = paths.by_bytes(client, net, "x", tensor)
        ways[f"{net}, agent, {f.SHARED}"] = BySharedMemory(held, channel, net, "x", tensor)
        ways[f"{net}, agent, {f.UINT8_BYTES}"] = paths.by_bytes(client, f"{net}-uint8", "picture", picture)
    pair = _pair(held, address)
    for net, way in zip(_PAIR, pair, strict=True):
        ways[f"{net}, agent, {f.UINT8}"] = way
    ways[f"{f.TWO_OURS}one after the other"] = _one_after_the_other(pair)
    beside = held.enter_context(ThreadPoolExecutor(1))
    single = _agent(held, folder / "agent-1", models, 1)
    for threads, socket in ((2, address), (1, single)):
        ways[f"{f.TWO_OURS}at once, threads each: {threads}"] = partial(_at_once, _pair(held, socket), beside)
        # Every other lane begins with the other net: predictions on one net wait for each other.
        lanes = [_one_after_the_other(_pair(held, socket)[:: (-1) ** lane]) for lane in range(_LANES)]
        ways[f"{f.TWO_OURS}frames at once: {_LANES}, threads each: {threads}"] = paths.InFlight(held, lanes)
    return ways


def _agent(held: ExitStack, folder: Path, models: Path, threads: int) -> str:
    """Start an agent with every net loaded; its socket."""
    server = held.enter_context(servers.agent(folder, threads))
    client = held.enter_context(AgentClient(server.address))
    for name in NETS:
        client.load(name, models / name)
    return server.address


def _pair(held: ExitStack, address: str) -> list[BySharedMemory]:
    """Both nets by the fastest way, on one connection."""
    channel = paths.agent_channel(held, address)
    picture, _ = pictures()
    return [BySharedMemory(held, channel, f"{net}-uint8", "picture", picture) for net in _PAIR]


def _one_after_the_other(pair: Sequence[Prediction]) -> Callable[[], Any]:
    return lambda: [way() for way in pair]


def _at_once(pair: list[BySharedMemory], beside: Executor) -> None:
    """A blocking call in a thread each: gRPC's own futures take 2 ms more, as a third thread waits for their answers."""
    first, second = pair
    running = beside.submit(first)
    second()
    running.result()


def peers(held: ExitStack, folder: Path, models: Path) -> dict[str, Prediction]:
    """mlserver and litserve, with the same model and the same tensor as ours by bytes. Raises LinewatchError."""
    if not servers.PEERS_PYTHON.exists():
        raise LinewatchError("the peers are not installed: `make bench` does it")
    _, tensor = pictures()
    model = models / "r18/model.onnx"
    mlserver = held.enter_context(servers.mlserver(folder / "mlserver", model))
    litserve = held.enter_context(servers.litserve(folder / "litserve", model))
    ways = {
        f.MLSERVER: paths.by_mlserver(held, mlserver.address, tensor),
        f.LITSERVE: paths.by_litserve(held, litserve.address, tensor),
    }
    servers.wait_until_served("mlserver", mlserver, ways[f.MLSERVER])
    servers.wait_until_served("litserve", litserve, ways[f.LITSERVE])
    return ways


def agree(ways: dict[str, Prediction]) -> None:
    """A fast way with a wrong answer is no way. Raises LinewatchError naming it."""
    for begins in (f.R18, f.UNET):
        net = begins.partition(",")[0]
        wanted = ways[begins]().ravel().copy()
        for name, run in ways.items():
            if not name.startswith(f"{net},"):
                continue
            answered = run()
            scale = 255.0 if answered.dtype == np.uint8 else 1.0
            apart = float(np.abs(answered.ravel() / scale - wanted).max())
            if apart > TOLERANCE:
                raise LinewatchError(f"{name}: its answer is {apart:.3f} from that in process")
