"""The ways to a prediction that are compared. Each is a function that runs one prediction and returns its output as an array."""

import base64
import http.client
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import openvino
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from linewatch_agent_api import agent_pb2 as wire
from linewatch_agent_api.agent_pb2_grpc import AgentStub
from linewatch_agent_api.channels import CLIENT_OPTIONS, address_of
from linewatch_agent_api.client import AgentClient
from linewatch_agent_api.tensors import from_wire, wire_type_of

from tools.agent_bench.segments import segment
from tools.agent_bench.servers import OPTIONS

Prediction = Callable[[], Any]
FRAMES_A_LANE = 2
SECONDS = 30.0  # a call that takes this long is an error, not a measurement


def in_process(core: Any, model: Path, tensor: Any, threads: int = 0) -> Prediction:
    """OpenVINO in this process, without copying in or out: the least that a prediction can take. `threads` 0: all."""
    options = OPTIONS | ({"INFERENCE_NUM_THREADS": threads} if threads else {})
    request = core.compile_model(str(model), "CPU", options).create_infer_request()
    return lambda: request.infer([tensor], share_inputs=True, share_outputs=True)[0]


class InFlight:
    """Frames that overlap, as on a line that is never idle: each lane takes one frame after the other, a thread a lane.

    A run takes `frames`.
    """

    def __init__(self, held: ExitStack, lanes: list[Callable[[], Any]]) -> None:
        self._first, *self._others = lanes
        self._beside = held.enter_context(ThreadPoolExecutor(len(self._others)))
        self.frames = len(lanes) * FRAMES_A_LANE

    def __call__(self) -> None:
        """Take the frames."""
        running = [self._beside.submit(_several, lane) for lane in self._others]
        _several(self._first)
        for lane in running:
            lane.result()


def _several(lane: Callable[[], Any]) -> None:
    for _ in range(FRAMES_A_LANE):
        lane()


def together(core: Any, models: list[Path], tensor: Any, threads: int) -> Callable[[], Any]:
    """Several models in this process at once, each on `threads` threads."""
    options = OPTIONS | {"INFERENCE_NUM_THREADS": threads}
    requests = [core.compile_model(str(model), "CPU", options).create_infer_request() for model in models]
    for request in requests:
        request.set_input_tensor(openvino.Tensor(tensor, shared_memory=True))

    def predict() -> None:
        for request in requests:
            request.start_async()
        for request in requests:
            request.wait()

    return predict


def started_core() -> Any:
    """OpenVINO."""
    return openvino.Core()


def by_bytes(client: AgentClient, model: str, name: str, tensor: Any) -> Prediction:
    """Our agent, the tensor inside the message."""
    return lambda: next(iter(client.predict(model, {name: tensor}).values()))


class BySharedMemory:
    """Our agent, the tensor in a segment that is written anew for each prediction."""

    def __init__(self, held: ExitStack, channel: grpc.Channel, model: str, name: str, tensor: Any) -> None:
        self._predict = AgentStub(channel).Predict
        memory = held.enter_context(segment(tensor.nbytes))
        self._content = memory.content.view(tensor.dtype).reshape(tensor.shape)
        self._tensor = tensor
        metadata = wire.TensorMetadata(name=name.encode(), data_type=wire_type_of(tensor.dtype), shape=tensor.shape)
        handle = wire.SharedMemoryHandle(segment_id=memory.id, size=tensor.nbytes)
        sent = wire.Tensor(tensor_metadata=metadata, shared_memory_handle=handle)
        self._request = wire.PredictRequest(name=model, handle=model, tensors=[sent])

    def __call__(self) -> Any:
        """One prediction."""
        np.copyto(self._content, self._tensor)
        return from_wire(self._predict(self._request, timeout=SECONDS).tensors[0])


def agent_channel(held: ExitStack, socket: str) -> grpc.Channel:
    """A connection to our agent."""
    return held.enter_context(grpc.insecure_channel(address_of(socket), options=CLIENT_OPTIONS))


def by_mlserver(held: ExitStack, address: str, tensor: Any) -> Prediction:
    """mlserver's gRPC (the Open Inference Protocol), the tensor as raw bytes."""
    request_type, response_type = _open_inference()
    channel = held.enter_context(grpc.insecure_channel(address, options=CLIENT_OPTIONS))
    call = channel.unary_unary(
        "/inference.GRPCInferenceService/ModelInfer",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=response_type.FromString,
    )

    def predict() -> Any:
        described = {"name": "x", "datatype": "FP32", "shape": tensor.shape}
        message = request_type(model_name="r18", inputs=[described], raw_input_contents=[tensor.tobytes()])
        return np.frombuffer(call(message, timeout=SECONDS).raw_output_contents[0], np.float32)

    return predict


def by_litserve(held: ExitStack, address: str, tensor: Any) -> Prediction:
    """litserve's HTTP on a kept connection, the tensor as base64."""
    host, port = address.split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=SECONDS)
    held.callback(connection.close)

    def predict() -> Any:
        body = json.dumps({"tensor": base64.b64encode(tensor).decode()})
        connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
        return np.array(json.loads(connection.getresponse().read())["scores"])

    return predict


def _open_inference() -> tuple[Any, Any]:
    """The messages of the Open Inference Protocol, as far as one tensor each way needs them."""
    file = descriptor_pb2.FileDescriptorProto(name="open_inference.proto", package="inference", syntax="proto3")
    field = descriptor_pb2.FieldDescriptorProto
    messages: dict[str, list[tuple[int, str, int, str, bool]]] = {
        "Tensor": [
            (1, "name", field.TYPE_STRING, "", False),
            (2, "datatype", field.TYPE_STRING, "", False),
            (3, "shape", field.TYPE_INT64, "", True),
        ],
        "Request": [
            (1, "model_name", field.TYPE_STRING, "", False),
            (5, "inputs", field.TYPE_MESSAGE, ".inference.Tensor", True),
            (7, "raw_input_contents", field.TYPE_BYTES, "", True),
        ],
        "Response": [(6, "raw_output_contents", field.TYPE_BYTES, "", True)],
    }
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for number, label, kind, type_name, repeated in fields:
            made = message.field.add(number=number, name=label, type=kind)
            made.label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
            if type_name:
                made.type_name = type_name
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    request, response = (pool.FindMessageTypeByName(f"inference.{name}") for name in ("Request", "Response"))
    return message_factory.GetMessageClass(request), message_factory.GetMessageClass(response)
