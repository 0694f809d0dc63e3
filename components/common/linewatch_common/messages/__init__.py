"""The messages on the local bus, one module a topic; import them from here."""

from linewatch_common.messages.alerts import Alert
from linewatch_common.messages.base import MAX_MESSAGE_BYTES, Message, decode, encode, schema_of
from linewatch_common.messages.commands import (
    Command,
    CommandResult,
    LabelVerdict,
    PauseCapture,
    ResumeCapture,
    SetPartId,
    TriggerCapture,
)
from linewatch_common.messages.fleet import ComponentHealth, FleetHealth
from linewatch_common.messages.frames import FrameCaptured, FrameFailed, FrameMessage
from linewatch_common.messages.models import (
    ModelActivated,
    ModelMessage,
    ModelOffered,
    ModelProved,
    ModelRefused,
    ModelRetired,
    ModelWaiting,
)
from linewatch_common.messages.status import (
    AgentStatus,
    CameraStatus,
    Heartbeat,
    InspectorStatus,
    ModelStatus,
    RoleStatus,
    WaitingModel,
)
from linewatch_common.messages.verdicts import Defect, InspectionStored, ModelUse, Outcome, Verdict, VerdictMessage

__all__ = [
    "MAX_MESSAGE_BYTES",
    "AgentStatus",
    "Alert",
    "CameraStatus",
    "Command",
    "CommandResult",
    "ComponentHealth",
    "Defect",
    "FleetHealth",
    "FrameCaptured",
    "FrameFailed",
    "FrameMessage",
    "Heartbeat",
    "InspectionStored",
    "InspectorStatus",
    "LabelVerdict",
    "Message",
    "ModelActivated",
    "ModelMessage",
    "ModelOffered",
    "ModelProved",
    "ModelRefused",
    "ModelRetired",
    "ModelStatus",
    "ModelUse",
    "ModelWaiting",
    "Outcome",
    "PauseCapture",
    "ResumeCapture",
    "RoleStatus",
    "SetPartId",
    "TriggerCapture",
    "Verdict",
    "VerdictMessage",
    "WaitingModel",
    "decode",
    "encode",
    "schema_of",
]
