"""What every Learner must keep, the fake of the unit tests too: each test module of a learner calls `check`."""

from collections.abc import Callable

import numpy as np
import pytest
from linewatch_common.errors import InputError

from model_build.nets.interface import NETS, Batch, Learner, Setup


def setup(net: str = "inspector", steps: int = 6) -> Setup:
    """A small one."""
    return Setup(NETS[net], 2, 64, 32, seed=3, steps=steps, rate=1e-3, weight_decay=1e-3, average=0.9)


def batch(seed: int, about: Setup) -> Batch:
    """Four pictures of noise, two of them defective, one of these without a mask."""
    rng = np.random.default_rng(seed)
    shape = about.height, about.width
    masks = np.zeros((4, about.classes, *shape), np.float32)
    masks[0, 0, 4:12, 4:12] = 1
    counts = np.ones((4, *shape), np.float32)
    counts[1], counts[2, :, :8] = 0, 0
    pictures = rng.integers(0, 256, (4, *shape, 3), dtype=np.uint8)
    return Batch(pictures, masks, counts, np.array([1, 1, 0, 0], np.float32))


def check(make: Callable[[Setup], Learner], about: Setup) -> None:
    """A state continues where it was taken, weights speak alone, and what a foreign or corrupt state says is an InputError."""
    learner = make(about)
    for number in range(2):
        assert np.isfinite(learner.learn(batch(number, about)))
    state, weights = learner.state(), learner.weights()
    pictures = batch(9, about).pictures
    said = learner.say(pictures)
    if said.scores is not None:
        assert said.scores.shape == (4,)
        assert said.scores.dtype == np.float32
        assert ((said.scores >= 0) & (said.scores <= 1)).all()
    if said.masks is not None:
        assert said.masks.shape[:2] == (4, about.classes)
        assert said.masks.dtype == np.float32
        assert ((said.masks >= 0) & (said.masks <= 1)).all()
    expected = [learner.learn(batch(number, about)) for number in (2, 3)]

    other = make(about)
    other.learn(batch(7, about))
    other.restore(state)
    assert [other.learn(batch(number, about)) for number in (2, 3)] == pytest.approx(expected, abs=1e-5)
    other.load(weights)
    again = other.say(pictures)
    for before, after in ((said.scores, again.scores), (said.masks, again.masks)):
        if before is not None and after is not None:
            np.testing.assert_allclose(after, before, atol=1e-6)
    for wrong in (b"", b"nonsense"):
        with pytest.raises(InputError):
            other.restore(wrong)
        with pytest.raises(InputError):
            other.load(wrong)
