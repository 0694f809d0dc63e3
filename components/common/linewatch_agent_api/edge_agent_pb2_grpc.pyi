import grpc
from linewatch_agent_api import edge_agent_pb2

class EdgeAgentStub:
    DetectAnomalies: grpc.UnaryUnaryMultiCallable
    StartModel: grpc.UnaryUnaryMultiCallable
    StopModel: grpc.UnaryUnaryMultiCallable
    ListModels: grpc.UnaryUnaryMultiCallable
    DescribeModel: grpc.UnaryUnaryMultiCallable
    def __init__(self, channel: grpc.Channel) -> None: ...

class EdgeAgentServicer:
    def DetectAnomalies(
        self, request: edge_agent_pb2.DetectAnomaliesRequest, context: grpc.ServicerContext
    ) -> edge_agent_pb2.DetectAnomaliesResponse: ...
    def StartModel(
        self, request: edge_agent_pb2.StartModelRequest, context: grpc.ServicerContext
    ) -> edge_agent_pb2.StartModelResponse: ...
    def StopModel(
        self, request: edge_agent_pb2.StopModelRequest, context: grpc.ServicerContext
    ) -> edge_agent_pb2.StopModelResponse: ...
    def ListModels(
        self, request: edge_agent_pb2.ListModelsRequest, context: grpc.ServicerContext
    ) -> edge_agent_pb2.ListModelsResponse: ...
    def DescribeModel(
        self, request: edge_agent_pb2.DescribeModelRequest, context: grpc.ServicerContext
    ) -> edge_agent_pb2.DescribeModelResponse: ...

def add_EdgeAgentServicer_to_server(servicer: EdgeAgentServicer, server: grpc.Server) -> None: ...
