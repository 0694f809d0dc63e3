"""The agent's client: numpy arrays in and out, our errors instead of gRPC's."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

import grpc
from linewatch_common.errors import AgentUnavailableError

from linewatch_agent_api import agent_pb2 as wire
from linewatch_agent_api.agent_pb2_grpc import AgentStub
from linewatch_agent_api.channels import CLIENT_OPTIONS, MAX_MESSAGE_BYTES, address_of
from linewatch_agent_api.errors import NEVER, RETRY_KEY, NotFoundError, refused
from linewatch_agent_api.tensors import Array, dtype_of, from_wire, predict_message, tensor_name, to_wire

_PREDICT = f"/{wire.DESCRIPTOR.services_by_name['Agent'].full_name}/Predict"
# The answer says that the agent is away or stuck, not that the request is wrong.
_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds after which a call counts as unanswered."""

    # A prediction takes 5 to 50 ms, some hundred under heavy load; five seconds mean a stuck agent.
    predict: float = 5.0
    # Compiling a large net on a small device takes tens of seconds, and the agent warms it up as well.
    load: float = 120.0
    # Unloading waits for the predictions that run on the model.
    unload: float = 30.0
    # Answered from memory.
    ask: float = 5.0
    # The agent copies the tensors and answers before they are stored.
    capture: float = 5.0


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One input or output of a model; a side of -1 is dynamic."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A loaded model."""

    name: str
    url: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]


class CaptureState(StrEnum):
    """How far a capture is; `success` means durable."""

    FAILURE = "failure"
    SUCCESS = "success"
    IN_PROGRESS = "in progress"
    NOT_FOUND = "not found"


class AuxiliaryEncoding(StrEnum):
    """How auxiliary data appears in a captured line."""

    CSV = "CSV"
    JSON = "JSON"
    NONE = "NONE"
    BASE64 = "BASE64"


@dataclass(frozen=True, slots=True)
class Auxiliary:
    """Data that goes with a capture beside its tensors, e.g. a JPEG named "picture.jpg"."""

    name: str
    data: bytes
    encoding: AuxiliaryEncoding = AuxiliaryEncoding.BASE64


@dataclass(frozen=True, slots=True)
class Capture:
    """What to store of one inference. Tensors by name; `at_ns` is the inference's time, nanoseconds since the epoch (default: now)."""

    model: str
    capture_id: str
    inputs: Mapping[str, Array] = field(default_factory=dict)
    outputs: Mapping[str, Array] = field(default_factory=dict)
    auxiliary_inputs: Sequence[Auxiliary] = ()
    auxiliary_outputs: Sequence[Auxiliary] = ()
    at_ns: int | None = None


class AgentClient:
    """Calls the agent that listens on the unix socket `endpoint`. Safe to use from several threads; connects on the first call.

    Every method raises AgentUnavailableError when the agent is away or does not answer within the call's deadline, and
    AgentRefusedError (an InputError with the status in `code`) when it refuses the request. A later call connects again by itself,
    within a second of the agent's return.
    """

    def __init__(self, endpoint: str | Path, deadlines: Deadlines | None = None) -> None:
        self._endpoint = str(endpoint)
        self._deadlines = deadlines or Deadlines()
        self._channel = grpc.insecure_channel(address_of(endpoint), options=CLIENT_OPTIONS)
        self._stub = AgentStub(self._channel)
        self._predict = self._channel.unary_unary(
            _PREDICT, request_serializer=None, response_deserializer=wire.PredictResponse.FromString
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Drop the connection; calls that run end with AgentUnavailableError."""
        self._channel.close()

    def load(self, name: str, folder: str | Path) -> ModelInfo:
        """Load the model in `folder` under `name`."""
        request = wire.LoadModelRequest(url=str(folder), name=name, handle=name)
        return _model_info(self._call(self._stub.LoadModel, request, self._deadlines.load).model)

    def unload(self, name: str) -> None:
        """Drop a model."""
        self._call(self._stub.UnLoadModel, wire.UnLoadModelRequest(name=name, handle=name), self._deadlines.unload)

    def list(self) -> tuple[ModelInfo, ...]:
        """Every loaded model, by name."""
        response = self._call(self._stub.ListModels, wire.ListModelsRequest(), self._deadlines.ask)
        return tuple(_model_info(model) for model in response.models)

    def describe(self, name: str) -> ModelInfo:
        """One loaded model."""
        request = wire.DescribeModelRequest(name=name, handle=name)
        return _model_info(self._call(self._stub.DescribeModel, request, self._deadlines.ask).model)

    def predict(self, name: str, inputs: Mapping[str, Array], deadline: float | None = None) -> dict[str, Array]:
        """Run the model on `inputs` (by tensor name); its outputs by name, read-only, in the model's order.

        `deadline` in seconds replaces the usual one. Raises InputError for an array whose dtype the wire cannot carry.
        """
        message = predict_message(name, inputs)
        response = self._call(self._predict, message, self._deadlines.predict if deadline is None else deadline)
        return {tensor_name(tensor.tensor_metadata): from_wire(tensor) for tensor in response.tensors}

    def capture(self, capture: Capture) -> None:
        """Hand over an inference for storing; returns before it is stored. Raises TooLargeError for one that the agent never takes."""
        at_ns = time.time_ns() if capture.at_ns is None else capture.at_ns
        seconds, nanos = divmod(at_ns, 1_000_000_000)
        request = wire.CaptureDataRequest(
            model_name=capture.model,
            model_handle=capture.model,
            capture_id=capture.capture_id,
            inference_timestamp=wire.Timestamp(seconds=seconds, nanos=nanos),
            input_tensors=[to_wire(name, array) for name, array in capture.inputs.items()],
            output_tensors=[to_wire(name, array) for name, array in capture.outputs.items()],
            inputs=[_auxiliary(item) for item in capture.auxiliary_inputs],
            outputs=[_auxiliary(item) for item in capture.auxiliary_outputs],
        )
        if request.ByteSize() > MAX_MESSAGE_BYTES:
            raise refused(
                "RESOURCE_EXHAUSTED",
                f"{request.ByteSize()} bytes, at most {MAX_MESSAGE_BYTES} fit a request",
                never=True,
            )
        self._call(self._stub.CaptureData, request, self._deadlines.capture)

    def capture_status(self, capture_id: str) -> CaptureState:
        """How far a capture is; NOT_FOUND for one that the agent does not know (any more)."""
        request = wire.GetCaptureDataStatusRequest(capture_id=capture_id)
        try:
            response = self._call(self._stub.GetCaptureDataStatus, request, self._deadlines.ask)
        except NotFoundError:
            return CaptureState.NOT_FOUND
        return CaptureState[wire.CaptureDataStatus.Name(response.status)]

    def _call(self, method: Any, request: Any, deadline: float) -> Any:
        """The one place where gRPC's errors become ours."""
        try:
            return method(request, timeout=deadline)
        except grpc.RpcError as error:
            code, details = error.code(), error.details() or "no reason given"
            if code is grpc.StatusCode.DEADLINE_EXCEEDED:
                details = f"no answer within {deadline:g} s"
            if code in _AWAY:
                raise AgentUnavailableError(f"agent at {self._endpoint}: {details}") from error
            never = (RETRY_KEY, NEVER) in (error.trailing_metadata() or ())
            raise refused(code.name, details, never=never) from error
        except ValueError as error:  # gRPC's way to say that the channel was closed
            raise AgentUnavailableError(f"agent at {self._endpoint}: the client was closed") from error


def _model_info(model: wire.Model) -> ModelInfo:
    return ModelInfo(
        name=model.name or model.handle,
        url=model.url,
        inputs=tuple(_tensor_info(metadata) for metadata in model.input_tensor_metadatas),
        outputs=tuple(_tensor_info(metadata) for metadata in model.output_tensor_metadatas),
    )


def _tensor_info(metadata: wire.TensorMetadata) -> TensorInfo:
    return TensorInfo(tensor_name(metadata), dtype_of(metadata.data_type).name, tuple(metadata.shape))


def _auxiliary(item: Auxiliary) -> wire.AuxiliaryData:
    return wire.AuxiliaryData(name=item.name, encoding=item.encoding.value, byte_data=item.data)
