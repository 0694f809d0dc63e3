"""Figures against brute force, thresholds from validation alone, the gate, and the command line on tiny predictions."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from linewatch_common.errors import InputError
from numpy.typing import NDArray

from model_build.__main__ import main
from model_build.data.prepared import PreparedSet
from model_build.data.splits import read_splits
from model_build.evaluation.defects import defects_of, recall_by_size
from model_build.evaluation.evaluate import Evaluation
from model_build.evaluation.gate import Demands, refusals
from model_build.evaluation.intervals import by_part, proportion, upper_bound
from model_build.evaluation.opening import open_test_split
from model_build.evaluation.operating_point import Target, choose, oracle_escapes, outcome
from model_build.evaluation.pixels import PixelCounts
from model_build.evaluation.scores import average_precision
from tests.unit.model_build.pictures import picture, reference, save


def test_exact_intervals_against_published_ones() -> None:
    assert proportion(0, 17) == pytest.approx((0.0, 0.1951), abs=1e-4)  # 1 - 0.025 ** (1 / 17)
    assert proportion(4, 10) == pytest.approx((0.1216, 0.7376), abs=1e-4)  # Clopper and Pearson's table
    assert upper_bound(0, 59) == pytest.approx(1 - 0.05 ** (1 / 59))  # the rule of three's exact form
    assert proportion(3, 3)[1] == 1.0
    assert proportion(0, 0) == (0.0, 1.0)


def test_an_interval_by_part_is_wider_when_parts_repeat() -> None:
    values = np.random.default_rng(1).random(40)

    def mean(weights: NDArray[np.int64]) -> float:
        return float(np.average(values.repeat(4), weights=weights))

    alone = by_part([str(number) for number in range(160)], mean)
    parts = by_part([str(number // 4) for number in range(160)], mean)
    assert alone is not None
    assert parts is not None
    assert parts[1] - parts[0] > 1.5 * (alone[1] - alone[0])
    assert by_part(["a"], lambda _: None) is None


def test_pooled_pixel_precision_equals_sorting_them_all() -> None:
    rng, counts, pooled = np.random.default_rng(2), PixelCounts(), []
    for number in range(5):
        truth = rng.random((20, 30)) < 0.2
        likely = np.clip(rng.random((20, 30)) * 0.6 + truth * 0.3, 0, 1).astype(np.float32)
        where = rng.random((20, 30)) < 0.9
        counts.add(str(number), truth, where, likely)
        pooled.append((truth[where], likely[where]))
    truths, values = (np.concatenate(found) for found in zip(*pooled, strict=True))
    precision = counts.precision()
    assert precision is not None
    assert precision.value == pytest.approx(average_precision(truths, values), abs=2e-4)
    assert precision.low <= average_precision(truths, values) <= precision.high
    assert precision.high - precision.low < 1e-2
    assert counts.iou(0.5) == pytest.approx((truths & (values >= 0.5)).sum() / (truths | (values >= 0.5)).sum())
    interval = counts.interval()
    assert interval is not None
    assert interval[0] < precision.value < interval[1]


def test_the_interval_of_a_net_that_is_sure_of_itself_holds_its_figure() -> None:
    """Nearly all its pixels lie within a thousandth of 0 or of 1."""
    rng, counts = np.random.default_rng(0), PixelCounts()
    for number in range(24):
        truth = np.zeros((50, 50), np.bool_)
        logits = rng.normal(-9, 1.5, truth.shape)
        if number % 4 == 0:
            truth[15:25, 15:25], logits[14:26, 14:26] = True, rng.normal(6, 2, (12, 12))
            logits[truth] += 1.5
        counts.add(str(number), truth, np.ones_like(truth), (1 / (1 + np.exp(-logits))).astype(np.float32))
    precision, interval = counts.precision(), counts.interval()
    assert precision is not None
    assert interval is not None
    assert interval[0] < precision.value < interval[1]


def test_pixel_precision_bounds_hold_when_all_values_are_one() -> None:
    counts = PixelCounts()
    counts.add(
        "a", np.arange(100).reshape(10, 10) < 10, np.ones((10, 10), np.bool_), np.full((10, 10), 0.5, np.float32)
    )
    precision = counts.precision()
    assert precision is not None
    assert precision.value == pytest.approx(0.1)
    assert precision.high == pytest.approx(1.0)
    assert precision.low == pytest.approx(np.mean([i / (90 + i) for i in range(1, 11)]))


def test_the_pixel_threshold_lies_in_the_middle_of_what_is_as_good() -> None:
    """Just above the good pixels of the validation data the next good one would be a defect."""
    truth = np.arange(100).reshape(10, 10) < 10
    for good, defective in ((0.0, 0.8), (0.25, 0.75)):
        counts = PixelCounts()
        counts.add("a", truth, np.ones_like(truth), np.where(truth, defective, good).astype(np.float32))
        cut = counts.best_cut()
        assert cut is not None
        assert cut == pytest.approx((good + defective) / 2, abs=1e-4)
        assert counts.iou(cut) == 1.0
    counts.add("b", truth, np.ones_like(truth), np.ones((10, 10), np.float32))
    assert counts.best_cut() == pytest.approx(0.5, abs=1e-4)
    counts = PixelCounts()
    counts.add("a", truth, truth, np.full((10, 10), 1.0, np.float32))
    assert counts.best_cut() == pytest.approx(0.5, abs=1e-4), "nothing but defects, and sure of them"


def test_defects_are_counted_one_by_one_and_by_size() -> None:
    truth, likely = np.zeros((20, 20), np.bool_), np.zeros((20, 20), np.float32)
    truth[1:3, 1:3], truth[10:18, 10:18], truth[5, 5] = True, True, True
    likely[17, 17] = 0.9
    found = defects_of("a", truth, likely, 0.5)
    assert sorted((defect.area, defect.found) for defect in found) == [(1, False), (4, False), (64, True)]
    assert [(size.low, size.defects, size.found) for size in recall_by_size(found)] == [
        (1, 1, 0),
        (4, 1, 0),
        (64, 1, 1),
    ]


def test_thresholds_keep_the_target_and_say_what_they_cannot_show() -> None:
    labels = np.array([True] * 10 + [False] * 50)
    scores = np.concatenate([np.linspace(0.5, 0.9, 10), np.linspace(0.0, 0.4, 50)])
    point = choose(labels, scores, Target(0.0, 0.0))
    assert point.review == point.fail
    assert 0.4 < point.fail < 0.5  # in the gap
    assert "not demonstrable with 10 defects" in point.statement
    seen = outcome(labels, scores, point)
    assert (seen.escapes, seen.false_rejects, seen.reviews) == (0, 0, 0)
    assert choose(labels, scores, Target(0.3, 0.0)).demonstrable
    assert "is demonstrated" in choose(labels, scores, Target(0.3, 0.0)).statement


def test_two_thresholds_send_the_overlap_to_review() -> None:
    labels = np.array([True, True, False, False, False, False])
    scores = np.array([0.3, 0.9, 0.6, 0.5, 0.2, 0.1])
    point = choose(labels, scores, Target(0.0, 0.0))
    assert 0.2 < point.review <= 0.3
    assert 0.6 < point.fail <= 0.9
    seen = outcome(labels, scores, point)
    assert (seen.escapes, seen.false_rejects, seen.reviews) == (0, 0, 3)
    assert oracle_escapes(labels, scores) == 1  # a threshold above 0.5 rejects one good part and misses 0.3
    with pytest.raises(InputError, match="0 defective"):
        choose(np.zeros(3, np.bool_), np.zeros(3), Target())


@pytest.mark.parametrize(
    ("defective", "good", "passes"), [(1, 1, False), (1, 18, False), (1, 19, True), (2, 5, True), (2, 4, False)]
)
def test_a_set_on_which_luck_is_perfect_passes_no_gate(defective: int, good: int, passes: bool) -> None:
    """One defective picture among four lies above the others for every fourth model that never looks."""
    labels = np.arange(defective + good) < defective
    scores = np.where(labels, 0.9, 0.1)
    point = choose(labels, scores, Target())
    found = Evaluation(
        model="m",
        data="d",
        splits="s",
        image_ap=1.0,
        image_ap_interval=(1.0, 1.0),
        auroc=1.0,
        auroc_interval=(1.0, 1.0),
        target=Target(),
        point=point,
        outcome=outcome(labels, scores, point),
        oracle_escapes_at_1_false_reject=0,
        pixel=None,
        worst=[],
    )
    assert [line.partition(":")[2] for line in refusals(found, Demands())] == (
        [] if passes else [" chance alone puts them in order too often"]
    )


def test_the_test_split_is_opened_once(tmp_path: Path) -> None:
    assert open_test_split(tmp_path, "a" * 64, "s", "p1") == 1
    assert open_test_split(tmp_path, "a" * 64, "s", "p1") == 1
    assert open_test_split(tmp_path, "b" * 64, "s", "p2") == 2
    with pytest.raises(InputError, match="once is all"):
        open_test_split(tmp_path, "a" * 64, "s", "p3")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("evaluation")
    raw = reference(place / "raw", 40, 24)
    save(raw / "anomalous" / "999.png", picture(999))  # a weak label
    for number in range(8):  # enough weak ones for the folds
        save(raw / "anomalous" / f"{number + 900}.png", picture(900 + number))
    assert main(["prepare", str(raw), str(place / "data"), "--folds", "2"]) == 0
    return place / "data"


def npy(header: dict[str, Any]) -> bytes:
    """A .npy file without its content."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue()


def predicted(folder: Path, data: Path, split: str, kind: str) -> Path:
    """Write predictions of one split: `good` finds everything, `normal` says 0, `defective` says 1."""
    prepared = PreparedSet.open(data)
    scores = {}
    (folder / "masks").mkdir(parents=True)
    for number, name in enumerate(read_splits(data / "splits.json").splits[split]):
        truth = prepared.mask(name).any(axis=0)
        scores[name] = {"good": 0.8 * prepared.entry(name).defective + 0.001 * number, "normal": 0.0, "defective": 1.0}[
            kind
        ]
        mask = (truth * 200).astype(np.uint8) if kind == "good" else np.full((1, 5, 7), scores[name], np.float32)
        np.save(folder / "masks" / f"{name}.npy", mask)
    document = {
        "schema": "linewatch.Predictions/1", "model": f"{len(kind):064x}", "data": prepared.digest, "masks": True,
        "scores": scores,
    }  # fmt: skip
    (folder / "predictions.json").write_text(json.dumps(document))
    return folder


@pytest.mark.parametrize(("kind", "passes"), [("good", True), ("normal", False), ("defective", False)])
def test_the_gate_on_a_good_model_and_on_ones_that_never_look(
    data: Path, tmp_path: Path, kind: str, passes: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    folds = {split: predicted(tmp_path / split, data, split, kind) for split in ("train", "test")}
    out = tmp_path / "out"
    out.mkdir()
    (out / "misses.png").write_bytes(b"of an earlier model")
    code = main(["evaluate", str(data), str(out), "--validation", str(folds["train"]), "--test", str(folds["test"])])
    said = capsys.readouterr()
    assert code == (0 if passes else 1), said.err
    figures = json.loads((out / "evaluation.json").read_bytes())
    assert bool(figures["refusals"]) is not passes
    assert (out / "model-card.md").exists()
    assert (out / "misses.png").exists() is (kind == "defective")  # one that says nothing sends all to review
    if passes:
        assert figures["image_ap"] == 1.0
        assert figures["pixel"]["ap"]["value"] == pytest.approx(1.0)
        assert figures["pixel"]["iou"] == 1.0
    else:
        assert "the gate refuses" in said.err


@pytest.mark.parametrize(
    "spoilt",
    [
        b"",
        b"no array",
        npy({"descr": "<f4", "fortran_order": False, "shape": (10**7, 10**7)}),
        npy({"descr": "<f4", "fortran_order": False, "shape": (2, 2)}) + bytes(3),
        npy({"descr": "<f4", "fortran_order": False, "shape": (1, 1)}) + np.array(np.nan, "<f4").tobytes(),
        npy({"descr": "<f4", "fortran_order": False, "shape": (1, 1)}) + np.array(1.5, "<f4").tobytes(),
        npy({"descr": "<f4", "fortran_order": False, "shape": (0, 4)}),
        npy({"descr": "|O", "fortran_order": False, "shape": (1, 1)}) + b"cos\nsystem\n.",
    ],
    ids=["empty", "no array", "terabytes", "cut", "NaN", "above 1", "of no pixel", "a pickle"],
)
def test_a_mask_that_is_none_is_one_line(
    spoilt: bytes, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folds = {split: predicted(tmp_path / split, data, split, "good") for split in ("train", "test")}
    shutil.copytree(data, tmp_path / "data")
    name = next(path for path in sorted((folds["test"] / "masks").iterdir()) if "normal" in path.name)
    name.write_bytes(spoilt)
    command = ["evaluate", str(tmp_path / "data"), str(tmp_path / "out"), "--validation", str(folds["train"])]
    assert main([*command, "--test", str(folds["test"])]) == 1
    (said,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("evaluate: ")]
    assert name.name in said


def test_foreign_predictions_are_refused_in_one_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = predicted(tmp_path / "train", data, "train", "good")
    command = ["evaluate", str(data), str(tmp_path / "out"), "--validation", str(train), "--test", str(train)]
    assert main(command) == 1
    assert "of the test split missing" in capsys.readouterr().err
    path = train / "predictions.json"
    path.write_text(path.read_text().replace("0.801", "7"))
    assert main(command) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not (tmp_path / "out").exists()
