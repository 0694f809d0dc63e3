"""Topic `verdicts`, from Inspector: the integrator's topic."""

from enum import StrEnum
from typing import Annotated

import msgspec

from linewatch_common.messages.base import Count, Identifier, Message, PartId, Reason, Score, UtcTime

MAX_DEFECTS = 32


class Outcome(StrEnum):
    """How a trigger ended; each ends as exactly one of these."""

    PASS = "pass"  # noqa: S105 - an outcome, not a secret
    FAIL = "fail"
    REVIEW = "review"  # between the thresholds: a person decides
    LATE = "late"  # judged, but after the deadline; outputs did not fire
    MISSED = "missed"  # nobody could judge it in time (overwritten, agent or inspector away)
    ERROR = "error"  # no picture, or the picture cannot be judged


class Defect(msgspec.Struct, frozen=True, kw_only=True):
    """One connected defect region.

    `box` is x, y, width, height in pixels of the frame; `area_px` counts pixels of the frame.
    """

    defect_class: str = msgspec.field(name="class")
    box: tuple[int, int, int, int]
    area_px: Count
    score: Score


class ModelUse(msgspec.Struct, frozen=True, kw_only=True):
    """A model that took part in a verdict."""

    role: str
    identifier: Identifier
    version: str


class Verdict(Message, frozen=True, kw_only=True, tag="linewatch.Verdict/1"):
    """What became of one frame. `timings_ms` holds a stage each and `total`, capture to decision, in milliseconds."""

    inspection_id: Identifier
    frame_id: Identifier
    station: Identifier
    outcome: Outcome
    captured_at: UtcTime
    published_at: UtcTime
    part_id: PartId | None = None
    judged: Outcome | None = None  # what a `late` verdict would have been
    score: Score | None = None
    threshold: Score | None = None
    defects: Annotated[list[Defect], msgspec.Meta(max_length=MAX_DEFECTS)] = []
    defects_total: Count = 0
    models: list[ModelUse] = []
    timings_ms: dict[str, float] = {}
    reason: Reason = ""
    replayed: bool = False  # published by a restarted Inspector from its journal


class InspectionStored(Message, frozen=True, kw_only=True, tag="linewatch.InspectionStored/1"):
    """Picture, mask and verdict of an inspection lie in one file at `path`."""

    inspection_id: Identifier
    frame_id: Identifier
    path: str
    size_bytes: Count


VerdictMessage = Verdict | InspectionStored
