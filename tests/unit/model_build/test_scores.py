"""Figures of quality."""

import numpy as np
import pytest

from model_build.evaluation.scores import auroc, average_precision, histogram_average_precision

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
