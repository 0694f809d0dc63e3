"""`AWS.LookoutVision.EdgeAgent` and the domain, translated into each other."""

# ruff: noqa: ARG002, N802 - gRPC fixes the methods' names and arguments

import grpc
from linewatch_agent_api import edge_agent_pb2 as wire
from linewatch_agent_api.edge_agent_pb2_grpc import EdgeAgentServicer

from linewatch_agent.answers import answered
from linewatch_agent.lookout.anomalies import Anomalies
from linewatch_agent.lookout.detector import Verdict
from linewatch_agent.lookout.models import LookoutModels, State
from linewatch_agent.lookout.pictures import Picture, SharedPlace, picture_of
from linewatch_agent.refusals import RefusalLog


class LookoutServicer(EdgeAgentServicer):
    """Each method: see edge_agent.proto."""

    def __init__(self, models: LookoutModels) -> None:
        self._models = models
        self.refusals = RefusalLog()

    @answered
    def DetectAnomalies(
        self, request: wire.DetectAnomaliesRequest, context: grpc.ServicerContext
    ) -> wire.DetectAnomaliesResponse:
        """See edge_agent.proto."""
        with self._models.running(request.model_component) as detector:
            verdict = detector.detect(_picture(request.bitmap))
        return wire.DetectAnomaliesResponse(detect_anomaly_result=_result(verdict, request.anomaly_mask_params))

    @answered
    def StartModel(self, request: wire.StartModelRequest, context: grpc.ServicerContext) -> wire.StartModelResponse:
        """See edge_agent.proto."""
        return wire.StartModelResponse(status=_status(self._models.start(request.model_component)))

    @answered
    def StopModel(self, request: wire.StopModelRequest, context: grpc.ServicerContext) -> wire.StopModelResponse:
        """See edge_agent.proto."""
        return wire.StopModelResponse(status=_status(self._models.stop(request.model_component)))

    @answered
    def ListModels(self, request: wire.ListModelsRequest, context: grpc.ServicerContext) -> wire.ListModelsResponse:
        """See edge_agent.proto."""
        models = [
            wire.ModelMetadata(model_component=model.name, status=_status(model.state), status_message=model.message)
            for model in self._models.all()
        ]
        return wire.ListModelsResponse(models=models)

    @answered
    def DescribeModel(
        self, request: wire.DescribeModelRequest, context: grpc.ServicerContext
    ) -> wire.DescribeModelResponse:
        """See edge_agent.proto."""
        model = self._models.describe(request.model_component)
        description = wire.ModelDescription(
            model_component=model.name, status=_status(model.state), status_message=model.message
        )
        return wire.DescribeModelResponse(model_description=description)


_STATUSES = {
    State.STOPPED: wire.STOPPED,
    State.STARTING: wire.STARTING,
    State.RUNNING: wire.RUNNING,
    State.FAILED: wire.FAILED,
    State.STOPPING: wire.STOPPING,
}


def _status(state: State) -> wire.ModelStatus:
    return _STATUSES[state]


def _picture(bitmap: wire.Bitmap) -> Picture:
    shared = bitmap.WhichOneof("data") == "shared_memory_handle"
    data = _place(bitmap.shared_memory_handle) if shared else bitmap.byte_data
    return picture_of(bitmap.width, bitmap.height, data)


def _place(handle: wire.SharedMemoryHandle) -> SharedPlace:
    return SharedPlace(handle.name, handle.size, handle.offset)


def _result(verdict: Verdict, asked: wire.AnomalyMaskParams) -> wire.DetectAnomalyResult:
    result = wire.DetectAnomalyResult(
        is_anomalous=verdict.is_anomalous,
        confidence=verdict.confidence,
        anomaly_score=verdict.score,
        anomaly_threshold=verdict.threshold,
    )
    if verdict.anomalies is not None:
        result.anomaly_mask.CopyFrom(_mask(verdict.anomalies, asked))
        result.anomalies.extend(
            wire.Anomaly(
                name=area.name, pixel_anomaly=wire.PixelAnomaly(total_percentage_area=area.share, hex_color=area.colour)
            )
            for area in verdict.anomalies.areas
        )
    return result


def _mask(anomalies: Anomalies, asked: wire.AnomalyMaskParams) -> wire.Bitmap:
    height, width, _ = anomalies.mask.shape
    data = anomalies.mask.tobytes()
    if not asked.HasField("shared_memory_handle"):
        return wire.Bitmap(width=width, height=height, byte_data=data)
    _place(asked.shared_memory_handle).write(data)
    return wire.Bitmap(width=width, height=height, shared_memory_handle=asked.shared_memory_handle)
