"""Captured data: from a client's request over a durable spool to JSON lines on disk or in S3."""

from linewatch_agent.captures.intake import Captures, CaptureSettings
from linewatch_agent.captures.request import (
    AuxiliaryItem,
    CapturedTensor,
    CaptureRequest,
    CaptureState,
    Encoding,
)

__all__ = [
    "AuxiliaryItem",
    "CaptureRequest",
    "CaptureSettings",
    "CaptureState",
    "CapturedTensor",
    "Captures",
    "Encoding",
]
