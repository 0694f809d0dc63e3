"""A set of good pictures alone, given drawn defects: what they are, where they may lie, and that everybody is told."""

from pathlib import Path

import numpy as np
import pytest

from model_build.__main__ import main
from model_build.data.drawing import is_drawn
from model_build.data.prepared import PreparedSet
from model_build.data.report import summary
from model_build.data.splits import SPLITS_FILE, read_splits
from model_build.evaluation.report import CARD_FILE, PAGE_FILE
from model_build.training.predictions import PredictionsFolder
from tests.unit.model_build.pictures import HEIGHT, WIDTH, picture, reference, save


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Twenty good pictures, half of them in colour, two of each part."""
    for number in range(20):
        grey = picture(number)
        pixels = grey if number % 2 else np.stack([grey, grey // 2, 255 - grey], axis=2)
        save(tmp_path / "raw" / "normal" / f"{number // 2:02d}_{number % 2}.png", pixels)
    (tmp_path / "raw" / "anomalous").mkdir()
    return tmp_path / "raw"


def prepare(raw: Path, out: Path, *more: str) -> int:
    pattern = ["--part-pattern", r"/(\d\d)_"]
    return main(["prepare", str(raw), str(out), "--folds", "2", "--draw-defects", "0.5", *pattern, *more])


def test_twins_have_a_defect_and_stay_with_their_part(raw: Path, tmp_path: Path) -> None:
    assert prepare(raw, tmp_path / "data") == 0
    data = PreparedSet.open(tmp_path / "data")
    splits = read_splits(tmp_path / "data" / SPLITS_FILE, data)
    twins = [entry for entry in data.index.entries if is_drawn(entry)]
    assert (len(data.entries), len(twins), sum(entry.defective for entry in data.index.entries)) == (30, 10, 10)
    for twin in twins:
        origin = data.entry(twin.id.removesuffix("-drawn"))
        assert (twin.part, twin.source) == (origin.part, f"drawn on {origin.source}")
        sides = [side for side, names in splits.splits.items() if {twin.id, origin.id} & set(names)]
        assert len(sides) == 1
        pictures = [data.example(name).picture.astype(np.int32) for name in (twin.id, origin.id)]
        changed = np.abs(pictures[0] - pictures[1]).reshape(HEIGHT, WIDTH, -1).max(axis=2)
        mask = data.mask(twin.id)[0]
        assert mask.sum() >= 6
        assert changed[mask].mean() > 5 * changed[~mask].mean(), "beside the defect the twin is its origin"
    assert summary(data)["drawn_defects"] == 10
    assert data.index.layout == "normal-anomalous, defects drawn"


def test_the_same_seed_draws_the_same(raw: Path, tmp_path: Path) -> None:
    assert [prepare(raw, tmp_path / name, "--seed", seed) for name, seed in (("a", "1"), ("b", "1"), ("c", "2"))] == [
        0
    ] * 3
    a, b, c = (PreparedSet.open(tmp_path / name).digest for name in "abc")
    assert a == b != c


def test_a_defect_lies_where_pixels_count(raw: Path, tmp_path: Path) -> None:
    ignored = np.zeros((HEIGHT, WIDTH), np.uint8)
    ignored[:, :20] = 255
    more = ["--ignore", str(save(tmp_path / "ignore.png", ignored)), "--region", f"10,0,{WIDTH - 10},{HEIGHT}"]
    assert prepare(raw, tmp_path / "data", *more) == 0
    data = PreparedSet.open(tmp_path / "data")
    for entry in data.index.entries:
        assert not data.mask(entry.id)[0, :, :20].any()


def test_where_nothing_counts_it_is_one_line(raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ignored = np.full((HEIGHT, WIDTH), 255, np.uint8)
    assert prepare(raw, tmp_path / "data", "--ignore", str(save(tmp_path / "ignore.png", ignored))) == 1
    assert "no defect could be drawn on what counts of it" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_a_set_with_defects_of_its_own_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = reference(tmp_path / "raw")
    assert main(["prepare", str(raw), str(tmp_path / "data"), "--draw-defects", "0.5"]) == 1
    assert "--draw-defects is for sets of good pictures alone" in capsys.readouterr().err


@pytest.mark.parametrize("share", ["0", "1.5", "many"])
def test_a_share_that_is_none(share: str, raw: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        main(["prepare", str(raw), str(tmp_path / "data"), "--draw-defects", share])


def test_evaluation_says_that_its_defects_are_drawn(raw: Path, tmp_path: Path) -> None:
    assert prepare(raw, tmp_path / "data") == 0
    data = PreparedSet.open(tmp_path / "data")
    splits = read_splits(tmp_path / "data" / SPLITS_FILE, data)
    for split, folder in (("train", "validation"), ("test", "test")):
        names = splits.splits[split]
        scores = {name: 0.9 if data.entry(name).defective else 0.1 for name in names}
        PredictionsFolder(tmp_path / folder).finish("a" * 64, data, scores, masks=False)
    command = ["evaluate", str(tmp_path / "data"), str(tmp_path / "out"), "--validation", str(tmp_path / "validation")]
    assert main([*command, "--test", str(tmp_path / "test")]) in (0, 1)
    for name in (PAGE_FILE, CARD_FILE):
        assert "defects of the test split are drawn" in (tmp_path / "out" / name).read_text()


def test_twins_of_long_names_stay_apart(tmp_path: Path) -> None:
    for number in range(4):
        save(tmp_path / "raw" / "normal" / f"{'x' * 108}{number}_0.png", picture(number))
    assert main(["prepare", str(tmp_path / "raw"), str(tmp_path / "data"), "--draw-defects", "1", "--folds", "2"]) == 0
    assert len(PreparedSet.open(tmp_path / "data").entries) == 8
