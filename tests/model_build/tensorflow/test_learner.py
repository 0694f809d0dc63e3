"""The U-Net in Keras: the learner's contract, what it learns, and that every exported form says the same."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from linewatch_common.errors import InputError
from numpy.typing import NDArray

from model_build.nets.interface import NETS, Batch, Pictures, Setup
from model_build.nets.keras.export import save_saved_model
from model_build.nets.keras.learner import KerasLearner
from model_build.nets.keras.losses import mask_loss
from model_build.nets.keras.tflite import tflite_int8
from model_build.nets.learners import learner_for
from tests.model_build.learner_contract import check, setup

SIDE = 64
Masks = NDArray[np.float32]


def about(classes: int = 1, side: int = SIDE) -> Setup:
    return Setup(NETS["unet"], classes, side, side, seed=0, steps=50, rate=4e-3, weight_decay=0.0, average=0.0)


@pytest.fixture(scope="module")
def shown() -> Batch:
    """Dark noise; two of four parts have a bright square."""
    pictures = np.random.default_rng(0).integers(90, 110, (4, SIDE, SIDE, 3), dtype=np.uint8)
    masks = np.zeros((4, 1, SIDE, SIDE), np.float32)
    for place, corner in enumerate((8, 36)):
        pictures[place, corner : corner + 16, corner : corner + 16] = 230
        masks[place, 0, corner : corner + 16, corner : corner + 16] = 1
    return Batch(pictures, masks, np.ones((4, SIDE, SIDE), np.float32), np.array([1, 1, 0, 0], np.float32))


@pytest.fixture(scope="module")
def taught(shown: Batch) -> tuple[KerasLearner, list[float]]:
    """A learner that has learnt, and its losses."""
    learner = learner_for(about())
    assert isinstance(learner, KerasLearner)
    return learner, [learner.learn(shown) for _ in range(50)]


@pytest.fixture(scope="module")
def said(taught: tuple[KerasLearner, list[float]], shown: Batch) -> Masks:
    masks = taught[0].say(shown.pictures).masks
    assert masks is not None
    return masks


def test_the_contract() -> None:
    check(KerasLearner, setup("unet"))


def test_it_learns_where_the_defect_is(taught: tuple[KerasLearner, list[float]], said: Masks, shown: Batch) -> None:
    learner, losses = taught
    assert learner.start == "scratch"
    assert losses[-1] < losses[0] / 4
    assert said.shape == (4, 1, SIDE, SIDE)
    assert ((said > 0.5) == (shown.masks > 0.5)).mean() > 0.97


@pytest.mark.parametrize("form", ["onnx", "saved-model"])
def test_every_form_says_what_was_learnt(
    form: str, taught: tuple[KerasLearner, list[float]], said: Masks, shown: Batch, tmp_path: Path
) -> None:
    if form == "onnx":
        taught[0].export(tmp_path / "model.onnx")
        model = onnx.load(str(tmp_path / "model.onnx"))
        assert model.opset_import[0].version == 17
        session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
        predict = lambda picture: session.run(["mask"], {"image": picture})[0]  # noqa: E731 - one of two ways
    else:
        save_saved_model(taught[0].kept, tmp_path / "saved")
        loaded = tf.saved_model.load(str(tmp_path / "saved")).signatures["serving_default"]
        np.testing.assert_allclose(loaded(image=tf.constant(shown.pictures[:1]))["mask"], said[:1], atol=1e-5)
        # The device has no TensorFlow: OpenVINO reads the folder, at the precision that it is told to keep.
        core = openvino.Core().compile_model(str(tmp_path / "saved"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        predict = lambda picture: core({"image": picture})["mask"]  # noqa: E731
    agrees(predict, shown.pictures, said, 1e-5)


def test_the_same_weights_are_the_same_bytes(taught: tuple[KerasLearner, list[float]], tmp_path: Path) -> None:
    other = KerasLearner(about())
    other.load(taught[0].weights())
    assert other.weights() == taught[0].weights()
    for name, learner in (("one", taught[0]), ("two", other)):
        learner.export(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_tensorflow_lite_in_int8_agrees(taught: tuple[KerasLearner, list[float]], said: Masks, shown: Batch) -> None:
    """Within 0.05 at 999 of 1,000 pixels, 0.1 at every one and 0.01 on average, and the same defect.

    Eight bits of a logit are steps of a tenth and more, 0.03 where the mask is undecided; how many pixels are so depends on the weights,
    which differ in their last bits from processor to processor.
    """
    content = tflite_int8(taught[0].kept, shown.pictures)
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    (given,), (answered,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (given["name"], given["dtype"], list(given["shape"])) == ("image", np.uint8, [1, SIDE, SIDE, 3])
    assert (answered["name"], answered["dtype"], list(answered["shape"])) == ("mask", np.float32, [1, 1, SIDE, SIDE])
    small = [tensor for tensor in interpreter.get_tensor_details() if tensor["dtype"] == np.int8]
    assert len(small) > 50  # its convolutions really are in eight bits
    assert len(content) < len(taught[0].weights()) / 3

    def predict(picture: Pictures) -> Masks:
        interpreter.set_tensor(given["index"], picture)
        interpreter.invoke()
        return np.array(interpreter.get_tensor(answered["index"]))

    found = agrees(predict, shown.pictures, said, 0.1)
    apart = np.abs(found - said)
    assert np.quantile(apart, 0.999) < 0.05
    assert apart.mean() < 0.01
    both, either = ((found > 0.5) & (said > 0.5)).sum(), ((found > 0.5) | (said > 0.5)).sum()
    assert both / either > 0.95


def test_what_nobody_drew_and_what_does_not_count_teach_nothing() -> None:
    rng = np.random.default_rng(1)
    logits = tf.constant(rng.normal(size=(2, 8, 8, 1)).astype(np.float32))
    wanted = (rng.random((2, 1, 8, 8)) < 0.3).astype(np.float32)
    counts = np.ones((2, 8, 8), np.float32)
    counts[1], counts[0, :, :4] = 0, 0  # the second is weakly labelled, half of the first is ignored
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = mask_loss(logits, tf.constant(wanted), tf.constant(counts))
    moved = np.asarray(tape.gradient(loss, logits))[..., 0] != 0
    assert not moved[1].any()
    assert not moved[0, :, :4].any()
    assert moved[0, :, 4:].all()
    alone = mask_loss(logits[:1], tf.constant(wanted[:1]), tf.constant(counts[:1]))
    assert float(loss) == pytest.approx(float(alone), abs=1e-6)


def test_another_net_and_sides_that_do_not_fit_are_refused(taught: tuple[KerasLearner, list[float]]) -> None:
    with pytest.raises(InputError, match="another net"):
        taught[0].load(KerasLearner(about(classes=3)).weights())
    with pytest.raises(InputError, match="multiples of 16"):
        KerasLearner(about(side=100))


def agrees(predict: Callable[[Pictures], Masks], pictures: Pictures, said: Masks, tolerance: float) -> Masks:
    """What `predict` says of each picture, after it was compared."""
    found = np.concatenate([predict(picture[None]) for picture in pictures])
    np.testing.assert_allclose(found, said, atol=tolerance)
    return found
