"""Topic `linewatch/fleet/{thing}/health` on AWS IoT Core, from Inspector: what the gates of a staged deployment read."""

from typing import Annotated

import msgspec

from linewatch_common.messages.base import Count, Identifier, Message, Reason, UtcTime
from linewatch_common.messages.status import ComponentState
from linewatch_common.messages.verdicts import ModelUse

HEALTH_SECONDS = 60.0
MAX_HEALTH_BYTES = 4_096
# Upper bounds of the latency histogram; a last bin holds what is above them all.
LATENCY_BOUNDS_MS = (5, 10, 15, 20, 30, 40, 60, 80, 100, 150, 250, 500, 1000)
SCORE_BINS = 20  # of equal width over 0 to 1


class ComponentHealth(msgspec.Struct, frozen=True, kw_only=True):
    """A component that is heard: its component version, and what it says of itself."""

    version: str
    state: ComponentState


class ModelWait(msgspec.Struct, frozen=True, kw_only=True):
    """A proved model that waits for the device's maintenance window, which opens at `until`."""

    role: str
    identifier: Identifier
    until: UtcTime


class FleetHealth(Message, frozen=True, kw_only=True, tag="linewatch.FleetHealth/1"):
    """How a device does: its versions, and what its models found since `since`.

    All counts begin anew, and `since` with them, when Inspector starts and when the models in use change; so a report whose `since` is
    after a deployment tells of the new models alone, and the newest report holds all that lost ones said.
    """

    thing: Identifier
    station: Identifier
    at: UtcTime
    since: UtcTime
    sequence: Count  # of the reports since Inspector's start: a hole is a lost report
    components: Annotated[dict[str, ComponentHealth], msgspec.Meta(max_length=12)]  # by name, of those that are heard
    models: Annotated[list[ModelUse], msgspec.Meta(max_length=4)] = []  # in use now
    waiting: Annotated[list[ModelWait], msgspec.Meta(max_length=3)] = []
    outcomes: dict[str, int] = {}  # messages.verdicts.Outcome to parts
    latency_ms: list[int] = []  # capture to publication: parts up to each of LATENCY_BOUNDS_MS, then those above
    scores: list[int] = []  # parts in each of SCORE_BINS
    # Labelled parts of the random draw: `passed`, of them `escapes` are defective; `failed`, of them `false_rejects` are good.
    labels: dict[str, int] = {}
    alerts: Annotated[list[str], msgspec.Meta(max_length=16)] = []  # kinds of the alerts that are on
    reason: Reason = ""  # why Inspector is not ready, when it is not
