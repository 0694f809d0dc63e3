"""Writing a package, without any training: what is written is what a device accepts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from linewatch_common.errors import InputError, PackageError
from linewatch_common.manifest import (
    OutputTensor,
    Preparation,
    ScoreThresholds,
    Thresholds,
    load_manifest,
    manifest_digest,
    verify_files,
)
from linewatch_vision.golden import differences, read_golden

from model_build.data.prepared import PreparedSet
from model_build.packaging.assemble import role_of
from model_build.packaging.golden import from_data
from model_build.samples.data import Prepared, Split, batches, prepared, small_mask
from model_build.samples.generator import Settings, generate
from model_build.samples.package import MODEL_FILE, Origin, Result, code_digest, write_package
from model_build.samples.picks import golden_masks, golden_scores
from model_build.samples.plan import CLASSIFIER, Plan
from tests.unit.model_build.runs import data_folder

ORIGIN = Origin("0" * 64, {"torch": "2.0"})
PREPARATION = Preparation(width=32, height=24, resize="squash")


def plan() -> Plan:
    return replace(CLASSIFIER, preparation=PREPARATION, splits={"train": Split("train", 1, 2, 0.5)})


def result() -> Result:
    return Result(
        plan=plan(),
        output=OutputTensor(name="score", dtype="float32", shape=(1, 1), layout="NC", meaning="scores"),
        thresholds=Thresholds(score=ScoreThresholds(fail=0.6, review=0.5)),
        metrics={"image_ap": 0.9},
        splits={"train": prepared(plan().splits["train"], PREPARATION)},
        golden_pictures=np.full((2, 24, 32), 7, np.uint8),
        golden_outputs=np.array([[0.1], [0.9]], np.float32),
    )


def test_a_written_package_is_read_verified_and_has_its_golden_set(tmp_path: Path) -> None:
    (tmp_path / MODEL_FILE).write_bytes(b"weights")
    written = write_package(tmp_path, result(), ORIGIN)
    manifest = load_manifest(tmp_path)
    verify_files(tmp_path, manifest)
    assert manifest == written
    first, second = read_golden(tmp_path, manifest)
    assert first.inputs["picture"].shape == (1, 24, 32, 3)
    assert list(differences(first, {"score": np.array([[0.11]], np.float32)}, manifest)) == []
    assert list(differences(second, {"score": np.array([[0.11]], np.float32)}, manifest)) != []


def test_the_same_inputs_give_the_same_golden_bytes(tmp_path: Path) -> None:
    manifests = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / MODEL_FILE).write_bytes(b"weights")
        manifests.append(write_package(folder, result(), ORIGIN))
        assert manifest_digest(folder).startswith("sha256:")
    assert manifests[0].files == manifests[1].files


def test_the_code_digest_is_stable_and_hex() -> None:
    assert code_digest() == code_digest()
    assert len(bytes.fromhex(code_digest())) == 32


def test_a_split_is_prepared_the_same_each_time() -> None:
    split = Split("train", 5, 6, 0.5)
    first, again = prepared(split, PREPARATION), prepared(split, PREPARATION)
    assert first.checksum == again.checksum
    assert np.array_equal(first.pictures, again.pictures)
    assert first.pictures.shape == first.masks.shape == (6, 24, 32)
    assert prepared(replace(split, seed=6), PREPARATION).checksum != first.checksum


def test_a_smaller_mask_keeps_kind_and_place() -> None:
    settings = Settings(seed=11, defect_share=1.0)
    for index in range(5):
        sample = generate(settings, index)
        small = small_mask(sample, 320, 240)
        assert set(np.unique(small)) <= set(np.unique(sample.mask))
        grown = np.kron(small > 0, np.ones((2, 2), np.bool_))
        assert (grown & (sample.mask > 0)).sum() >= 0.5 * grown.sum() > 0


def test_every_picture_is_seen_once_an_epoch() -> None:
    seen = np.concatenate(list(batches(30, 10, np.random.default_rng(0))))
    assert sorted(seen.tolist()) == list(range(30))
    assert len(list(batches(29, 10, np.random.default_rng(0)))) == 2


def test_golden_pictures_are_rightly_judged_and_away_from_the_thresholds() -> None:
    labels = np.array([False] * 50 + [True] * 50)
    scores = np.concatenate([np.linspace(0, 0.55, 50), np.linspace(0.35, 1, 50)])
    picks = golden_scores(labels, scores, low=0.4, high=0.5)
    assert labels[picks].tolist() == [False] * 3 + [True] * 3
    assert np.minimum(np.abs(scores[picks] - 0.4), np.abs(scores[picks] - 0.5)).min() >= 0.1
    assert ((scores[picks] > 0.45) == labels[picks]).all()
    assert len(set(scores[picks])) == 6


def test_a_model_that_has_learnt_nothing_gets_no_package() -> None:
    with pytest.raises(InputError, match="the model has learnt nothing"):
        golden_scores(np.array([False, True]), np.array([0.5, 0.5]), low=0.4, high=0.6)


def test_golden_masks_hold_a_good_part_and_each_kind_rightly_named() -> None:
    truth, found = np.zeros((5, 24, 32), np.uint8), np.zeros((5, 2, 24, 32), np.uint8)
    for index, kind in ((1, 1), (2, 1), (3, 2), (4, 2)):
        truth[index, 4:9, 4:9] = kind
        found[index, kind - 1, 4:9, 4:9] = 255
    found[1, 0, 4:9, 4:9] = 130  # just above the threshold: unstable
    found[3] = found[3, ::-1]  # wrongly named
    data = Prepared(truth, truth, np.array([False, True, True, True, True]), "")
    assert golden_masks(data, found, 0.5).tolist() == [0, 2, 4]


@pytest.mark.parametrize("weak", [False, True])
def test_golden_pictures_of_a_set_in_which_nobody_drew_a_defect(weak: bool, tmp_path: Path) -> None:
    data = PreparedSet.open(data_folder(tmp_path, good=4, defective=4, weak=weak))
    found = [candidate.defective for candidate in from_data(data, data.entries, PREPARATION)]
    assert found == [False] * 4 + [True] * 4


def test_masks_that_nobody_judged_are_not_offered() -> None:
    assert role_of({"score", "mask"}, drawn=True) == "inspector"
    assert role_of({"score", "mask"}, drawn=False) == "classifier"
    with pytest.raises(PackageError, match="expected 'score' or 'mask' or both"):
        role_of({"logits"}, drawn=True)
