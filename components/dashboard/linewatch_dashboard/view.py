"""What the page is told in a state message: plain values, ready to show."""

import msgspec
from linewatch_common.messages.alerts import ActiveAlert


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """One light of the health strip. `state` is a ComponentState's value, `silent` (heartbeats stopped) or `absent` (none heard yet)."""

    key: str
    title: str
    state: str
    reason: str = ""
    version: str = ""
    age_ms: float | None = None


class LoadedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model: whether the agent serves it for its role, whether Inspector judges with it, and who takes over when (UTC text)."""

    role: str
    name: str
    version: str
    identifier: str
    served: bool
    in_use: bool
    successor: str = ""
    successor_from: str = ""


class ModelEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The last thing that happened to a model, in words; `bad` when somebody should look."""

    text: str
    bad: bool
    age_ms: float


class Reject(msgspec.Struct, frozen=True, kw_only=True):
    """A part that was not found good, for the strip of the last rejects.

    `stored` tells whether its picture can be asked for; `defect_class` and `box` (x, y, width, height in pixels) are the first defect's.
    """

    frame_id: str
    part_id: str | None
    outcome: str
    judged: str | None
    score: float | None
    reason: str
    defect_class: str | None
    box: tuple[int, int, int, int] | None
    captured_at: str
    stored: bool


class Counters(msgspec.Struct, frozen=True, kw_only=True):
    """Outcomes since the ledger began. `yield_percent` is pass of all that were judged, or None when nothing was."""

    outcomes: dict[str, int]
    total: int
    missed: int
    yield_percent: float | None


class Feed(msgspec.Struct, frozen=True, kw_only=True):
    """How the page itself does."""

    viewers: int
    skipped: int
    messages_dropped: int


class StateMessage(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="state"):
    """Everything but the picture. `server_ms` as in InspectionHeader; `age_ms` is the time since the last verdict, None without one.

    `sequence` is the newest inspection on show, so that a viewer that is behind can tell.
    """

    station: str
    at: str
    server_ms: float
    stale_after_ms: float
    age_ms: float | None
    sequence: int
    paused: bool
    ended: bool
    source: str
    health: list[Health]
    models: list[LoadedModel]
    model_event: ModelEvent | None
    alerts: list[ActiveAlert]
    rejects: list[Reject]
    counters: Counters
    feed: Feed
