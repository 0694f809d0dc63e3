"""Topic `status`: every component's heartbeat.

Publish/subscribe keeps nothing, so a heartbeat carries the state that others need to begin or to go on.
"""

from enum import StrEnum

import msgspec

from linewatch_common.messages.alerts import ActiveAlert
from linewatch_common.messages.base import Count, Identifier, Message, Reason, UtcTime
from linewatch_common.messages.models import Digest

HEARTBEAT_SECONDS = 2.0
# Three beats: one may be lost in a restart of the core, two may not.
HEARTBEAT_LOST_SECONDS = 3 * HEARTBEAT_SECONDS


class ComponentState(StrEnum):
    """What a component can do at the moment."""

    STARTING = "starting"
    READY = "ready"
    DEGRADED = "degraded"  # works, but something it needs is away; `reason` says what
    STOPPING = "stopping"


class RoleStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The model that the agent serves for one role; `folder` is the agent's own verified copy of the package."""

    identifier: Identifier
    version: str
    folder: str
    manifest_digest: Digest


class WaitingModel(msgspec.Struct, frozen=True, kw_only=True):
    """A proved model that takes its role over in the device's maintenance window, which opens at `until`.

    `due`: the window is open, its component offers it now.
    """

    identifier: Identifier
    version: str
    manifest_digest: Digest
    until: UtcTime
    due: bool = False


class EdgeMetric(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """A figure of the agent or of a model; `dimension` says of which."""

    dimension: str
    metric_name: str
    value: float
    timestamp: UtcTime


class EdgeModel(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """A loaded model: name and version as its package states them, when it was captured from and predicted last."""

    model_name: str
    model_version: str = ""
    latest_sample_time: UtcTime | None = None
    latest_inference: UtcTime | None = None
    model_metrics: list[EdgeMetric] = []


class EdgeHeartbeat(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """What SageMaker Edge Manager's SendHeartbeat told, under its names; `models_omitted` did not fit into the message."""

    agent_version: str
    device_name: str
    device_fleet_name: str
    agent_metrics: list[EdgeMetric] = []
    models: list[EdgeModel] = []
    models_omitted: Count = 0


class AgentStatus(msgspec.Struct, frozen=True, kw_only=True):
    """EdgeAgent: where it listens, which start this is, what it serves and what waits (role to model), and the original's heartbeat."""

    endpoint: str
    boot_id: str
    roles: dict[str, RoleStatus]
    orphaned: list[Identifier] = []  # active since a restart without an offer for 30 minutes
    waiting: dict[str, WaitingModel] = {}
    edge: EdgeHeartbeat | None = None


class InspectorStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Inspector: the identifiers it uses, whether it can judge, where it writes, and the alerts that are on.

    `outcomes` counts since the ledger began.
    """

    ready: bool
    in_use: list[Identifier]
    ledger: str
    store: str
    outcomes: dict[str, int]
    judged_sequence: int
    judged_epoch: int
    alerts: list[ActiveAlert] = []


class CameraStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Camera: its ring, how far it is, and whether its source has ended."""

    ring: str
    epoch: Count
    sequence: Count
    source: str
    paused: bool = False
    ended: bool = False


class ModelStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A model component: what it offers, and whether the agent serves it."""

    identifier: Identifier
    role: str
    active: bool


class Heartbeat(Message, frozen=True, kw_only=True, tag="linewatch.Heartbeat/1"):
    """A component lives. Counters only grow while the process lives; `started_at` tells when they began."""

    component: Identifier
    station: Identifier
    version: str
    state: ComponentState
    at: UtcTime
    started_at: UtcTime
    uid: Count
    reason: Reason = ""
    counters: dict[str, int] = {}
    agent: AgentStatus | None = None
    inspector: InspectorStatus | None = None
    camera: CameraStatus | None = None
    model: ModelStatus | None = None
