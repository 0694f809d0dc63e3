"""What tests of captured data run against: S3 (moto's server), a line to it that can be cut, credentials, and the agent as a process."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType
from typing import Any

import boto3
import grpc
import numpy as np
from linewatch_agent_api import agent_pb2 as wire
from linewatch_agent_api.agent_pb2_grpc import AgentStub
from linewatch_agent_api.channels import CLIENT_OPTIONS, address_of

BUCKET = "linewatch-captures"
REGION = "eu-west-1"
KEYS = {"aws_access_key_id": "rig", "aws_secret_access_key": "rig"}
MODELS = Path(__file__).resolve().parent.parent / "tests" / "data" / "models"
START_SECONDS = 60.0
TENSOR = np.arange(1024, dtype=np.float32)  # 4 KB: over the embed limit


def wait_until(condition: Any, seconds: float, what: str) -> None:
    """Poll. Raises TimeoutError."""
    give_up = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > give_up:
            raise TimeoutError(f"waited {seconds} s for {what}")
        time.sleep(0.02)


class S3Server:
    """moto's server in a process of its own, with one bucket."""

    def __init__(self) -> None:
        self.port = _free_port()
        command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.url = f"http://127.0.0.1:{self.port}"
        wait_until(lambda: _answers(self.port), START_SECONDS, "moto's server")
        self.client = boto3.client("s3", endpoint_url=self.url, region_name=REGION, **KEYS)
        self.client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})

    def keys(self) -> list[str]:
        """Every object's."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def get(self, key: str) -> bytes:
        """An object's content."""
        return bytes(self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read())

    def lines(self) -> list[dict[str, Any]]:
        """Every captured line."""
        files = [self.get(key) for key in self.keys() if key.endswith(".jsonl")]
        return [json.loads(line) for file in files for line in file.splitlines()]

    def captured(self) -> Counter[str]:
        """How often each capture id arrived."""
        return Counter(line["eventMetadata"]["eventId"] for line in self.lines())

    def close(self) -> None:
        """End it."""
        self.client.close()
        self._process.terminate()
        self._process.wait(10)


class Link:
    """A TCP line to a local port; `cut` resets what runs and refuses what comes."""

    def __init__(self, target: int) -> None:
        self._target = target
        self.port = _free_port()
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._listener: socket.socket | None = None

    @property
    def url(self) -> str:
        """The other end, seen through the line."""
        return f"http://127.0.0.1:{self.port}"

    def restore(self) -> None:
        """Let through."""
        listener = socket.create_server(("127.0.0.1", self.port))
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def cut(self) -> None:
        """As a pulled cable whose peer answers with a reset."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        with self._lock:
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()
            self._open.clear()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                with self._lock:
                    self._open += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=_pump, args=(source, sink), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


class TokenExchange:
    """Credentials over HTTP as Greengrass's token exchange gives them; counts who asked with the right token."""

    TOKEN = "rig-token"  # noqa: S105 - a test's

    def __init__(self) -> None:
        exchange = self
        self.asked = 0

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                allowed = self.headers.get("Authorization") == exchange.TOKEN
                exchange.asked += allowed
                body = json.dumps(credentials("AccessKeyId", "SecretAccessKey", "Token", "Expiration")).encode()
                self.send_response(200 if allowed else 403)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def environment(self) -> dict[str, str]:
        """As the runtime gives it to a component."""
        url = f"http://localhost:{self._server.server_address[1]}/2016-11-01/credentialprovider/"
        return {"AWS_CONTAINER_CREDENTIALS_FULL_URI": url, "AWS_CONTAINER_AUTHORIZATION_TOKEN": self.TOKEN}

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()


def credentials(*names: str) -> dict[str, str]:
    """Values that moto takes, under the endpoint's own names."""
    return dict(zip(names, ("rig", "rig", "session", "2099-01-01T00:00:00Z"), strict=True))


class AgentProcess:
    """The agent with `-a` and `-c`, in `folder`; may be killed and started again."""

    def __init__(self, folder: Path, environment: dict[str, str], **settings: Any) -> None:
        self._folder = folder
        self._socket = folder / "agent.sock"
        clean = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        self._environment = {**clean, "AWS_EC2_METADATA_DISABLED": "true", **environment}
        (folder / "config.json").write_text(json.dumps({"sagemaker_edge_core_device_name": "device-1", **settings}))
        (folder / "model").mkdir(exist_ok=True)
        shutil.copy(MODELS / "score.onnx", folder / "model" / "model.onnx")
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Any = None
        self.stub: Any = None

    def start(self) -> None:
        """Start it and load a model. Raises TimeoutError."""
        command = [sys.executable, "-m", "linewatch_agent", "-a", str(self._socket), "-c", "config.json"]
        with (self._folder / "agent.log").open("ab") as log:
            self._process = subprocess.Popen(command, cwd=self._folder, env=self._environment, stdout=log, stderr=log)
        self._channel = grpc.insecure_channel(address_of(self._socket), options=CLIENT_OPTIONS)
        self.stub = AgentStub(self._channel)
        request = wire.LoadModelRequest(url=str(self._folder / "model"), name="score")
        self.stub.LoadModel(request, timeout=START_SECONDS, wait_for_ready=True)

    def kill(self) -> None:
        """SIGKILL."""
        self._end(signal.SIGKILL)

    def signal_kill(self) -> None:
        """SIGKILL in the middle of calls; `kill` then cleans up."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, as the runtime does."""
        self._end(signal.SIGTERM)

    def capture(self, capture_id: str) -> None:
        """Capture a tensor too large for the line, and a verdict. Raises grpc.RpcError."""
        metadata = wire.TensorMetadata(name=b"picture", data_type=wire.FLOAT32, shape=TENSOR.shape)
        request = wire.CaptureDataRequest(model_name="score", capture_id=capture_id)
        request.input_tensors.append(wire.Tensor(tensor_metadata=metadata, byte_data=TENSOR.tobytes()))
        self.stub.CaptureData(request, timeout=START_SECONDS)

    def status(self, capture_id: str) -> int:
        """Raises grpc.RpcError."""
        request = wire.GetCaptureDataStatusRequest(capture_id=capture_id)
        return int(self.stub.GetCaptureDataStatus(request, timeout=START_SECONDS).status)

    def log(self) -> str:
        """What it said."""
        return (self._folder / "agent.log").read_text()

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        self._process.wait(30)
        self._process = None
        self._channel.close()


@contextlib.contextmanager
def closing_all() -> Iterator[contextlib.ExitStack]:
    """SIGTERM ends a command as an exception does, so that its processes end with it."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(1)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        with contextlib.ExitStack() as stack:
            yield stack
    finally:
        signal.signal(signal.SIGTERM, before)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/moto-api/", timeout=2):
        return True
    return False
