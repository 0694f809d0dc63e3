"""Captured data: from a client's request to JSON lines on disk."""

from linewatch_agent.captures.request import (
    AuxiliaryItem,
    CapturedTensor,
    CaptureRequest,
    CaptureState,
    Encoding,
)
from linewatch_agent.captures.spool import Captures, CaptureSettings

__all__ = [
    "AuxiliaryItem",
    "CaptureRequest",
    "CaptureSettings",
    "CaptureState",
    "CapturedTensor",
    "Captures",
    "Encoding",
]
