"""Matching what a client sends with what a model takes."""

from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np
import pytest
from linewatch_agent.errors import BadRequestError
from linewatch_agent.shared_memory import Segment
from linewatch_agent.tensors import SentTensor, TensorSpec, matched_inputs, zeros

from tests.unit.agent.support import attached, shared_segment

FLOAT, BYTE = np.dtype("float32"), np.dtype("uint8")
PICTURE = TensorSpec("picture", BYTE, (1, 2, 2, 3))
BATCH = TensorSpec("batch", FLOAT, (-1, 2))
PAIR = TensorSpec("pair", FLOAT, (1, 2))
NAN = bytes(4) + b"\0\0\xc0\x7f"


def _look(sent: Sequence[SentTensor], specs: Sequence[TensorSpec]) -> None:
    with ExitStack() as held:
        matched_inputs(sent, specs, held)


def test_by_name_in_any_order_without_copying() -> None:
    data = bytes(range(12))
    sent = [SentTensor(bytes(16), "batch", FLOAT, (2, 2)), SentTensor(data, "picture", BYTE, (1, 2, 2, 3))]
    arrays = matched_inputs(sent, [PICTURE, BATCH], ExitStack())
    assert arrays["picture"].base is not None
    assert arrays["picture"].tobytes() == data
    assert arrays["batch"].shape == (2, 2)


def test_without_names_by_place() -> None:
    arrays = matched_inputs([SentTensor(bytes(12))], [PICTURE], ExitStack())
    assert arrays["picture"].shape == (1, 2, 2, 3)


def test_one_element_without_its_shape() -> None:
    arrays = matched_inputs([SentTensor(bytes(4), "gain", FLOAT, ())], [TensorSpec("gain", FLOAT, (1, 1))], ExitStack())
    assert arrays["gain"].shape == (1, 1)


def test_a_segment_is_attached_while_it_is_used_and_not_copied() -> None:
    with shared_segment(b"x" + bytes(range(12))) as segment_id:
        sent = [SentTensor(Segment(segment_id, offset=1))]
        with ExitStack() as held:
            arrays = matched_inputs(sent, [PICTURE], held)
            assert attached(segment_id) == 1
            assert arrays["picture"].tobytes() == bytes(range(12))
        assert attached(segment_id) == 0
        with pytest.raises(BadRequestError, match="holds NaN"):
            _look(
                [SentTensor(Segment(segment_id, 0, 8), "batch", FLOAT, (1, 2)), SentTensor(NAN, shape=(1, 2))],
                [BATCH, PAIR],
            )
        assert attached(segment_id) == 0


@pytest.mark.parametrize(
    ("sent", "spec", "reason"),
    [
        (SentTensor(bytes(11)), PICTURE, "11 bytes were sent, uint8.* takes 12"),
        (SentTensor(bytes(12), "pictures"), PICTURE, "no input 'pictures'; it takes 'picture'"),
        (SentTensor(bytes(48), "picture", FLOAT, (1, 2, 2, 3)), PICTURE, "float32 was sent, the model takes uint8"),
        (SentTensor(bytes(12), "picture", BYTE, (2, 2, 3)), PICTURE, r"shape \[2, 2, 3\] was sent"),
        (SentTensor(bytes(8)), BATCH, "must come with its shape"),
        (SentTensor(bytes(8), "batch", FLOAT, (1, 3)), BATCH, r"takes 'batch' float32\[\?, 2\]"),
        (SentTensor(b"\0\0\xc0\x7f" + bytes(4), "batch", FLOAT, (1, 2)), BATCH, "'batch': holds NaN or infinity"),
        (SentTensor(bytes(4) + b"\0\0\x80\xff", "batch", FLOAT, (1, 2)), BATCH, "'batch': holds NaN or infinity"),
    ],
)
def test_what_does_not_fit_is_refused(sent: SentTensor, spec: TensorSpec, reason: str) -> None:
    with pytest.raises(BadRequestError, match=reason):
        _look([sent], [spec])


def test_an_input_given_twice_is_refused() -> None:
    twice = [SentTensor(bytes(12), "picture", BYTE, (1, 2, 2, 3))] * 2
    with pytest.raises(BadRequestError, match="given twice"):
        _look(twice, [PICTURE, BATCH])


def test_zeros_need_known_sides() -> None:
    made = zeros([PICTURE, BATCH])
    assert made is not None
    assert made["batch"].shape == (1, 2)
    assert zeros([TensorSpec("text", FLOAT, (1, -1))]) is None


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_only_numbers_are_taken_however_large(dtype: str) -> None:
    spec = TensorSpec("x", np.dtype(dtype), (1, 5))
    values = np.array([[0.0, -1.0, 2.0, 0.5, 3.0]], dtype)
    for place, (value, taken) in enumerate(
        [(np.finfo(dtype).max, True), (np.finfo(dtype).min, True), (np.nan, False), (np.inf, False), (-np.inf, False)]
    ):
        changed = values.copy()
        changed[0, place] = value
        sent = [SentTensor(changed.tobytes())]
        if taken:
            assert matched_inputs(sent, [spec], ExitStack())["x"].tobytes() == changed.tobytes()
        else:
            with pytest.raises(BadRequestError, match="holds NaN or infinity"):
                _look(sent, [spec])
