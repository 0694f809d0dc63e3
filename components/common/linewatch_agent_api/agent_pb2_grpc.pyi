import grpc
from linewatch_agent_api import agent_pb2

class AgentStub:
    Predict: grpc.UnaryUnaryMultiCallable
    LoadModel: grpc.UnaryUnaryMultiCallable
    UnLoadModel: grpc.UnaryUnaryMultiCallable
    ListModels: grpc.UnaryUnaryMultiCallable
    DescribeModel: grpc.UnaryUnaryMultiCallable
    CaptureData: grpc.UnaryUnaryMultiCallable
    GetCaptureDataStatus: grpc.UnaryUnaryMultiCallable
    def __init__(self, channel: grpc.Channel) -> None: ...

class AgentServicer:
    def Predict(
        self, request: agent_pb2.PredictRequest, context: grpc.ServicerContext
    ) -> agent_pb2.PredictResponse: ...
    def LoadModel(
        self, request: agent_pb2.LoadModelRequest, context: grpc.ServicerContext
    ) -> agent_pb2.LoadModelResponse: ...
    def UnLoadModel(
        self, request: agent_pb2.UnLoadModelRequest, context: grpc.ServicerContext
    ) -> agent_pb2.UnLoadModelResponse: ...
    def ListModels(
        self, request: agent_pb2.ListModelsRequest, context: grpc.ServicerContext
    ) -> agent_pb2.ListModelsResponse: ...
    def DescribeModel(
        self, request: agent_pb2.DescribeModelRequest, context: grpc.ServicerContext
    ) -> agent_pb2.DescribeModelResponse: ...
    def CaptureData(
        self, request: agent_pb2.CaptureDataRequest, context: grpc.ServicerContext
    ) -> agent_pb2.CaptureDataResponse: ...
    def GetCaptureDataStatus(
        self, request: agent_pb2.GetCaptureDataStatusRequest, context: grpc.ServicerContext
    ) -> agent_pb2.GetCaptureDataStatusResponse: ...

def add_AgentServicer_to_server(servicer: AgentServicer, server: grpc.Server) -> None: ...
