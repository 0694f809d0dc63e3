"""The wire and the domain, translated into each other; nothing else happens here."""

# ruff: noqa: ARG002, N802 - gRPC fixes the methods' names and arguments

from collections.abc import Iterable
from typing import Any

import grpc
from linewatch_agent_api import agent_pb2 as wire
from linewatch_agent_api.agent_pb2_grpc import AgentServicer, add_AgentServicer_to_server
from linewatch_agent_api.channels import MAX_MESSAGE_BYTES
from linewatch_agent_api.tensors import dtype_of, element_count, response_message, tensor_name, wire_type_of

from linewatch_agent.answers import answered
from linewatch_agent.calls import UnaryServer
from linewatch_agent.captures import AuxiliaryItem, CapturedTensor, CaptureRequest, CaptureState, Encoding
from linewatch_agent.captures.request import Moment
from linewatch_agent.dataplane import DataPlane
from linewatch_agent.errors import BadRequestError
from linewatch_agent.refusals import RefusalLog
from linewatch_agent.registry import Entry
from linewatch_agent.shared_memory import Segment
from linewatch_agent.tensors import SentTensor, TensorSpec

SERVICE = wire.DESCRIPTOR.services_by_name["Agent"].full_name
# As numpy. The product of a million sides takes minutes.
_MAX_SIDES = 64
_CAPTURE_STATES = {
    CaptureState.IN_PROGRESS: wire.IN_PROGRESS,
    CaptureState.SUCCESS: wire.SUCCESS,
    CaptureState.FAILURE: wire.FAILURE,
}


def add_to_server(servicer: "WireServicer", server: UnaryServer) -> None:
    """Serve its methods. Predict's response is serialised already."""
    add_AgentServicer_to_server(servicer, server)
    predict = grpc.unary_unary_rpc_method_handler(servicer.Predict, wire.PredictRequest.FromString, bytes)
    server.add_registered_method_handlers(SERVICE, {"Predict": predict}, short=True)


class WireServicer(AgentServicer):
    """`AWS.SageMaker.Edge.Agent` on a data plane."""

    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane
        self.refusals = RefusalLog()

    @answered
    def Predict(self, request: wire.PredictRequest, context: grpc.ServicerContext) -> bytes:  # type: ignore[override]  # serialised
        """See agent.proto. The response as it goes over the wire."""
        return response_message(self._plane.predict(_name(request), [_sent(tensor) for tensor in request.tensors]))

    @answered
    def LoadModel(self, request: wire.LoadModelRequest, context: grpc.ServicerContext) -> wire.LoadModelResponse:
        """See agent.proto."""
        return wire.LoadModelResponse(model=_model(self._plane.load(_name(request), request.url)))

    @answered
    def UnLoadModel(self, request: wire.UnLoadModelRequest, context: grpc.ServicerContext) -> wire.UnLoadModelResponse:
        """See agent.proto."""
        self._plane.unload(_name(request))
        return wire.UnLoadModelResponse()

    @answered
    def ListModels(self, request: wire.ListModelsRequest, context: grpc.ServicerContext) -> wire.ListModelsResponse:
        """See agent.proto."""
        return wire.ListModelsResponse(models=[_model(entry) for entry in self._plane.models()])

    @answered
    def DescribeModel(
        self, request: wire.DescribeModelRequest, context: grpc.ServicerContext
    ) -> wire.DescribeModelResponse:
        """See agent.proto."""
        return wire.DescribeModelResponse(model=_model(self._plane.describe(_name(request))))

    @answered
    def CaptureData(self, request: wire.CaptureDataRequest, context: grpc.ServicerContext) -> wire.CaptureDataResponse:
        """See agent.proto."""
        self._plane.capture(_capture(request))
        return wire.CaptureDataResponse()

    @answered
    def GetCaptureDataStatus(
        self, request: wire.GetCaptureDataStatusRequest, context: grpc.ServicerContext
    ) -> wire.GetCaptureDataStatusResponse:
        """See agent.proto."""
        state = self._plane.capture_status(request.capture_id)
        return wire.GetCaptureDataStatusResponse(status=_CAPTURE_STATES[state])


def _name(request: Any) -> str:
    """The newest clients set `handle`, older ones `name`."""
    return str(request.handle or request.name)


def _sent(tensor: wire.Tensor) -> SentTensor:
    data = _data(tensor)
    if not tensor.HasField("tensor_metadata"):
        return SentTensor(data)
    metadata = tensor.tensor_metadata
    name = tensor_name(metadata) or None
    if not metadata.shape and not _is_scalar(metadata, data):
        return SentTensor(data, name)  # only named: the model knows the rest
    return SentTensor(data, name, dtype_of(metadata.data_type), _shape(metadata))


def _is_scalar(metadata: wire.TensorMetadata, data: bytes | Segment) -> bool:
    return isinstance(data, bytes) and len(data) == dtype_of(metadata.data_type).itemsize


def _is_shared(holder: wire.Tensor | wire.AuxiliaryData) -> bool:
    return bool(holder.WhichOneof("data") == "shared_memory_handle")


def _data(holder: wire.Tensor | wire.AuxiliaryData) -> bytes | Segment:
    if _is_shared(holder):
        handle = holder.shared_memory_handle
        return Segment(handle.segment_id, handle.offset, handle.size)
    return holder.byte_data


def _shape(metadata: wire.TensorMetadata) -> tuple[int, ...]:
    if len(metadata.shape) > _MAX_SIDES:
        raise BadRequestError(
            f"tensor {tensor_name(metadata)!r}: {len(metadata.shape)} sides were sent, at most {_MAX_SIDES} are taken"
        )
    if any(side < 0 for side in metadata.shape):
        raise BadRequestError(f"tensor {tensor_name(metadata)!r}: shape {list(metadata.shape)} has a negative side")
    return tuple(metadata.shape)


def _expected(metadata: wire.TensorMetadata) -> int:
    """The bytes that the tensor takes."""
    return element_count(_shape(metadata)) * dtype_of(metadata.data_type).itemsize


def _model(entry: Entry) -> wire.Model:
    return wire.Model(
        url=entry.model.url,
        name=entry.name,
        handle=entry.name,
        input_tensor_metadatas=_metadata(entry.model.net.inputs),
        output_tensor_metadatas=_metadata(entry.model.net.outputs),
    )


def _metadata(specs: Iterable[TensorSpec]) -> list[wire.TensorMetadata]:
    return [
        wire.TensorMetadata(name=spec.name.encode(), data_type=wire_type_of(spec.dtype), shape=spec.shape)
        for spec in specs
    ]


def _capture(request: wire.CaptureDataRequest) -> CaptureRequest:
    _refuse_vast(request)
    at = None
    if request.HasField("inference_timestamp"):
        at = Moment(request.inference_timestamp.seconds, request.inference_timestamp.nanos)
    return CaptureRequest(
        model=request.model_handle or request.model_name,
        capture_id=request.capture_id,
        at=at,
        inputs=tuple(_captured(tensor) for tensor in request.input_tensors),
        outputs=tuple(_captured(tensor) for tensor in request.output_tensors),
        auxiliary_inputs=tuple(_auxiliary(item) for item in request.inputs),
        auxiliary_outputs=tuple(_auxiliary(item) for item in request.outputs),
    )


def _refuse_vast(request: wire.CaptureDataRequest) -> None:
    """A segment may be named any number of times, and is copied each time before the buffer's bound is looked at."""
    tensors = [
        tensor.tensor_metadata for tensor in (*request.input_tensors, *request.output_tensors) if _is_shared(tensor)
    ]
    items = [item.shared_memory_handle.size for item in (*request.inputs, *request.outputs) if _is_shared(item)]
    size = sum(map(_expected, tensors)) + sum(items)
    if size > MAX_MESSAGE_BYTES:
        raise BadRequestError(f"capture: {size} bytes in shared memory, at most {MAX_MESSAGE_BYTES} are taken at once")


def _captured(tensor: wire.Tensor) -> CapturedTensor:
    metadata, data = tensor.tensor_metadata, _data(tensor)
    if not tensor.HasField("tensor_metadata"):
        came = str(data) if isinstance(data, Segment) else f"{len(data)} bytes"
        raise BadRequestError(f"{came} without tensor_metadata: a captured tensor needs its name, data type and shape")
    shape, expected = _shape(metadata), _expected(metadata)
    if isinstance(data, Segment):
        data = data.read(expected)
    if len(data) != expected:
        raise BadRequestError(
            f"tensor {tensor_name(metadata)!r}: {len(data)} bytes, its data type and shape {list(shape)} take {expected}"
        )
    return CapturedTensor(tensor_name(metadata), wire.DataType.Name(metadata.data_type), shape, data)


def _auxiliary(item: wire.AuxiliaryData) -> AuxiliaryItem:
    if item.encoding not in wire.Encoding.values():
        raise BadRequestError(f"auxiliary data {item.name[:100]!r}: encoding {item.encoding} is unknown")
    data = _data(item)
    if isinstance(data, Segment):
        if data.size == 0:
            raise BadRequestError(f"auxiliary data {item.name[:100]!r}: in shared memory it needs its size")
        data = data.read(data.size)
    return AuxiliaryItem(item.name, Encoding(wire.Encoding.Name(item.encoding)), data)
