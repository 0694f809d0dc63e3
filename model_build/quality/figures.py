"""The figures of one data set, gathered from what the steps left."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
from linewatch_common.errors import InputError
from msgspec import Struct

from model_build.data.pixels import read_bounded
from model_build.evaluation.intervals import Interval
from model_build.evaluation.report import EVALUATION_FILE
from model_build.quality.latency import Comparison
from model_build.training.run import Run


class _Point(Struct, frozen=True):
    review: float
    fail: float
    statement: str


class _Outcome(Struct, frozen=True):
    defective: int
    good: int
    escapes: int
    escapes_interval: Interval
    false_rejects: int
    false_rejects_interval: Interval
    reviews: int


class _Precision(Struct, frozen=True):
    value: float


class _Pixel(Struct, frozen=True):
    ap: _Precision
    ap_interval: Interval | None
    iou: float


class Judged(Struct, frozen=True):
    """What is read of an evaluation.json."""

    image_ap: float
    image_ap_interval: Interval | None
    auroc: float
    point: _Point
    outcome: _Outcome
    oracle_escapes_at_1_false_reject: int
    pixel: _Pixel | None
    refusals: tuple[str, ...]


class Net(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One net over its seeds; lists hold one value a seed. Intervals are at 95 %; a mean's is the mean of the seeds' ends, which is no
    narrower than that of the mean. INT8 figures are OpenVINO's; a loss is float less INT8 on the test split, the mean over seeds.
    `model` is the net's name; empty in figures of before 2026-11-28.
    """

    model: str = ""
    seeds: list[int]
    trained_at: list[str]
    minutes: list[float]
    cpu_minutes: list[float]
    image_ap: list[float]
    image_ap_mean: float
    image_ap_interval: Interval | None
    auroc: list[float]
    oracle_escapes_at_1_false_reject: list[int]
    defective: int
    good: int
    escapes: list[int]
    escapes_intervals: list[Interval]
    false_rejects: list[int]
    false_rejects_intervals: list[Interval]
    reviews: list[int]
    targets: list[str]
    refusals: list[list[str]]
    pixel_ap: list[float] = []
    pixel_ap_mean: float | None = None
    pixel_ap_interval: Interval | None = None
    iou: list[float] = []
    int8_image_ap: list[float] = []
    int8_image_ap_loss: float | None = None
    int8_image_ap_loss_worst: float | None = None
    int8_pixel_ap: list[float] = []
    int8_pixel_ap_loss: float | None = None
    int8_pixel_ap_loss_worst: float | None = None
    int8_oracle_escapes_at_1_false_reject: list[int] = []
    int8_ms: float | None = None
    int8_ms_over_reference_pair: float | None = None
    int8_ms_over_reference_pair_interval: Interval | None = None


def read_judged(folder: Path) -> Judged:
    """Raises InputError."""
    path = folder / EVALUATION_FILE
    try:
        return msgspec.json.decode(read_bounded(path), type=Judged)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from error


def net_of(runs: Sequence[Run], judged: Sequence[Judged], fast: Sequence[Judged], latency: Comparison | None) -> Net:
    """One net's figures; `fast` of its INT8 form, one a seed or none; `latency` when the net is ours."""
    pixels = [found.pixel for found in judged if found.pixel is not None]
    fast_pixels = [found.pixel for found in fast if found.pixel is not None]
    image, pixel = [found.image_ap for found in judged], [found.ap.value for found in pixels]
    small, small_pixel = [found.image_ap for found in fast], [found.ap.value for found in fast_pixels]
    return Net(
        model=runs[0].model,
        seeds=[run.seed for run in runs],
        trained_at=[run.times.ended for run in runs],
        minutes=[round(run.times.seconds / 60, 1) for run in runs],
        cpu_minutes=[round(run.times.cpu_seconds / 60, 1) for run in runs],
        image_ap=_rounded(image),
        image_ap_mean=_mean(image) or 0.0,
        image_ap_interval=_joined([found.image_ap_interval for found in judged]),
        auroc=_rounded([found.auroc for found in judged]),
        oracle_escapes_at_1_false_reject=[found.oracle_escapes_at_1_false_reject for found in judged],
        defective=judged[0].outcome.defective,
        good=judged[0].outcome.good,
        escapes=[found.outcome.escapes for found in judged],
        escapes_intervals=[found.outcome.escapes_interval for found in judged],
        false_rejects=[found.outcome.false_rejects for found in judged],
        false_rejects_intervals=[found.outcome.false_rejects_interval for found in judged],
        reviews=[found.outcome.reviews for found in judged],
        targets=[found.point.statement for found in judged],
        refusals=[list(found.refusals) for found in judged],
        pixel_ap=_rounded(pixel),
        pixel_ap_mean=_mean(pixel),
        pixel_ap_interval=_joined([found.ap_interval for found in pixels]),
        iou=_rounded([found.iou for found in pixels]),
        int8_image_ap=_rounded(small),
        int8_image_ap_loss=_mean(_losses(image, small)),
        int8_image_ap_loss_worst=max(_losses(image, small), default=None),
        int8_pixel_ap=_rounded(small_pixel),
        int8_pixel_ap_loss=_mean(_losses(pixel, small_pixel)),
        int8_pixel_ap_loss_worst=max(_losses(pixel, small_pixel), default=None),
        int8_oracle_escapes_at_1_false_reject=[found.oracle_escapes_at_1_false_reject for found in fast],
        int8_ms=latency.models["ours"].p50 if latency else None,
        int8_ms_over_reference_pair=latency.ratio if latency else None,
        int8_ms_over_reference_pair_interval=latency.ratio_interval if latency else None,
    )


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, 4) for value in values]


def _mean(values: Sequence[float]) -> float | None:
    return round(sum(values) / len(values), 4) if values else None


def _losses(full: Sequence[float], small: Sequence[float]) -> list[float]:
    """Float less INT8, a value a seed; nothing where a seed has no INT8 form."""
    if len(small) != len(full):
        return []
    return [round(before - after, 4) for before, after in zip(full, small, strict=True)]


def _joined(intervals: Sequence[Interval | None]) -> Interval | None:
    known = [interval for interval in intervals if interval is not None]
    if not known:
        return None
    low, high = (_mean([interval[end] for interval in known]) or 0.0 for end in (0, 1))
    return low, high
