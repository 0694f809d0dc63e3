"""Nets in PyTorch: the learner's contract, what is exported, what a mask or a weak label teaches."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from linewatch_common.errors import InputError

from model_build.nets.interface import NETS, Batch, Pictures, Setup
from model_build.nets.learners import learner_for
from model_build.nets.pytorch.learner import TorchLearner
from tests.model_build.learner_contract import batch, check, setup


@pytest.mark.parametrize("net", [name for name, net in NETS.items() if net.framework == "torch"])
def test_the_contract(net: str) -> None:
    check(learner_for, setup(net))


@pytest.mark.parametrize("net", [name for name, net in NETS.items() if net.framework == "torch"])
def test_what_is_exported_says_what_was_learnt(net: str, tmp_path: Path) -> None:
    about = setup(net)
    learner = learner_for(about)
    for number in range(4):
        learner.learn(batch(number, about))
    learner.export(tmp_path / "model.onnx")
    model = onnx.load(str(tmp_path / "model.onnx"))
    (taken,) = model.graph.input
    assert taken.name == "image"
    assert taken.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [axis.dim_value for axis in taken.type.tensor_type.shape.dim] == [1, about.height, about.width, 3]
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    assert tuple(names) == about.net.outputs
    pictures = batch(9, about).pictures
    said = learner.say(pictures)
    for place in range(len(pictures)):
        found = dict(zip(names, session.run(names, {"image": pictures[place : place + 1]}), strict=True))
        if said.scores is not None:
            assert found["score"].shape == (1, 1)
            assert found["score"][0, 0] == pytest.approx(float(said.scores[place]), abs=1e-5)
        if said.masks is not None:
            np.testing.assert_allclose(found["mask"][0], said.masks[place], atol=1e-5)


def test_any_size_and_several_classes() -> None:
    about = Setup(NETS["inspector"], 3, 96, 160, seed=0, steps=2, rate=1e-3, weight_decay=0.0, average=0.0)
    learner = TorchLearner(about)
    learner.learn(batch(0, about))
    said = learner.say(batch(1, about).pictures)
    assert said.masks is not None
    assert said.masks.shape == (4, 3, 80, 48)


def test_the_score_does_not_pull_at_the_mask() -> None:
    """A weak label, and a picture whose pixels all are ignored, teach the score alone: the decoder stays as it was."""
    about = Setup(NETS["inspector"], 1, 64, 32, seed=0, steps=2, rate=1e-2, weight_decay=0.0, average=0.0)
    learner = TorchLearner(about)
    net = learner._net
    truth = batch(0, about)
    weak = Batch(truth.pictures, np.zeros_like(truth.masks), np.zeros_like(truth.counts), truth.defective)
    before = {name: value.clone() for name, value in net.named_parameters()}
    learner.learn(weak)
    moved = {name for name, value in net.named_parameters() if not torch.equal(value, before[name])}
    assert any(name.startswith("feature_score") for name in moved)
    assert not any(name.startswith(("evidence.", "quarter", "eighth", "enter")) for name in moved)


def test_imagenet_weights_come_with_the_environment_and_their_edges_stay() -> None:
    about = setup()
    learner = TorchLearner(about)
    assert learner.start == "imagenet"
    stem = learner._net.backbone.stem[0].weight
    before = stem.detach().clone()
    for number in range(2):
        learner.learn(batch(number, about))
    assert torch.equal(stem, before)


def test_a_net_learns() -> None:
    about = Setup(NETS["inspector"], 1, 64, 64, seed=0, steps=60, rate=3e-3, weight_decay=0.0, average=0.8)
    learner = TorchLearner(about)
    rng = np.random.default_rng(0)
    pictures = rng.integers(90, 110, (4, 64, 64, 3), dtype=np.uint8)
    masks = np.zeros((4, 1, 64, 64), np.float32)
    for place, corner in enumerate((8, 36)):
        pictures[place, corner : corner + 12, corner : corner + 12] = 230
        masks[place, 0, corner : corner + 12, corner : corner + 12] = 1
    shown = Batch(pictures, masks, np.ones((4, 64, 64), np.float32), np.array([1, 1, 0, 0], np.float32))
    losses = [learner.learn(shown) for _ in range(60)]
    said = learner.say(pictures)
    assert losses[-1] < losses[0] / 3
    assert said.scores is not None
    assert said.masks is not None
    assert said.scores[:2].min() > 0.6
    assert said.scores[2:].max() < 0.4
    assert said.masks[0, 0, 6:8, 6:8].mean() > 0.5 > said.masks[0, 0, 20:, :8].mean()


def test_the_anomaly_net_marks_what_good_surfaces_do_not_have() -> None:
    """From grain alone: a scratch and a blotch that it never saw, each where it is; defective pictures of its batches teach nothing."""
    about = Setup(NETS["anomaly"], 2, 96, 64, seed=0, steps=10, rate=1e-3, weight_decay=0.0, average=0.0)
    rng = np.random.default_rng(0)

    def grain(count: int) -> Pictures:
        return rng.integers(90, 150, (count, 64, 96, 1), dtype=np.uint8).repeat(3, axis=3)

    def scratched(pictures: Pictures) -> Pictures:
        pictures[:, 20:23, 40:70], pictures[:, 44:56, 8:20] = 30, 220
        return pictures

    learner, misled = learner_for(about), learner_for(about)
    for _ in range(about.steps):
        good, bad = grain(8), scratched(grain(8))
        none, all_ = np.zeros((16, 2, 64, 96), np.float32), np.ones((16, 64, 96), np.float32)
        both = Batch(np.concatenate([good, bad]), none, all_, np.repeat(np.array([0, 1], np.float32), 8))
        alone = Batch(good, none[:8], all_[:8], np.zeros(8, np.float32))
        assert learner.learn(both) == pytest.approx(misled.learn(alone))
    whole, spoilt = learner.say(grain(8)), learner.say(scratched(grain(8)))
    assert whole.scores is not None
    assert spoilt.scores is not None
    assert spoilt.masks is not None
    assert whole.scores.max() < spoilt.scores.min()
    assert spoilt.masks.shape == (8, 2, 16, 24)
    mask = spoilt.masks[:, 0].mean(axis=0)
    assert min(mask[5, 10:17].min(), mask[12, 3:4].min()) > mask[:3].max()


def test_masks_teach_the_compact_classifier_and_leave_its_answer_alone() -> None:
    about = setup("compact-classifier")
    truth = batch(0, about)
    weak = Batch(truth.pictures, np.zeros_like(truth.masks), np.zeros_like(truth.counts), truth.defective)
    assert TorchLearner(about).learn(truth) > TorchLearner(about).learn(weak) + 0.1
    net = TorchLearner(about)._net
    x = torch.zeros(2, 3, about.height, about.width)
    assert net.train()(x)[1].shape == (2, about.classes, about.height // 8, about.width // 8)
    assert net.eval()(x)[1] is None


def test_the_compact_segmenter_starts_from_nothing_here_and_learns_each_class() -> None:
    about = Setup(NETS["compact-segmenter"], 2, 64, 64, seed=0, steps=80, rate=3e-3, weight_decay=0.0, average=0.8)
    learner = TorchLearner(about)
    rng = np.random.default_rng(0)
    pictures = rng.integers(90, 110, (4, 64, 64, 3), dtype=np.uint8)
    masks = np.zeros((4, 2, 64, 64), np.float32)
    for place, light in ((0, 230), (1, 10)):
        pictures[place, 8:20, 8:20] = light
        masks[place, place, 8:20, 8:20] = 1
    shown = Batch(pictures, masks, np.ones((4, 64, 64), np.float32), np.array([1, 1, 0, 0], np.float32))
    first = learner.say(pictures).masks
    assert first is not None
    assert first.shape == masks.shape
    assert first.max() < 0.1
    for _ in range(80):
        learner.learn(shown)
    said = learner.say(pictures).masks
    assert said is not None
    for place in range(2):
        assert said[place, place, 10:18, 10:18].mean() > 0.5 > said[place, 1 - place].max()
    assert said[2:].max() < 0.5


def test_a_foreign_checkpoint_and_a_loss_that_is_no_number_are_refused() -> None:
    learner = TorchLearner(setup())
    with pytest.raises(InputError, match="another net"):
        learner.load(TorchLearner(setup("resnet18")).weights())
    about = Setup(NETS["inspector"], 2, 64, 32, seed=0, steps=9, rate=1e-3, weight_decay=0.0, average=0.0)
    poisoned = batch(0, about)
    poisoned.masks[0, 0, 0, 0] = np.nan
    with pytest.raises(FloatingPointError, match="smaller rate"):
        TorchLearner(about).learn(poisoned)
