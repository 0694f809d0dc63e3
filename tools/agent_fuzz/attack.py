"""Sending mutated requests, and judging every answer."""

import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import Message
from linewatch_agent_api import agent_pb2 as edge
from linewatch_agent_api import edge_agent_pb2 as lookout
from linewatch_agent_api.channels import CLIENT_OPTIONS, address_of
from linewatch_common.errors import InputError

from tools.agent_fuzz.mutations import mutated
from tools.agent_fuzz.target import Held, Target

# A prediction takes some milliseconds, a load a second: what takes this long hangs.
ANSWER_SECONDS = 30.0
EVERY = 250  # requests between two checks with whole requests
WARM_SHARE = 0.2  # of the requests; the allocator and the runtime reach their size in these
REPEATED_SHARE = 0.2
SIDE = 224

_ALWAYS = {"OK", "UNKNOWN", "INTERNAL"}
# What the interfaces document for each call, beyond _ALWAYS.
DOCUMENTED = {
    "/AWS.SageMaker.Edge.Agent/Predict": {"NOT_FOUND", "INVALID_ARGUMENT"},
    "/AWS.SageMaker.Edge.Agent/LoadModel": {
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "INVALID_ARGUMENT",
    },
    "/AWS.SageMaker.Edge.Agent/UnLoadModel": {"NOT_FOUND"},
    "/AWS.SageMaker.Edge.Agent/ListModels": set(),
    "/AWS.SageMaker.Edge.Agent/DescribeModel": {"NOT_FOUND", "INVALID_ARGUMENT"},
    "/AWS.SageMaker.Edge.Agent/CaptureData": {
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "RESOURCE_EXHAUSTED",
        "OUT_OF_RANGE",
        "INVALID_ARGUMENT",
        "FAILED_PRECONDITION",
    },
    "/AWS.SageMaker.Edge.Agent/GetCaptureDataStatus": {"NOT_FOUND"},
    **{
        f"/AWS.LookoutVision.EdgeAgent/{name}": {
            "INVALID_ARGUMENT",
            "NOT_FOUND",
            "RESOURCE_EXHAUSTED",
            "FAILED_PRECONDITION",
        }
        for name in ("DetectAnomalies", "StartModel", "StopModel", "ListModels", "DescribeModel")
    },
}


@dataclass
class Outcome:
    """Answers by call and code, what went wrong, and what the agent held after the warm-up and at the end."""

    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    before: Held | None = None
    after: Held | None = None
    seconds: float = 0.0


class CaptureIds:
    """Which capture a request is about, at random."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._given = 0

    def given(self, whole: Any) -> Any:
        """`whole`, or where it has a capture id a copy: a capture gets its own or repeats an earlier one, a question asks for any."""
        if "capture_id" not in whole.DESCRIPTOR.fields_by_name:
            return whole
        earlier = not isinstance(whole, edge.CaptureDataRequest) or self._chance.random() < REPEATED_SHARE
        self._given += not earlier
        varied = type(whole)()
        varied.CopyFrom(whole)
        varied.capture_id = f"c{self._chance.randint(0, self._given) if earlier else self._given}"
        return varied


class Attack:
    """Both interfaces of one target. `picture` is the name of a shared memory object with a picture and room for its mask."""

    def __init__(self, target: Target, seed: int, picture: Path) -> None:
        self._target = target
        self._chance = random.Random(seed)
        self._channels = {
            "AWS.SageMaker.Edge": grpc.insecure_channel(address_of(target.edge), options=CLIENT_OPTIONS),
            "AWS.LookoutVision": grpc.insecure_channel(address_of(target.lookout), options=CLIENT_OPTIONS),
        }
        self._calls = {call: self._raw(call) for call in DOCUMENTED}
        self._seeds = list(_seeds(target, picture))
        self._weights = [weight for _, _, weight in self._seeds]
        self._ids = CaptureIds(seed)
        self.outcome = Outcome()

    def run(self, requests: int) -> Outcome:
        """Send that many; ends early when the agent died."""
        start = time.monotonic()
        warm = int(requests * WARM_SHARE)
        for number in range(requests):
            if number % EVERY == 0:
                self._whole_requests()
            if number == warm:
                self.outcome.before = self._target.held()
            call, seed, _ = self._chance.choices(self._seeds, self._weights)[0]
            self._judge(call, mutated(self._ids.given(seed), self._chance))
            if not self._target.alive():
                self.outcome.problems.append(f"the agent died of {call}, request {number}")
                return self.outcome
        self._whole_requests()
        self.outcome.after = self._target.held()
        self.outcome.seconds = time.monotonic() - start
        return self.outcome

    def close(self) -> None:
        """Drop the connections."""
        for channel in self._channels.values():
            channel.close()

    def _raw(self, call: str) -> Any:
        package = call[1:].rpartition("/")[0].rpartition(".")[0]
        return self._channels[package].unary_unary(call, request_serializer=None, response_deserializer=None)

    def _send(self, call: str, data: bytes) -> tuple[str, str]:
        try:
            self._calls[call](data, timeout=ANSWER_SECONDS)
        except grpc.RpcError as error:
            return error.code().name, error.details() or ""
        return "OK", ""

    def _judge(self, call: str, data: bytes) -> None:
        code, details = self._send(call, data)
        self.outcome.answers[call.rpartition("/")[2], code] += 1
        defect = code not in _ALWAYS | DOCUMENTED[call] or (code != "OK" and not details) or "\n" in details
        if defect or "internal error" in details:
            self.outcome.problems.append(f"{call}: {code} {details[:200]} for {data[:80]!r}")

    def _whole_requests(self) -> None:
        """Put the models back as they were; what is whole must still work."""
        models = edge.ListModelsResponse.FromString(
            self._calls["/AWS.SageMaker.Edge.Agent/ListModels"](b"", timeout=ANSWER_SECONDS)
        )
        names = {model.name for model in models.models}
        unload, load = "/AWS.SageMaker.Edge.Agent/UnLoadModel", "/AWS.SageMaker.Edge.Agent/LoadModel"
        for name in names - {"scores", "masks"}:
            if not name.startswith("lookout-"):
                self._send(unload, edge.UnLoadModelRequest(name=name).SerializeToString())
        for name, folder in (("scores", self._target.classifier), ("masks", self._target.segmenter)):
            if name not in names:
                self._must(load, edge.LoadModelRequest(name=name, url=str(folder)))
        self._send(
            "/AWS.LookoutVision.EdgeAgent/StartModel",
            lookout.StartModelRequest(model_component="whole").SerializeToString(),
        )
        self._must("/AWS.SageMaker.Edge.Agent/Predict", _predict("scores"))

    def _must(self, call: str, message: Message) -> None:
        code, details = self._send(call, message.SerializeToString())
        if code != "OK":
            raise InputError(f"a whole {call} is refused: {code} {details}")


def _predict(model: str) -> edge.PredictRequest:
    metadata = edge.TensorMetadata(name=b"image", data_type=edge.UINT8, shape=[1, SIDE, SIDE, 3])
    tensor = edge.Tensor(tensor_metadata=metadata, byte_data=bytes(SIDE * SIDE * 3))
    return edge.PredictRequest(name=model, tensors=[tensor])


def _seeds(target: Target, picture: Path) -> Any:
    """Call, whole request, weight. Loads are rare: each takes as long as a hundred others."""
    service = "/AWS.SageMaker.Edge.Agent/"
    shared = edge.Tensor(shared_memory_handle=edge.SharedMemoryHandle(segment_id=1))
    small = edge.TensorMetadata(name=b"t", data_type=edge.FLOAT32, shape=[2, 2])
    yield service + "Predict", _predict("scores"), 10
    yield service + "Predict", _predict("masks"), 4
    yield service + "Predict", edge.PredictRequest(handle="scores", tensors=[shared]), 10
    yield service + "LoadModel", edge.LoadModelRequest(url=str(target.classifier), name="extra"), 0.5
    yield service + "UnLoadModel", edge.UnLoadModelRequest(name="extra"), 5
    yield service + "ListModels", edge.ListModelsRequest(), 3
    yield service + "DescribeModel", edge.DescribeModelRequest(name="scores"), 8
    captured = edge.CaptureDataRequest(
        model_name="scores",
        capture_id="c",
        inference_timestamp=edge.Timestamp(seconds=1_600_000_000),
        input_tensors=[edge.Tensor(tensor_metadata=small, byte_data=bytes(16))],
        inputs=[edge.AuxiliaryData(name="a.jpg", encoding=edge.BASE64, byte_data=b"\xff\xd8")],
    )
    yield service + "CaptureData", captured, 14
    yield service + "GetCaptureDataStatus", edge.GetCaptureDataStatusRequest(capture_id="c"), 6
    service = "/AWS.LookoutVision.EdgeAgent/"
    handle = lookout.SharedMemoryHandle(name=picture.name, size=64 * 64 * 3)
    room = lookout.SharedMemoryHandle(name=picture.name, size=64 * 64 * 3, offset=64 * 64 * 3)
    by_bytes = lookout.Bitmap(width=64, height=64, byte_data=bytes(64 * 64 * 3))
    by_name = lookout.Bitmap(width=64, height=64, shared_memory_handle=handle)
    mask = lookout.AnomalyMaskParams(shared_memory_handle=room)
    yield service + "DetectAnomalies", lookout.DetectAnomaliesRequest(model_component="whole", bitmap=by_bytes), 12
    whole = lookout.DetectAnomaliesRequest(model_component="whole", bitmap=by_name, anomaly_mask_params=mask)
    yield service + "DetectAnomalies", whole, 12
    yield service + "StartModel", lookout.StartModelRequest(model_component="whole"), 2
    yield service + "StopModel", lookout.StopModelRequest(model_component="whole"), 0.3
    yield service + "ListModels", lookout.ListModelsRequest(), 3
    yield service + "DescribeModel", lookout.DescribeModelRequest(model_component="whole"), 6
