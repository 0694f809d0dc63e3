"""The inspection of one frame: read the slot, prepare, ask the models, decide. Publishes and stores nothing."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from linewatch_common.clock import utc_text
from linewatch_common.errors import AgentUnavailableError, InputError, UnavailableError
from linewatch_common.messages import Defect, Outcome
from linewatch_common.messages.verdicts import MAX_DEFECTS
from linewatch_common.ring import CHANNELS, FrameOverwritten, RingFrame, RingReader
from linewatch_vision.masks import read_mask
from linewatch_vision.preparation import Prepared
from linewatch_vision.tiling import prepare_all, stitched
from numpy.typing import NDArray

from linewatch_inspector.decision import Decision, SegmentWhen, decide, needs_segmenter
from linewatch_inspector.ended import Ended, Ending, Findings, Picture, ended
from linewatch_inspector.frames import Frame
from linewatch_inspector.plan import Plan, RoleModel
from linewatch_inspector.predictor import Predictor
from linewatch_inspector.stages import Stages

# An agent restarts within seconds and a model is switched within milliseconds: short enough to lose no time, long enough to cost none.
RETRY_SECONDS = 0.01
# A prediction that begins close to the deadline still gets the chance to end as `late` instead of `missed`.
LEAST_PREDICT_SECONDS = 0.05
# A score beyond 0..1 by more than rounding means that the output is not what the manifest says.
SCORE_SLACK = 1e-3

Answer = Mapping[str, NDArray[Any]]  # a model's outputs by name


class StoppedError(Exception):
    """The process stops while a frame waits; it is not ended and is found again after the start."""


class _MissedError(Exception):
    """Nobody could judge the frame within the deadline."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the configuration says about judging."""

    deadline_ms: int
    segment_when: SegmentWhen = "not-pass"


class Judge:
    """Used by the inspection thread alone."""

    def __init__(
        self,
        rules: Rules,
        *,
        ring: RingReader,
        plan: Callable[[], Plan | None],
        predictor: Predictor,
        stopping: threading.Event,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._rules = rules
        self._ring = ring
        self._plan = plan
        self._predictor = predictor
        self._stopping = stopping
        self._clock = clock

    def inspect(self, frame: Frame) -> Ended:
        """The frame's end. Raises StoppedError only."""
        stages = Stages(self._past(frame.monotonic_ns), self._clock)
        stages.mark("wait")
        if frame.lost is not None:
            return ended(frame, Ending(outcome=Outcome.MISSED, reason=frame.lost))
        picture = None
        try:
            slot = self._slot(frame, stages)
            frame = _stamped(frame, slot)
            picture = self._usable(slot, stages)
            findings, decision = self._judged(picture, stages)
        except _MissedError as error:
            return self._without_verdict(Outcome.MISSED, error, frame, stages)
        except InputError as error:
            return self._without_verdict(Outcome.ERROR, error, frame, stages, picture)
        stages.mark("decide")
        ending = Ending(outcome=decision.outcome, reason=decision.reason, timings_ms=stages.milliseconds())
        return ended(frame, ending, picture=picture, findings=findings)

    def _without_verdict(
        self, outcome: Outcome, error: Exception, frame: Frame, stages: Stages, picture: Picture | None = None
    ) -> Ended:
        stages.mark("decide")
        return ended(
            frame, Ending(outcome=outcome, reason=str(error), timings_ms=stages.milliseconds()), picture=picture
        )

    def _past(self, captured_ns: int | None) -> int:
        """A capture's time; now for one that is unknown or lies ahead, which would put off the deadline."""
        now = self._clock()
        return now if captured_ns is None else min(captured_ns, now)

    def _slot(self, frame: Frame, stages: Stages) -> RingFrame:
        """The frame's slot, copied out of the ring."""
        if frame.failure is not None:
            raise InputError(frame.failure)
        if frame.monotonic_ns is not None:
            self._check_young(stages)
        try:
            slot: RingFrame = self._until_deadline(stages, lambda: self._ring.read(frame.sequence, epoch=frame.epoch))
        except FrameOverwritten as error:
            raise _MissedError("overwritten in the ring before it was judged") from error
        stages.captured_at(self._past(slot.monotonic_ns))
        stages.mark("map")
        return slot

    def _usable(self, slot: RingFrame, stages: Stages) -> Picture:
        if slot.failed:
            raise InputError(slot.reason or "the camera gave no picture")
        self._check_young(stages)
        return _picture(slot)

    def _check_young(self, stages: Stages) -> None:
        age_ms = stages.age_ns / 1e6
        if age_ms > self._rules.deadline_ms:
            raise _MissedError(f"waited {age_ms:.0f} ms, over the deadline of {self._rules.deadline_ms} ms")

    def _judged(self, picture: Picture, stages: Stages) -> tuple[Findings, Decision]:
        judged: tuple[Findings, Decision] = self._until_deadline(stages, lambda: self._judge_once(picture, stages))
        return judged

    def _until_deadline(self, stages: Stages, step: Callable[[], Any]) -> Any:
        """What `step` returns; repeated while something is away, until the deadline. Raises _MissedError, StoppedError, InputError."""
        while True:
            try:
                return step()
            except UnavailableError as error:
                if self._seconds_left(stages) <= 0:
                    raise _MissedError(f"not judged within {self._rules.deadline_ms} ms: {error}") from error
            if self._stopping.wait(RETRY_SECONDS):
                raise StoppedError
            stages.mark("retry")

    def _seconds_left(self, stages: Stages) -> float:
        return self._rules.deadline_ms / 1e3 - stages.age_ns / 1e9

    def _judge_once(self, picture: Picture, stages: Stages) -> tuple[Findings, Decision]:
        """One attempt with one plan. Raises UnavailableError, InputError."""
        plan = self._plan()
        if plan is None:
            raise AgentUnavailableError("a model is missing: a role is not served")
        tiles = prepare_all(picture.pixels, picture.pixel_format, plan.classifier.manifest.preparation)
        stages.mark("prepare")
        answers = self._ask(plan, plan.classifier, tiles, stages)
        score = max(_score(answer, plan.classifier) for answer in answers)
        stages.mark("classify")
        findings = Findings(score=score, threshold=plan.score.fail, models=(plan.classifier.use,))
        if not needs_segmenter(self._rules.segment_when, score, plan.score):
            return findings, decide(score, plan.score, None)
        if not plan.one:
            tiles, answers = self._segment(plan, picture, tiles, stages)
            findings = replace(findings, models=(*findings.models, plan.segmenter.use))
        findings = _located(plan, tiles, answers, findings)
        return findings, decide(score, plan.score, findings.defects_total)

    def _segment(
        self, plan: Plan, picture: Picture, tiles: tuple[Prepared, ...], stages: Stages
    ) -> tuple[tuple[Prepared, ...], list[Answer]]:
        """What the segmenter saw and said; it sees what the classifier saw where both want the same."""
        preparation = plan.segmenter.manifest.preparation
        if preparation != plan.classifier.manifest.preparation:
            tiles = prepare_all(picture.pixels, picture.pixel_format, preparation)
        stages.mark("prepare")
        answers = self._ask(plan, plan.segmenter, tiles, stages)
        stages.mark("segment")
        return tiles, answers

    def _ask(self, plan: Plan, model: RoleModel, tiles: tuple[Prepared, ...], stages: Stages) -> list[Answer]:
        """The model's answer to each tile."""
        return [self._ask_one(plan, model, tile, stages) for tile in tiles]

    def _ask_one(self, plan: Plan, model: RoleModel, prepared: Prepared, stages: Stages) -> Answer:
        seconds = max(LEAST_PREDICT_SECONDS, self._seconds_left(stages))
        inputs = {model.manifest.inputs[0].name: prepared.tensor}
        return self._predictor.predict(plan.endpoint, model.identifier, inputs, seconds)


def _located(plan: Plan, tiles: tuple[Prepared, ...], answers: list[Answer], findings: Findings) -> Findings:
    """The defects in the segmenter's mask, of all tiles together."""
    model, manifest = plan.segmenter, plan.segmenter.manifest
    masks = [_output(answer, model, manifest.output("mask").name) for answer in answers]
    mask, transform = stitched(masks, [tile.transform for tile in tiles])
    reading = read_mask(
        mask,
        labels=manifest.labels,
        thresholds=plan.mask,
        transform=transform,
        limit=MAX_DEFECTS,
        ignored=model.ignored,
    )
    defects = [
        Defect(
            defect_class=found.label,
            box=(found.box.x, found.box.y, found.box.width, found.box.height),
            area_px=found.area,
            score=min(max(found.score, 0.0), 1.0),
        )
        for found in reading.defects
    ]
    return replace(
        findings,
        defects=defects,
        defects_total=reading.total,
        mask=mask,
        transform=transform,
    )


def _stamped(frame: Frame, slot: RingFrame) -> Frame:
    return replace(frame, monotonic_ns=slot.monotonic_ns, captured_at=utc_text(slot.wall_ns), part_id=slot.part_id)


def _output(outputs: Mapping[str, NDArray[Any]], model: RoleModel, name: str) -> NDArray[Any]:
    found = outputs.get(name)
    if found is None:
        raise InputError(f"{model.identifier}: the agent's answer lacks the output {name!r}")
    return found


def _score(outputs: Mapping[str, NDArray[Any]], model: RoleModel) -> float:
    scores = _output(outputs, model, model.manifest.output("scores").name)
    if scores.size != 1:
        raise InputError(f"{model.identifier}: expected one score, got the shape {scores.shape}")
    score = float(scores.reshape(-1)[0])
    if not -SCORE_SLACK <= score <= 1 + SCORE_SLACK:  # also false for a NaN
        raise InputError(f"{model.identifier}: the score {score} is not a probability")
    # Rounded before it is compared: what the ledger shows is what decided.
    return round(min(max(score, 0.0), 1.0), 6)


def _picture(slot: RingFrame) -> Picture:
    channels = CHANNELS[slot.pixel_format]
    rows = np.frombuffer(slot.pixels, dtype=np.uint8).reshape(slot.height, slot.stride)[:, : slot.width * channels]
    shape = (slot.height, slot.width) if channels == 1 else (slot.height, slot.width, channels)
    return Picture(pixels=rows.reshape(shape), pixel_format=slot.pixel_format)
