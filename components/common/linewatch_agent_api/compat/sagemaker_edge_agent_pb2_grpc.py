"""The stub and the servicer under the module name that programs for the original agent import."""

from linewatch_agent_api.agent_pb2_grpc import *
