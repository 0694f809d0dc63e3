"""The messages under the module name that programs for the original agent import."""

from linewatch_agent_api.agent_pb2 import *  # every message, enum and value
from linewatch_agent_api.agent_pb2 import AuxiliaryData as AuxilaryData  # how the first two generations spell it
