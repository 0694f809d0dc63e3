"""How a frame ended: its verdict, and what is needed to store it. The only maker of verdicts."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from linewatch_common.clock import utc_now
from linewatch_common.errors import MessageError
from linewatch_common.messages import Defect, ModelUse, Outcome, Verdict, encode
from linewatch_vision.preparation import Transform
from numpy.typing import NDArray

from linewatch_inspector.frames import Frame

MAX_REASON = 300
JUDGED = (Outcome.PASS, Outcome.FAIL, Outcome.REVIEW)


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The frame's pixels: uint8 (H, W) for Mono8, (H, W, 3) for BGR8 and RGB8."""

    pixels: NDArray[Any]
    pixel_format: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What the models found. `mask` is the segmenter's output (1, C, H, W), None where it did not run."""

    score: float
    threshold: float
    defects: Sequence[Defect] = ()
    defects_total: int = 0
    models: Sequence[ModelUse] = ()
    mask: NDArray[Any] | None = None
    transform: Transform | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A frame with its verdict. `monotonic_ns` is the capture, None where it is not known.

    `picture_given_up`: there was a picture, which could not be kept until the verdict was out.
    """

    verdict: Verdict
    monotonic_ns: int | None
    picture: Picture | None = None
    picture_given_up: bool = False
    findings: Findings | None = None

    @property
    def had_picture(self) -> bool:
        """Whether there was a picture, kept until now or not."""
        return self.picture is not None or self.picture_given_up


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """The outcome, and why."""

    outcome: Outcome
    reason: str
    timings_ms: dict[str, float] = field(default_factory=dict)


def ended(frame: Frame, ending: Ending, *, picture: Picture | None = None, findings: Findings | None = None) -> Ended:
    """The end of a frame. Where its capture's time is lost with it, `captured_at` is the time of the verdict."""
    now = utc_now()
    verdict = Verdict(
        inspection_id=frame.frame_id,
        frame_id=frame.frame_id,
        station=frame.station,
        outcome=ending.outcome,
        captured_at=frame.captured_at or now,
        published_at=now,
        part_id=frame.part_id,
        score=None if findings is None else findings.score,
        threshold=None if findings is None else findings.threshold,
        defects=[] if findings is None else list(findings.defects),
        defects_total=0 if findings is None else findings.defects_total,
        models=[] if findings is None else list(findings.models),
        timings_ms=ending.timings_ms,
        reason=ending.reason[:MAX_REASON],
    )
    return Ended(verdict=verdict, monotonic_ns=frame.monotonic_ns, picture=picture, findings=findings)


def in_time(verdict: Verdict, monotonic_ns: int | None, deadline_ms: int) -> Verdict:
    """The verdict, as `late` (with what it would have been in `judged`) when the deadline is over. Only judged ones can be late."""
    if verdict.outcome not in JUDGED or monotonic_ns is None:
        return verdict
    age_ms = (time.monotonic_ns() - monotonic_ns) / 1e6
    return as_late(verdict, f"{age_ms:.0f} ms after capture") if age_ms > deadline_ms else verdict


def as_late(verdict: Verdict, why: str) -> Verdict:
    """The verdict of a judged frame as `late`."""
    reason = f"late, {why}: {verdict.reason}"[:MAX_REASON]
    return msgspec.structs.replace(verdict, outcome=Outcome.LATE, judged=verdict.outcome, reason=reason)


def encoded(verdict: Verdict) -> tuple[Verdict, bytes]:
    """The verdict as bytes that fit into a message; long ones lose their smallest defects, which `defects_total` still counts."""
    while True:
        try:
            return verdict, encode(verdict)
        except MessageError:
            if not verdict.defects:
                raise
            verdict = msgspec.structs.replace(verdict, defects=verdict.defects[: len(verdict.defects) * 3 // 4])
