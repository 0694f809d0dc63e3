"""Matching what a client sends with what a model takes."""

import numpy as np
import pytest
from linewatch_agent.errors import BadRequestError
from linewatch_agent.tensors import SentTensor, TensorSpec, match_inputs, zeros

FLOAT, BYTE = np.dtype("float32"), np.dtype("uint8")
PICTURE = TensorSpec("picture", BYTE, (1, 2, 2, 3))
BATCH = TensorSpec("batch", FLOAT, (-1, 2))


def test_by_name_in_any_order_without_copying() -> None:
    data = bytes(range(12))
    arrays = match_inputs(
        [SentTensor(bytes(16), "batch", FLOAT, (2, 2)), SentTensor(data, "picture", BYTE, (1, 2, 2, 3))],
        [PICTURE, BATCH],
    )
    assert arrays["picture"].base is not None
    assert arrays["picture"].tobytes() == data
    assert arrays["batch"].shape == (2, 2)


def test_without_names_by_place() -> None:
    assert match_inputs([SentTensor(bytes(12))], [PICTURE])["picture"].shape == (1, 2, 2, 3)


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
        match_inputs([sent], [spec])


def test_an_input_given_twice_is_refused() -> None:
    twice = [SentTensor(bytes(12), "picture", BYTE, (1, 2, 2, 3))] * 2
    with pytest.raises(BadRequestError, match="given twice"):
        match_inputs(twice, [PICTURE, BATCH])


def test_zeros_need_known_sides() -> None:
    made = zeros([PICTURE, BATCH])
    assert made is not None
    assert made["batch"].shape == (1, 2)
    assert zeros([TensorSpec("text", FLOAT, (1, -1))]) is None
