"""Tiles in training and compiling: what is drawn, that it is what the device sees, and how a part is put together from it."""

import argparse
from pathlib import Path

import numpy as np
import pytest
from linewatch_common.errors import InputError
from linewatch_common.manifest import Preparation, Region, Tiles
from linewatch_vision.masks import resized
from linewatch_vision.preparation import Box
from linewatch_vision.tiling import prepare_all

from model_build.__main__ import main, parsed
from model_build.compiling.asking import asked
from model_build.compiling.pictures import Calibration, telling
from model_build.compiling.running import Outputs
from model_build.data.prepared import PreparedSet
from model_build.data.splits import SPLITS_FILE, TRAIN, read_splits
from model_build.evaluation.predictions import open_predictions
from model_build.nets.interface import NETS
from model_build.training.code import code_digest
from model_build.training.judging import said_of
from model_build.training.plan import Plan
from model_build.training.run import RUN_FILE, VALIDATION, read_history, read_run
from model_build.training.session import Order, Report, Session
from model_build.training.tiled import TiledPictures, pictures_for, seen_sizes, shows_defect
from tests.model_build.learner_contract import setup
from tests.unit.model_build.fake_learner import FakeLearner
from tests.unit.model_build.pictures import HEIGHT, WIDTH, picture, reference, save

TILES = Tiles(24, 24, 8)
REGION = Region(x=4, y=2, width=50, height=36)
PREPARATION = Preparation(width=24, height=24, resize="squash", region_of_interest=REGION, tiles=TILES)
PLAN = Plan(epochs=3, steps=2, batch=4, fold_share=1.0, patience=9)
SILENT = Report(lambda *_: None, lambda _: None, lambda _: None)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good and defective parts, and four defective ones whose mask nobody drew."""
    folder = tmp_path_factory.mktemp("set")
    raw = reference(folder / "raw", 10, 8)
    for number in range(300, 304):
        save(raw / "anomalous" / f"{number}.png", picture(number))
    region = ",".join(map(str, (REGION.x, REGION.y, REGION.width, REGION.height)))
    assert main(["prepare", str(raw), str(folder / "data"), "--folds", "2", "--region", region]) == 0
    return folder / "data"


def session(prepared: Path, folder: Path, tiles: Tiles | None = TILES) -> Session:
    data = PreparedSet.open(prepared)
    splits = read_splits(prepared / SPLITS_FILE, data)
    return Session(data, splits, Order(NETS["inspector"], PLAN, 0, tiles), folder, FakeLearner)


def test_a_tile_shows_a_defect_when_it_holds_its_better_half() -> None:
    defects = np.zeros((10, 30), np.bool_)
    defects[2:6, 5:12] = True  # five columns in the first tile, two in the second
    defects[8, 25] = True
    boxes = [Box(0, 0, 10, 10), Box(10, 0, 10, 10), Box(20, 0, 10, 10)]
    assert shows_defect(defects, boxes) == [True, None, True]
    assert shows_defect(np.zeros((10, 30), np.bool_), boxes) == [False, False, False]


def test_what_a_course_draws_from(prepared: Path) -> None:
    data = PreparedSet.open(prepared)
    pictures = TiledPictures(data, PREPARATION)
    good, defective = pictures.kinds(sorted(data.entries))
    count = len(pictures.units(sorted(data.entries)[0]))
    assert count == 6
    for entry in data.index.entries:
        shown = [unit for unit in defective if unit.startswith(f"{entry.id}#")]
        clean = [unit for unit in good if unit.startswith(f"{entry.id}#")]
        if entry.weak:  # nobody knows which of its tiles is defective
            assert (shown, clean) == ([], [])
        else:
            assert bool(shown) == entry.defective
            assert len(clean) == count if not entry.defective else 0 < len(clean) < count
    for unit in defective:
        look = pictures.look(unit)
        assert look.defective
        assert look.mask.any()
    assert not any(pictures.look(unit).defective or pictures.look(unit).mask.any() for unit in good)


def test_a_tile_is_what_the_device_sees_bit_for_bit(prepared: Path) -> None:
    data = PreparedSet.open(prepared)
    pictures = pictures_for(data, PREPARATION)
    for name in sorted(data.entries)[:3]:
        tiles = prepare_all(data.example(name).picture, "Mono8", PREPARATION)
        for unit, tile in zip(pictures.units(name), tiles, strict=True):
            assert (pictures.look(unit).picture == tile.tensor[0]).all()
            assert pictures.look(unit).transform == tile.transform


class Brightness:
    """The fake learner as a model file: what both say of a part must agree."""

    def __init__(self, learner: FakeLearner) -> None:
        self._learner = learner

    def run(self, tensor: np.ndarray) -> Outputs:
        said = self._learner.say(tensor)
        assert said.scores is not None
        assert said.masks is not None
        return {"score": said.scores[:, None], "mask": said.masks}


def test_a_part_is_put_together_while_learning_as_it_is_predicted(prepared: Path) -> None:
    data, learner = PreparedSet.open(prepared), FakeLearner(setup())
    names = sorted(data.entries)
    for name, look, said in said_of(learner, pictures_for(data, PREPARATION), names):
        whole = asked(Brightness(learner), data.example(name), PREPARATION)
        assert said.scores is not None
        assert said.masks is not None
        assert whole.mask is not None
        assert float(said.scores[0]) == pytest.approx(whole.score)
        np.testing.assert_array_equal(said.masks[0], whole.mask)
        assert look.mask.shape[1:] == look.counts.shape == (REGION.height, REGION.width), "its own resolution"
        assert look.counts.any() != data.entry(name).weak
        truth = data.mask(name)[:, REGION.y : REGION.y + REGION.height, REGION.x : REGION.x + REGION.width]
        np.testing.assert_array_equal(look.mask > 0, truth)
        assert resized(whole.mask[0], REGION.width, REGION.height).shape == look.counts.shape


def test_a_run_with_tiles_says_so_and_covers_the_region(prepared: Path, tmp_path: Path) -> None:
    run = session(prepared, tmp_path / "run").run(SILENT, resume=False)
    assert (run.preparation.tiles, run.preparation.region_of_interest) == (TILES, REGION)
    assert run.code == code_digest("torch", tiled=True) != code_digest("torch")
    assert all({"image_ap", "pixel_ap"} <= set(epoch.figures) for epoch in read_history(tmp_path / "run")[:-3])
    data = PreparedSet.open(prepared)
    names = read_splits(prepared / SPLITS_FILE, data).splits[TRAIN]
    said = open_predictions(tmp_path / "run" / VALIDATION, data.digest, names, "all")
    assert said.document.covers == "region"
    likely = said.mask(data.entry(names[0]), data.index)
    assert likely.shape == (HEIGHT, WIDTH)
    assert likely[: REGION.y].max() == 0 < likely[REGION.y : REGION.y + REGION.height].max()
    assert read_run(tmp_path / "run").code == run.code


def test_other_tiles_are_another_run(prepared: Path, tmp_path: Path) -> None:
    class Interrupted(FakeLearner):
        def export(self, path: Path) -> None:
            raise InputError("interrupted")

    data = PreparedSet.open(prepared)
    splits = read_splits(prepared / SPLITS_FILE, data)
    order = Order(NETS["inspector"], PLAN, 0, TILES)
    with pytest.raises(InputError, match="interrupted"):
        Session(data, splits, order, tmp_path / "run", Interrupted).run(SILENT, resume=False)
    for tiles in (None, Tiles(24, 24, 4)):
        with pytest.raises(InputError, match="another plan, net, seed, data or splits"):
            session(prepared, tmp_path / "run", tiles).run(SILENT, resume=True)
    session(prepared, tmp_path / "run").run(SILENT, resume=True)
    assert (tmp_path / "run" / RUN_FILE).exists()


def test_weak_labels_alone_learn_from_drawn_defects(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    for number in range(10):
        save(raw / "normal" / f"{number}.png", picture(number))
        save(raw / "anomalous" / f"{number + 20}.png", picture(number + 20))
    assert main(["prepare", str(raw), str(tmp_path / "data"), "--folds", "2"]) == 0
    run = session(tmp_path / "data", tmp_path / "run").run(SILENT, resume=False)
    assert run.plan.synthetic >= 0.25


def test_calibration_is_one_tile_a_picture_with_the_defect_where_there_is_one(prepared: Path) -> None:
    data = PreparedSet.open(prepared)
    names = tuple(sorted(name for name, entry in data.entries.items() if not entry.weak))
    tensors = list(Calibration(data, PREPARATION, names).tensors())
    assert [tensor.shape for tensor in tensors] == [(1, 24, 24, 3)] * len(names)
    for name in names:
        tile = telling(data.example(name), PREPARATION)
        box = tile.transform.region
        there = data.mask(name)[:, box.y : box.y + box.height, box.x : box.x + box.width]
        assert there.any() == data.entry(name).defective


def test_nothing_to_cut_and_too_many_tiles_are_refused() -> None:
    with pytest.raises(InputError, match="no picture is larger than a tile of 64x64: nothing to cut"):
        seen_sizes([(60, 40)], Tiles(64, 64, 8))
    with pytest.raises(InputError, match="at most 256"):
        seen_sizes([(6000, 4000)], Tiles(64, 64, 8))


def test_the_input_is_the_tiles_and_never_larger() -> None:
    tall = NETS["inspector"].preparation(seen_sizes([(500, 1250), (500, 1270)], Tiles(256, 320, 32)), 172_032)
    assert (tall.width, tall.height, tall.resize) == (256, 320, "squash")
    fixed = NETS["unet"].preparation(seen_sizes([(500, 1250)], Tiles(256, 320, 32)), 172_032)
    assert (fixed.width, fixed.height, fixed.resize) == (224, 224, "squash")
    narrow = NETS["inspector"].preparation(seen_sizes([(100, 1250), (400, 1250)], Tiles(256, 256, 32)), 172_032)
    assert narrow.resize == "letterbox", "a part narrower than a tile must not be stretched to one"


@pytest.mark.parametrize("text", ["64", "64,64", "64,64,64", "64,64,-1", "0,64,0", "a,b,c"])
def test_tiles_that_are_none(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed(["train", "data", "run", "--tiles", text])
    assert "--tiles" in capsys.readouterr().err
    options: argparse.Namespace = parsed(["train", "data", "run", "--tiles", "64,48,8"])
    assert options.tiles == Tiles(64, 48, 8)
