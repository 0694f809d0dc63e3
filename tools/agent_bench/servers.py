"""The servers under measurement, each a process of its own."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.line import LineError, free_port
from tools.line.line import ROOT

# OpenVINO as the agent sets it, for everybody: the bench compares transports, not options.
OPTIONS = {
    "PERFORMANCE_HINT": "LATENCY",
    "NUM_STREAMS": 1,
    "ENABLE_CPU_PINNING": False,
    "INFERENCE_PRECISION_HINT": "f32",
}
RECIPE = ROOT / "recipes/com.linewatch.EdgeAgent.json"
PEERS = ROOT / "tools/agent_bench/peers"
PEERS_PYTHON = ROOT / ".venv-peers/bin/python"
# A cold start of mlserver imports pandas, FastAPI and gRPC.
START_SECONDS = 60.0
STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Running:
    """A server's process, and where it listens: a socket's path or a port."""

    pid: int
    address: str
    log: Path


def device_environment() -> dict[str, str]:
    """The variables that the agent's recipe sets on a device."""
    manifest = json.loads(RECIPE.read_bytes())["Manifests"][0]
    variables: dict[str, str] = manifest["Lifecycle"]["Setenv"]
    return variables


@contextmanager
def agent(folder: Path, threads: int) -> Iterator[Running]:
    """Our agent, started as a program without Greengrass starts it, on a socket in `folder`; `threads` of a prediction, 0: all."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.json"
    config.write_text(json.dumps({"linewatch_inference_threads": threads}), encoding="utf-8")
    address = folder / "agent.sock"
    command = [sys.executable, "-m", "linewatch_agent", "-a", str(address), "-c", str(config)]
    log = folder / "agent.log"
    with _process(command, log, device_environment()) as pid:
        _wait("agent", pid, log, address.exists)
        yield Running(pid, str(address), log)


@contextmanager
def mlserver(folder: Path, model: Path) -> Iterator[Running]:
    """mlserver without metrics, debugging and worker processes: its fastest."""
    models = folder / "models"
    models.mkdir(parents=True, exist_ok=True)
    port = free_port(0)
    settings = {"debug": False, "host": "127.0.0.1", "http_port": free_port(0), "grpc_port": port}
    settings |= {"metrics_endpoint": None, "parallel_workers": 0}
    served = {"name": "r18", "implementation": "mlserver_model.OpenVinoModel"}
    parameters = {"uri": str(model), "extra": OPTIONS}
    (models / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    (models / "model-settings.json").write_text(json.dumps({**served, "parameters": parameters}), encoding="utf-8")
    command = [str(PEERS_PYTHON.with_name("mlserver")), "start", str(models)]
    log = folder / "mlserver.log"
    with _process(command, log, {"PYTHONPATH": str(PEERS)}) as pid:
        yield Running(pid, f"127.0.0.1:{port}", log)


@contextmanager
def litserve(folder: Path, model: Path) -> Iterator[Running]:
    """litserve with one worker and its fast queue."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port(0)
    script = PEERS / "litserve_server.py"
    command = [str(PEERS_PYTHON), str(script), str(model), json.dumps(OPTIONS), str(port)]
    log = folder / "litserve.log"
    with _process(command, log, {}) as pid:
        yield Running(pid, f"127.0.0.1:{port}", log)


def wait_until_served(name: str, server: Running, call: Callable[[], object]) -> None:
    """Repeat `call` until it answers. Raises LineError after START_SECONDS or when the process ended."""

    def answered() -> bool:
        try:
            call()
        except Exception:  # noqa: BLE001 - a server that starts refuses in many ways; the wait is bounded
            return False
        return True

    _wait(name, server.pid, server.log, answered)


@contextmanager
def _process(command: list[str], log: Path, variables: Mapping[str, str]) -> Iterator[int]:
    environment = os.environ | dict(variables)
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=log.parent, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            yield process.pid
        finally:
            _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
    # Workers of the group that outlived their parent.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    process.wait(STOP_SECONDS)


def _wait(name: str, pid: int, log: Path, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        if ended or time.monotonic() > deadline:
            last = log.read_text(encoding="utf-8", errors="replace")[-2000:]
            raise LineError(f"{name} does not serve:\n{last}")
        time.sleep(0.2)
