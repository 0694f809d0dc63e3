"""Figures of quality and operating points."""

import numpy as np
import pytest
from linewatch_common.manifest import MaskThresholds

from model_build.evaluation.scores import auroc, average_precision, histogram_average_precision
from model_build.samples.operating_point import (
    found_defects,
    mask_metrics,
    mask_thresholds,
    score_metrics,
    score_thresholds,
)

LABELS = np.array([True, False, True, False])


def test_a_perfect_ranking_scores_one() -> None:
    values = np.array([0.9, 0.1, 0.8, 0.2])
    assert average_precision(LABELS, values) == 1.0
    assert auroc(LABELS, values) == 1.0


def test_a_known_ranking_scores_as_worked_out_by_hand() -> None:
    values = np.array([0.9, 0.8, 0.7, 0.1])  # good ones at ranks 2 and 4
    assert average_precision(LABELS, values) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert auroc(LABELS, values) == pytest.approx(0.75)


def test_a_model_that_always_says_the_same_is_worth_nothing() -> None:
    values = np.full(4, 0.3)
    assert average_precision(LABELS, values) == 0.5
    assert auroc(LABELS, values) == 0.5
    assert average_precision(np.zeros(4, np.bool_), values) == 0.0
    assert auroc(np.ones(4, np.bool_), values) == 0.0


def test_the_histogram_gives_the_same_average_precision() -> None:
    rng = np.random.default_rng(1)
    values, labels = rng.integers(0, 256, 5000), rng.random(5000) < 0.1
    counts = np.bincount(values[labels], minlength=256), np.bincount(values[~labels], minlength=256)
    assert histogram_average_precision(*counts) == pytest.approx(average_precision(labels, values.astype(np.float64)))


def spread(low: float, high: float, count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.linspace(low, high, count)


def test_separated_scores_give_a_narrow_review_band_below_the_defects() -> None:
    labels = np.array([False] * 1000 + [True] * 400)
    scores = np.concatenate([spread(0.0, 0.3, 1000), spread(0.8, 1.0, 400)])
    thresholds = score_thresholds(labels, scores)
    assert 0.28 < thresholds.review < thresholds.fail < 0.31
    metrics = score_metrics(labels, scores, thresholds)
    assert metrics["escapes"] == 0.0
    assert metrics["false_rejects"] <= 0.005


def test_overlapping_scores_send_what_is_unsure_to_a_person() -> None:
    labels = np.array([False] * 1000 + [True] * 400)
    scores = np.concatenate([spread(0.0, 0.5, 1000), spread(0.47, 1.0, 400)])
    thresholds = score_thresholds(labels, scores)
    assert thresholds.review < thresholds.fail
    metrics = score_metrics(labels, scores, thresholds)
    assert metrics["escapes"] <= 0.01
    assert metrics["false_rejects"] <= 0.005
    assert 0 < metrics["reviews"] < 0.06


def test_a_hopeless_model_keeps_its_false_rejects_and_shows_its_escapes() -> None:
    rng = np.random.default_rng(2)
    labels = rng.random(2000) < 0.3
    metrics = score_metrics(labels, scores := rng.random(2000), score_thresholds(labels, scores))
    assert metrics["false_rejects"] <= 0.006
    assert metrics["escapes"] > 0.8


def masks(count: int) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.uint8]], ...]:
    """Half of the pictures have a square of kind 1; the masks find it, and a speck of three cells everywhere."""
    truth, found = np.zeros((count, 24, 32), np.uint8), np.zeros((count, 2, 24, 32), np.uint8)
    truth[::2, 4:10, 4:10] = 1
    found[::2, 0, 4:10, 4:10] = 220
    found[:, 1, 20, 20:23] = 220
    return truth, found


def test_the_minimum_area_is_large_enough_for_specks_and_no_larger() -> None:
    truth, found = masks(8)
    thresholds = mask_thresholds(truth, found)
    assert thresholds.minimum_area == 4
    assert 40 / 255 - 0.001 <= thresholds.pixel <= 220 / 255
    assert found_defects(found, thresholds).tolist() == [True, False] * 4
    assert found_defects(found, MaskThresholds(pixel=0.5, minimum_area=3)).all()


def test_mask_figures_count_cells_and_pictures() -> None:
    truth, found = masks(8)
    metrics = mask_metrics(truth, found, MaskThresholds(pixel=0.5, minimum_area=4), ("scratch", "spot"))
    assert metrics["pixel_iou"] == pytest.approx(4 * 36 / (4 * 36 + 8 * 3), abs=1e-4)
    assert (metrics["pixel_iou_scratch"], metrics["pixel_iou_spot"]) == (1.0, 0.0)
    assert (metrics["escapes"], metrics["false_rejects"]) == (0.0, 0.0)
