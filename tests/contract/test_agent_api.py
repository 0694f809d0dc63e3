"""A client of the original agent against ours: its messages come from the documented interface alone, never from linewatch's stubs."""

import grp
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import grpc
import numpy as np
import pytest
from google.protobuf import descriptor_pool, message_factory

from tests.agent_interface import PACKAGE, RPCS, interface
from tests.unit.agent.support import make_package, model_folder, shared_segment, short_folder, wait_until

START_SECONDS = 30.0
CALL_SECONDS = 30.0


class ForeignClient:
    """The calls by name, messages by name."""

    def __init__(self, path: Path, generation: int) -> None:
        pool = descriptor_pool.DescriptorPool()
        pool.Add(interface(generation))
        self._pool = pool
        unlimited = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
        self.channel = grpc.insecure_channel(f"unix://{path}", options=[*unlimited, ("grpc.enable_http_proxy", 0)])
        self.has_handle = generation == 3
        self.text_names = generation == 1

    def message(self, name: str, /, **fields: Any) -> Any:
        return message_factory.GetMessageClass(self._pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))(**fields)

    def call(self, rpc: str, /, **fields: Any) -> Any:
        response = type(self.message(f"{rpc}Response"))
        method = self.channel.unary_unary(
            f"/{PACKAGE}.Agent/{rpc}",
            request_serializer=lambda request: request.SerializeToString(),
            response_deserializer=response.FromString,
        )
        return method(self.message(f"{rpc}Request", **fields), timeout=CALL_SECONDS)

    def refusal(self, rpc: str, /, **fields: Any) -> tuple[grpc.StatusCode, str]:
        with pytest.raises(grpc.RpcError) as caught:
            self.call(rpc, **fields)
        return caught.value.code(), caught.value.details()

    def tensor(self, name: str, array: np.ndarray[Any, Any], type_number: int) -> Any:
        sent = name if self.text_names else name.encode()
        metadata = self.message("TensorMetadata", name=sent, data_type=type_number, shape=array.shape)
        return self.message("Tensor", tensor_metadata=metadata, byte_data=array.tobytes())

    def close(self) -> None:
        self.channel.close()


class AgentProcess:
    """The agent as an integrator starts it, without Greengrass."""

    def __init__(self, folder: Path, configuration: dict[str, Any] | None = None, log: str = "agent.log") -> None:
        self.folder = folder
        self.socket = folder / "agent.sock"
        self._config = folder / "config.json"
        self._config.write_text(json.dumps(configuration or {}))
        self._log = folder / log
        self.process = self._started()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            print(self.stop())

    def _started(self) -> subprocess.Popen[bytes]:
        with self._log.open("w") as output:  # a pipe that nobody reads would fill and stop the agent
            process = subprocess.Popen(
                [sys.executable, "-m", "linewatch_agent", "-a", f"unix://{self.socket}", "-c", str(self._config)],
                cwd=self.folder,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        give_up = time.monotonic() + START_SECONDS
        while process.poll() is None and not _answers(self.socket):
            assert time.monotonic() < give_up
            time.sleep(0.05)
        return process

    def kill_and_restart(self) -> None:
        self.process.kill()
        self.output()
        assert self.socket.exists()  # nobody could tidy up
        self.process = self._started()

    def stop(self) -> str:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.output()

    def output(self) -> str:
        """Wait for the end; everything that was printed."""
        self.process.wait(timeout=START_SECONDS)
        return self._log.read_text()


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(os.fspath(path)) == 0


@pytest.fixture(scope="module")
def agent() -> Iterator[AgentProcess]:
    configuration = {
        "sagemaker_edge_core_device_name": "device-1",
        "sagemaker_edge_core_device_fleet_name": "fleet-1",
        "sagemaker_edge_core_capture_data_buffer_size": 4,
        "sagemaker_edge_core_capture_data_batch_size": 2,
        "sagemaker_edge_core_capture_data_push_period_seconds": 1,
        "linewatch_memory_budget_mb": 2000,
        "linewatch_capture_buffer_mb": 1,
    }
    with short_folder() as folder, AgentProcess(folder, configuration) as process:
        model_folder(folder / "score")
        model_folder(folder / "pair", "pair")
        model_folder(folder / "truth", "truth")
        yield process


@pytest.fixture(params=[1, 3])
def client(request: pytest.FixtureRequest, agent: AgentProcess) -> Iterator[ForeignClient]:
    connected = ForeignClient(agent.socket, request.param)
    yield connected
    for model in connected.call("ListModels").models:
        connected.call("UnLoadModel", name=model.name)
    connected.close()


PICTURE = np.full((1, 4, 4, 3), 51, np.uint8)
UINT8, FLOAT32 = 0, 5


def test_the_whole_life_of_a_model(client: ForeignClient, agent: AgentProcess) -> None:
    loaded = client.call("LoadModel", url=str(agent.folder / "score"), name="tiny-1-0").model
    listed = client.call("ListModels").models
    described = client.call("DescribeModel", name="tiny-1-0").model
    assert [loaded, *listed] == [described, described]
    assert (described.name, described.url) == ("tiny-1-0", str(agent.folder / "score"))
    if client.has_handle:
        assert described.handle == "tiny-1-0"
    taken = described.input_tensor_metadatas[0]
    assert (taken.name, taken.data_type, list(taken.shape)) == (_name(client, "picture"), UINT8, [1, 4, 4, 3])
    answer = client.call("Predict", name="tiny-1-0", tensors=[client.tensor("picture", PICTURE, UINT8)]).tensors[0]
    assert (answer.tensor_metadata.name, answer.tensor_metadata.data_type) == (_name(client, "score"), FLOAT32)
    assert np.frombuffer(answer.byte_data, "<f4") == pytest.approx(0.2)
    client.call("UnLoadModel", name="tiny-1-0")
    assert not client.call("ListModels").models


def _name(client: ForeignClient, name: str) -> str | bytes:
    return name if client.text_names else name.encode()


def test_captured_data_lands_on_disk_in_the_originals_lines(client: ForeignClient, agent: AgentProcess) -> None:
    client.call("LoadModel", url="score", name="tiny")  # relative to the agent's folder
    capture_id = f"capture-{time.time_ns()}"
    picture = client.message("AuxiliaryData", name="part.jpg", encoding=3, byte_data=b"\xff\xd8")
    client.call(
        "CaptureData",
        model_name="tiny",
        capture_id=capture_id,
        inference_timestamp=client.message("Timestamp", seconds=1_600_000_000, nanos=5),
        input_tensors=[client.tensor("picture", PICTURE, UINT8)],
        inputs=[picture],
    )
    wait_until(lambda: client.call("GetCaptureDataStatus", capture_id=capture_id).status == 1)
    lines = [
        json.loads(line)
        for file in (agent.folder / "capture/sme-capture/fleet-1/tiny").rglob("*.jsonl")
        for line in file.read_text().splitlines()
    ]
    event = next(line for line in lines if line["eventMetadata"]["eventId"] == capture_id)
    assert event["eventMetadata"]["inferenceTime"] == "2020-09-13T12:26:40"
    assert event["eventMetadata"]["deviceId"] == "device-1"
    assert event["deviceFleetInputs"][0]["observedContentType"] == "Tensor[UINT8; 1, 4, 4, 3]"
    assert event["deviceFleetAuxiliaryInputs"][0]["observedContentType"] == "jpg"


def test_captured_data_goes_by_the_packaging_jobs_name(client: ForeignClient, agent: AgentProcess) -> None:
    folder = agent.folder / f"packaged-{time.time_ns()}"
    shutil.copytree(agent.folder / "score", folder)
    package = {"metadata": {"model_name": "surface", "model_version": "1.0", "compiler": "neo"}}
    (folder / "sagemaker_edge_manifest").write_text(json.dumps(package))
    client.call("LoadModel", url=str(folder), name="surface-1-0")
    capture_id = f"capture-{time.time_ns()}"
    tensors = [client.tensor("picture", PICTURE, UINT8)]
    client.call("CaptureData", model_name="surface-1-0", capture_id=capture_id, input_tensors=tensors)
    wait_until(lambda: client.call("GetCaptureDataStatus", capture_id=capture_id).status == 1)
    lines = [
        json.loads(line)["eventMetadata"]
        for file in (agent.folder / "capture/sme-capture/fleet-1/surface").rglob("*.jsonl")
        for line in file.read_text().splitlines()
    ]
    (event,) = (line for line in lines if line["eventId"] == capture_id)
    assert (event["modelName"], event["modelVersion"]) == ("surface", "1.0")


def test_a_package_keeps_its_own_names(client: ForeignClient, agent: AgentProcess, tmp_path: Path) -> None:
    client.call("LoadModel", url=str(make_package(tmp_path / "p")), name="any-name")
    assert [model.name for model in client.call("ListModels").models] == ["any-name"]


def test_handle_is_preferred_to_name(agent: AgentProcess) -> None:
    client = ForeignClient(agent.socket, 3)
    client.call("LoadModel", url="score", name="by-name", handle="by-handle")
    assert [model.name for model in client.call("ListModels").models] == ["by-handle"]
    client.call("UnLoadModel", handle="by-handle")
    client.close()


def test_tensors_without_metadata_go_by_position(client: ForeignClient) -> None:
    client.call("LoadModel", url="score", name="tiny")
    bare = client.message("Tensor", byte_data=PICTURE.tobytes())
    assert len(client.call("Predict", name="tiny", tensors=[bare]).tensors) == 1


def test_messages_of_many_megabytes_both_ways(client: ForeignClient) -> None:
    client.call("LoadModel", url="pair", name="pair")
    big = np.arange(7_000_000 * 3, dtype=np.float32).reshape(-1, 3)  # 84 MB, answered with twice as much
    small = np.ones(3, np.float32)
    answer = client.call(
        "Predict", name="pair", tensors=[client.tensor("a", big, FLOAT32), client.tensor("b", small, FLOAT32)]
    )
    total = np.frombuffer(answer.tensors[0].byte_data, "<f4").reshape(-1, 3)
    assert np.array_equal(total, big + small)


def test_concurrent_predictions_do_not_mix(client: ForeignClient) -> None:
    client.call("LoadModel", url="score", name="tiny")
    wrong: list[tuple[int, float]] = []

    def predict(value: int) -> None:
        tensor = client.tensor("picture", np.full((1, 4, 4, 3), value, np.uint8), UINT8)
        for _ in range(30):
            answer = client.call("Predict", name="tiny", tensors=[tensor]).tensors[0]
            got = float(np.frombuffer(answer.byte_data, "<f4")[0])
            if abs(got - value / 255) > 1e-5:
                wrong.append((value, got))

    threads = [threading.Thread(target=predict, args=(value,)) for value in range(0, 256, 32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_predictions_go_on_while_models_come_and_go(client: ForeignClient, agent: AgentProcess) -> None:
    client.call("LoadModel", url="score", name="stays")
    bare = client.message("Tensor", byte_data=PICTURE.tobytes())
    done, wrong = threading.Event(), []

    def predict() -> None:
        while not done.is_set():
            answer = client.call("Predict", name="stays", tensors=[bare]).tensors[0]
            if abs(float(np.frombuffer(answer.byte_data, "<f4")[0]) - 0.2) > 1e-5:
                wrong.append(answer)

    def come_and_go(name: str) -> int:
        for _ in range(15):
            client.call("LoadModel", url="score", name=name)
            assert client.call("DescribeModel", name=name).model.name == name
            assert {"stays", name} <= {model.name for model in client.call("ListModels").models}
            client.call("UnLoadModel", name=name)
        return 15

    with futures.ThreadPoolExecutor(5) as pool:
        predictors = [pool.submit(predict) for _ in range(2)]
        movers = [pool.submit(come_and_go, f"m{number}") for number in range(3)]
        try:
            assert [mover.result() for mover in movers] == [15, 15, 15]
        finally:
            done.set()
        assert [predictor.result() for predictor in predictors] == [None, None]
    assert not wrong


OLD_PROGRAM = """
import sys, grpc
import {module} as agent, {module}_grpc as agent_grpc

stub = agent_grpc.AgentStub(grpc.insecure_channel("unix://" + sys.argv[1]))
stub.LoadModel(agent.LoadModelRequest(url="score", name="tiny"))
metadata = agent.TensorMetadata(name=b"picture", data_type=agent.UINT8, shape=[1, 4, 4, 3])
tensor = agent.Tensor(tensor_metadata=metadata, byte_data=bytes(48))
print(len(stub.Predict(agent.PredictRequest(name="tiny", tensors=[tensor])).tensors), agent.AuxilaryData.__name__)
"""


@pytest.mark.parametrize("module", ["agent_pb2", "sagemaker_edge_agent_pb2"])
def test_the_originals_module_names_work(module: str, agent: AgentProcess, client: ForeignClient) -> None:
    common = Path(__file__).parents[2] / "components/common"
    paths = f"{common / 'linewatch_agent_api/compat'}:{common}"
    program = [sys.executable, "-c", OLD_PROGRAM.format(module=module), str(agent.socket)]
    done = subprocess.run(program, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("1 AuxiliaryData\n", 0), done.stderr


def test_a_refusal_fits_the_header_that_it_travels_in(client: ForeignClient) -> None:
    code, message = client.refusal("LoadModel", url="/" + "/".join(["🔩" * 50] * 18), name="tiny")
    assert code is grpc.StatusCode.NOT_FOUND
    assert message.endswith("…")
    assert len(quote(message)) < 7000  # of 8192, with everything else


def test_tensors_in_shared_memory(client: ForeignClient) -> None:
    client.call("LoadModel", url="score", name="tiny")
    with shared_segment(PICTURE.tobytes()) as segment_id:
        handle = client.message("SharedMemoryHandle", segment_id=segment_id)  # as the originals' clients: no size
        tensor = client.message("Tensor", shared_memory_handle=handle)
        answer = client.call("Predict", name="tiny", tensors=[tensor]).tensors[0]
    assert np.frombuffer(answer.byte_data, "<f4") == pytest.approx(0.2)
    code, message = client.refusal("Predict", name="tiny", tensors=[tensor])
    assert (code, "there is none" in message) == (grpc.StatusCode.INVALID_ARGUMENT, True)


def test_a_capture_cannot_name_a_segment_until_memory_is_full(client: ForeignClient) -> None:
    client.call("LoadModel", url="score", name="tiny")
    megabyte = client.message("TensorMetadata", name=_name(client, "x"), data_type=UINT8, shape=[1_000_000])
    with shared_segment(bytes(1_000_000)) as segment_id:
        handle = client.message("SharedMemoryHandle", segment_id=segment_id)
        sized = client.message("SharedMemoryHandle", segment_id=segment_id, size=1_000_000)
        tensor = client.message("Tensor", tensor_metadata=megabyte, shared_memory_handle=handle)
        item = client.message("AuxiliaryData", name="x", shared_memory_handle=sized)
        fields = {"capture_id": "vast", "input_tensors": [tensor] * 150, "inputs": [item] * 150}
        code, message = client.refusal("CaptureData", model_name="tiny", **fields)
    assert (code, "300000000 bytes in shared memory, at most" in message) == (grpc.StatusCode.INVALID_ARGUMENT, True)


Refusal = tuple[str, dict[str, Any], grpc.StatusCode, str]


def _refusals(client: ForeignClient) -> list[Refusal]:
    codes = grpc.StatusCode
    bare = client.message("Tensor", byte_data=PICTURE.tobytes())
    nobody = client.message("Tensor")
    short = client.message("Tensor", byte_data=b"123")
    future = client.message("Timestamp", seconds=int(time.time()) + 3600)
    never = client.message("Timestamp", seconds=-(10**12))
    floats = client.tensor("picture", PICTURE.astype(np.float32), FLOAT32)
    batch = client.tensor("a", np.full((1, 3), np.nan, np.float32), FLOAT32)
    segment = client.message("Tensor", shared_memory_handle=client.message("SharedMemoryHandle", segment_id=2**40))
    sides = client.message("TensorMetadata", name=_name(client, "x"), shape=[2**31 - 1] * 50_000)
    many = client.message("Tensor", tensor_metadata=sides, byte_data=b"1")
    return [
        ("LoadModel", {"url": "nowhere", "name": "a"}, codes.NOT_FOUND, "nowhere"),
        ("LoadModel", {"url": "/dev/null", "name": "a"}, codes.FAILED_PRECONDITION, "is a file"),
        ("LoadModel", {"url": "score", "name": "tiny"}, codes.ALREADY_EXISTS, "unload it first"),
        ("LoadModel", {"url": "score", "name": "with.dot"}, codes.INVALID_ARGUMENT, "no dots"),
        ("LoadModel", {"url": "score", "name": ""}, codes.INVALID_ARGUMENT, "model name"),
        ("LoadModel", {"url": "", "name": "a"}, codes.INVALID_ARGUMENT, "url"),
        ("LoadModel", {"url": "x" * 5000, "name": "a"}, codes.FAILED_PRECONDITION, "too long"),
        ("LoadModel", {"url": ".", "name": "a"}, codes.FAILED_PRECONDITION, "no model in it"),
        ("LoadModel", {"url": "truth", "name": "a"}, codes.FAILED_PRECONDITION, "bool"),
        ("UnLoadModel", {"name": "a"}, codes.NOT_FOUND, "tiny"),
        ("DescribeModel", {"name": "a"}, codes.NOT_FOUND, "loaded: pair, tiny"),
        ("Predict", {"name": "a"}, codes.NOT_FOUND, "not loaded"),
        ("Predict", {"name": "tiny"}, codes.INVALID_ARGUMENT, "takes 1"),
        ("Predict", {"name": "tiny", "tensors": [bare, bare]}, codes.INVALID_ARGUMENT, "takes 1"),
        ("Predict", {"name": "tiny", "tensors": [short]}, codes.INVALID_ARGUMENT, "3 bytes"),
        ("Predict", {"name": "tiny", "tensors": [nobody]}, codes.INVALID_ARGUMENT, "0 bytes"),
        ("Predict", {"name": "tiny", "tensors": [floats]}, codes.INVALID_ARGUMENT, "float32 was sent"),
        ("Predict", {"name": "pair", "tensors": [batch, batch]}, codes.INVALID_ARGUMENT, "holds NaN or infinity"),
        ("Predict", {"name": "tiny", "tensors": [segment]}, codes.INVALID_ARGUMENT, "shmget"),
        ("Predict", {"name": "tiny", "tensors": [many]}, codes.INVALID_ARGUMENT, "50000 sides"),
        ("CaptureData", {"model_name": "a", "capture_id": "1"}, codes.NOT_FOUND, "not loaded"),
        ("CaptureData", {"model_name": "tiny", "capture_id": "../x"}, codes.INVALID_ARGUMENT, "slashes"),
        (
            "CaptureData",
            {"model_name": "tiny", "capture_id": "2", "input_tensors": [short]},
            codes.INVALID_ARGUMENT,
            "3 bytes without tensor_metadata",
        ),
        (
            "CaptureData",
            {"model_name": "tiny", "capture_id": "2", "output_tensors": [client.tensor("x", PICTURE, FLOAT32)]},
            codes.INVALID_ARGUMENT,
            "48 bytes, its data type",
        ),
        (
            "CaptureData",
            {"model_name": "tiny", "capture_id": "2", "output_tensors": [many]},
            codes.INVALID_ARGUMENT,
            "50000 sides",
        ),
        (
            "CaptureData",
            {"model_name": "tiny", "capture_id": "3", "inference_timestamp": future},
            codes.OUT_OF_RANGE,
            "future",
        ),
        (
            "CaptureData",
            {"model_name": "tiny", "capture_id": "4", "inference_timestamp": never},
            codes.INVALID_ARGUMENT,
            "timestamp",
        ),
        ("GetCaptureDataStatus", {"capture_id": "never-taken"}, codes.NOT_FOUND, "not known"),
    ]


def test_every_refusal_has_its_documented_code_and_says_why(client: ForeignClient) -> None:
    client.call("LoadModel", url="score", name="tiny")
    client.call("LoadModel", url="pair", name="pair")
    for rpc, fields, code, part in _refusals(client):
        got, message = client.refusal(rpc, **fields)
        assert (got, part in message, "\n" in message) == (code, True, False), (rpc, fields, got, message)
        client.call("Predict", name="tiny", tensors=[client.message("Tensor", byte_data=PICTURE.tobytes())])


def test_bytes_that_are_no_request_are_refused_and_leave_nothing(client: ForeignClient, agent: AgentProcess) -> None:
    describe = client.channel.unary_unary(f"/{PACKAGE}.Agent/DescribeModel")

    def send(count: int) -> None:
        for _ in range(count):
            with pytest.raises(grpc.RpcError) as caught:
                describe(b"\xff\xff\xff", timeout=CALL_SECONDS)
            assert caught.value.code() is grpc.StatusCode.INTERNAL
            assert "no request of this interface" in caught.value.details()

    send(200)
    before = _resident_bytes(agent)
    send(1000)
    assert _resident_bytes(agent) - before < 8_000_000  # gRPC's own refusal takes 16 KB each and keeps it


def _resident_bytes(agent: AgentProcess) -> int:
    return int(Path(f"/proc/{agent.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_capture_id_is_taken_once(client: ForeignClient) -> None:
    client.call("LoadModel", url="score", name="tiny")
    capture_id = f"once-{time.time_ns()}"
    client.call("CaptureData", model_name="tiny", capture_id=capture_id)
    code, _ = client.refusal("CaptureData", model_name="tiny", capture_id=capture_id)
    assert code is grpc.StatusCode.ALREADY_EXISTS


def test_a_capture_that_does_not_fit_the_buffer_is_said(client: ForeignClient) -> None:
    client.call("LoadModel", url="score", name="tiny")
    large = client.message("AuxiliaryData", name="large.bin", encoding=3, byte_data=bytes(1_000_001))
    capture_id = f"large-{time.time_ns()}"
    code, message = client.refusal("CaptureData", model_name="tiny", capture_id=capture_id, inputs=[large])
    assert (code, "capture buffer full" in message) == (grpc.StatusCode.RESOURCE_EXHAUSTED, True)
    assert "CaptureBufferMB" in message, "what to set"
    client.call("CaptureData", model_name="tiny", capture_id=capture_id)  # it was not taken: its id is free


def test_a_package_that_was_changed_is_not_loaded(client: ForeignClient, tmp_path: Path) -> None:
    package = make_package(tmp_path / "p")
    (package / "model.onnx").write_bytes(b"changed")
    code, message = client.refusal("LoadModel", url=str(package), name="tiny")
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "model.onnx" in message
    assert "SHA-256" in message


def test_a_model_over_the_memory_budget_is_refused() -> None:
    with short_folder() as folder:
        model_folder(folder / "score")
        with (folder / "score" / "model.onnx").open("ab") as file:
            file.truncate(3_000_000)
        with AgentProcess(folder, {"linewatch_memory_budget_mb": 2}) as agent:
            client = ForeignClient(agent.socket, 3)
            code, message = client.refusal("LoadModel", url="score", name="tiny")
            client.close()
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "MemoryBudgetMB" in message


def test_a_killed_agent_takes_its_stale_socket_over_and_clients_reconnect() -> None:
    with short_folder() as folder:
        model_folder(folder / "score")
        with AgentProcess(folder) as agent:
            client = ForeignClient(agent.socket, 3)
            client.call("LoadModel", url="score", name="tiny")
            agent.kill_and_restart()
            wait_until(_quiet(lambda: client.call("ListModels")))
            client.close()
            assert "server listening" in agent.stop()


def _quiet(call: Callable[[], Any]) -> Callable[[], bool]:
    def attempt() -> bool:
        try:
            call()
        except grpc.RpcError:
            return False
        return True

    return attempt


def test_a_verbose_log_has_a_line_for_each_call() -> None:
    with short_folder() as folder:
        for verbose, lines in (("True", 2), ("False", 0)):
            with AgentProcess(folder, {"sagemaker_edge_log_verbose": verbose}) as agent:
                client = ForeignClient(agent.socket, 3)
                client.call("ListModels")
                client.call("ListModels")
                client.close()
                said = agent.stop()
            assert len(re.findall(r"DEBUG .* request \d+: ListModels answered in \d+\.\d ms", said)) == lines


def test_the_originals_stop_signal_stores_what_waits() -> None:
    with short_folder() as folder:
        model_folder(folder / "score")
        never_by_itself = {"sagemaker_edge_core_capture_data_push_period_seconds": 3600}
        with AgentProcess(folder, never_by_itself) as agent:
            client = ForeignClient(agent.socket, 3)
            client.call("LoadModel", url="score", name="tiny")
            client.call("CaptureData", model_name="tiny", capture_id="c")
            client.close()
            agent.process.send_signal(signal.SIGHUP)
            assert "stopped" in agent.stop()
        assert agent.process.returncode == 0
        assert len(list(folder.rglob("*.jsonl"))) == 1


def test_who_may_use_the_socket_is_a_matter_of_the_file() -> None:
    group = grp.getgrgid(os.getgid()).gr_name
    with (
        short_folder() as folder,
        AgentProcess(folder, {"linewatch_unix_socket_mode": "0666", "linewatch_unix_socket_group": group}) as agent,
    ):
        wait_until(lambda: agent.socket.stat().st_mode & 0o777 == 0o666)


def test_a_served_socket_is_not_taken() -> None:
    with short_folder() as folder, AgentProcess(folder):
        second = AgentProcess(folder, log="second.log")
        output = second.output()
    assert second.process.returncode == 78
    assert "another process serves it" in output


def test_every_call_of_the_interface_is_served(client: ForeignClient) -> None:
    served = {rpc for rpc in RPCS if _code_of_empty(client, rpc) is not grpc.StatusCode.UNIMPLEMENTED}
    assert served == set(RPCS)


def _code_of_empty(client: ForeignClient, rpc: str) -> grpc.StatusCode | None:
    try:
        client.call(rpc)
    except grpc.RpcError as error:
        code: grpc.StatusCode = error.code()
        return code
    return None
