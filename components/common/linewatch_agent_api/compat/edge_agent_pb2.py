"""The messages under the module name that programs for Lookout for Vision's edge agent import."""

from linewatch_agent_api.edge_agent_pb2 import *
