"""Topic `alerts`, from Inspector."""

from enum import StrEnum

import msgspec

from linewatch_common.messages.base import Count, Identifier, Message, Reason, UtcTime


class AlertKind(StrEnum):
    """What an alert is about."""

    DEFECTS_IN_A_ROW = "defects_in_a_row"
    DEFECT_RATE = "defect_rate"
    CAMERA_SILENT = "camera_silent"
    MODEL_MISSING = "model_missing"
    MODEL_ORPHANED = "model_orphaned"
    LATENCY_OVER_BUDGET = "latency_over_budget"
    DISK_LOW = "disk_low"
    FRAMES_MISSED = "frames_missed"
    LEDGER_FAILING = "ledger_failing"


class AlertState(StrEnum):
    """Whether the condition began or ended."""

    RAISED = "raised"
    CLEARED = "cleared"


class ActiveAlert(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that is on, as Inspector's heartbeat repeats it for those who came later."""

    kind: AlertKind
    detail: Reason
    since: UtcTime
    count: Count = 0


class Alert(Message, frozen=True, kw_only=True, tag="linewatch.Alert/1"):
    """A condition began or ended. `since` is when it began; `count` is its size (defects in a row, frames missed)."""

    station: Identifier
    kind: AlertKind
    state: AlertState
    detail: Reason
    since: UtcTime
    at: UtcTime
    count: Count = 0
