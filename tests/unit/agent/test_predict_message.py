"""The client's own way to write a PredictRequest, against protobuf's."""

import numpy as np
import pytest
from linewatch_agent_api import agent_pb2 as wire
from linewatch_agent_api.tensors import Array, from_wire, predict_message, to_wire


@pytest.mark.parametrize("shape", [(), (0, 3), (1, 100), (2, 300, 300)], ids=["scalar", "empty", "small", "large"])
def test_a_prediction_s_message_reads_as_protobuf_s_own(shape: tuple[int, ...]) -> None:
    inputs: dict[str, Array] = {"first": np.full(shape, 7, np.float32), "sécond": np.ones((2, 3), np.uint8)}
    tensors = [to_wire(name, array) for name, array in inputs.items()]
    own = wire.PredictRequest(name="net", handle="net", tensors=tensors)
    assert wire.PredictRequest.FromString(predict_message("net", inputs)) == own


def test_a_prediction_s_message_takes_arrays_that_are_not_in_c_order() -> None:
    picture = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    message = wire.PredictRequest.FromString(predict_message("net", {"x": picture.transpose(2, 0, 1)}))
    assert np.array_equal(from_wire(message.tensors[0]), picture.transpose(2, 0, 1))
