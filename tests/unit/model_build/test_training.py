"""Training without a framework: what is sampled, prepared, judged and kept, with a learner that learns one number."""

import itertools
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from linewatch_common.errors import InputError, StorageError
from linewatch_common.manifest import Preparation, Region

from model_build.__main__ import main
from model_build.data.prepared import PreparedSet
from model_build.data.splits import SPLITS_FILE, TEST, TRAIN, Splits, read_splits
from model_build.evaluation.predictions import open_predictions
from model_build.nets.interface import NETS, Batch, Learner, Setup
from model_build.nets.sizes import aspect_size, fits_squashed
from model_build.training.augmentation import batch_of
from model_build.training.checkpoints import Checkpoint, read_checkpoint, write_checkpoint
from model_build.training.judging import cut_to_picture
from model_build.training.pictures import Pictures, looked
from model_build.training.plan import Augmentation, Plan
from model_build.training.predictions import PredictionsFolder
from model_build.training.run import HISTORY_FILE, RUN_FILE, WORK, Epoch, read_history, read_run
from model_build.training.sampling import epoch_batches
from model_build.training.session import Order, Report, Session
from model_build.training.synthetic import Painter
from tests.model_build.learner_contract import check, setup
from tests.unit.model_build.fake_learner import FakeLearner
from tests.unit.model_build.pictures import HEIGHT, WIDTH, mask, picture, reference, save

PLAN = Plan(epochs=4, steps=3, batch=4, fold_share=1.0, patience=9)
SILENT = Report(lambda *_: None, lambda _: None, lambda _: None)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set")
    assert main(["prepare", str(reference(folder / "raw", 10, 8)), str(folder / "data"), "--folds", "2"]) == 0
    return folder / "data"


@pytest.fixture(scope="module")
def whole(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    session(prepared, folder).run(SILENT, resume=False)
    return folder


def opened(folder: Path) -> tuple[PreparedSet, Splits]:
    data = PreparedSet.open(folder)
    return data, read_splits(folder / SPLITS_FILE, data)


def session(
    prepared: Path, folder: Path, make: Callable[[Setup], Learner] = FakeLearner, seed: int = 0, plan: Plan = PLAN
) -> Session:
    data, splits = opened(prepared)
    return Session(data, splits, Order(NETS["inspector"], plan, seed), folder, make)


def test_a_net_of_good_pictures_is_shown_no_other(prepared: Path, tmp_path: Path) -> None:
    """Neither real nor drawn ones; they judge it all the same."""
    shown: list[float] = []

    class Noting(FakeLearner):
        def learn(self, batch: Batch) -> float:
            shown.extend(batch.defective)
            return super().learn(batch)

    data, splits = opened(prepared)
    plan = msgspec.structs.replace(PLAN, synthetic=0.5)
    run = Session(data, splits, Order(NETS["anomaly"], plan, 0), tmp_path / "run", Noting).run(SILENT, resume=False)
    assert len(shown) > 0
    assert not any(shown)
    assert all("image_ap" in fold.figures for fold in run.folds)


def test_the_fake_keeps_the_learners_contract() -> None:
    check(FakeLearner, setup())


@pytest.mark.parametrize(
    ("size", "expected"),
    [((500, 1250), (256, 640)), ((230, 630), (256, 640)), ((640, 480), (480, 352)), ((50, 50), (64, 64))],
)
def test_the_input_has_the_parts_own_aspect_ratio(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert aspect_size([size], 172_032) == expected


def test_pictures_of_many_shapes_are_letterboxed() -> None:
    assert fits_squashed([(500, 1240), (500, 1270)], (256, 640))
    assert not fits_squashed([(500, 1240), (500, 600)], (256, 640))


def test_an_epoch_is_balanced_seeded_and_uses_every_picture_equally_often() -> None:
    good, bad = [f"g{n}" for n in range(7)], [f"b{n}" for n in range(3)]
    epochs = [list(epoch_batches(good, bad, steps=3, batch=4, seed=5, epoch=epoch)) for epoch in range(7)]
    assert all(sum(name in bad for name in names) == 2 for epoch in epochs for names in epoch)
    counted = [sum(names.count(name) for epoch in epochs for names in epoch) for name in bad]
    assert counted == [14, 14, 14]
    assert epochs[3] == list(epoch_batches(good, bad, steps=3, batch=4, seed=5, epoch=3))
    assert epochs[3] != list(epoch_batches(good, bad, steps=3, batch=4, seed=6, epoch=3))
    assert list(itertools.chain(*epoch_batches(good, [], steps=2, batch=4, seed=0, epoch=0))) != []


def test_padding_ignored_pixels_and_weak_labels_do_not_count(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    for number in range(8):
        save(raw / "normal" / f"{number}.png", picture(number))
        save(raw / "anomalous" / f"{number + 9}.png", picture(number + 9))
    for number in range(4):
        save(raw / "masks" / f"{number + 9}.png", mask(8))
    save(tmp_path / "ignore.png", np.pad(np.full((HEIGHT, 10), 255, np.uint8), ((0, 0), (0, WIDTH - 10))))
    command = [
        "prepare",
        str(raw),
        str(tmp_path / "data"),
        "--folds",
        "2",
        "--test-share",
        "0.5",
        "--ignore",
        str(tmp_path / "ignore.png"),
    ]
    assert main(command) == 0
    data = PreparedSet.open(tmp_path / "data")
    preparation = Preparation(width=96, height=96, resize="letterbox")
    weak = next(entry.id for entry in data.index.entries if entry.weak)
    drawn = next(entry.id for entry in data.index.entries if entry.defective and not entry.weak)
    seen = looked(data.example(drawn), preparation)
    assert (seen.counts[:16] == 0).all()
    assert (seen.counts[80:] == 0).all()
    assert (seen.counts[20:76, :15] == 0).all()
    assert (seen.counts[20:76, 20:] == 255).all()
    assert seen.mask.max() == 255
    assert (seen.mask[0, :16] == 0).all()
    assert looked(data.example(weak), preparation).counts.max() == 0
    assert looked(data.example(weak), preparation).defective


def test_the_region_of_interest_is_all_that_the_net_sees(prepared: Path) -> None:
    data, _ = opened(prepared)
    name = next(entry.id for entry in data.index.entries if entry.defective)
    region = Region(x=5, y=5, width=20, height=20)
    preparation = Preparation(width=64, height=64, resize="squash", region_of_interest=region)
    seen = looked(data.example(name), preparation)
    assert seen.mask[0, 1, 1] == 255  # the drawn defect begins at 5, 5
    assert (seen.counts == 255).all()


def test_augmentation_moves_picture_and_truth_together(prepared: Path) -> None:
    data, _ = opened(prepared)
    name = next(entry.id for entry in data.index.entries if entry.defective)
    look = looked(data.example(name), Preparation(width=64, height=64, resize="squash"))
    bright = np.repeat(look.mask[0][:, :, None], 3, axis=2)
    twin = msgspec.structs.replace(Augmentation(), contrast=0.0, brightness=0.0, noise=0.0)
    marked = type(look)(bright, look.mask, look.counts, True, look.transform)
    for seed in range(8):
        made = batch_of([marked], twin, np.random.default_rng(seed))
        np.testing.assert_allclose(made.pictures[0, :, :, 0] / 255, made.masks[0, 0], atol=2 / 255)
    plain = batch_of([look], None, np.random.default_rng(0))
    assert (plain.pictures[0] == look.picture).all()


def test_drawn_defects_are_on_good_pictures_only_and_masked(prepared: Path) -> None:
    data, _ = opened(prepared)
    preparation = Preparation(width=128, height=96, resize="squash")
    pictures, rng = Pictures(data, preparation), np.random.default_rng(0)
    good = pictures.look(next(entry.id for entry in data.index.entries if not entry.defective))
    bad = pictures.look(next(entry.id for entry in data.index.entries if entry.defective))
    for _ in range(12):
        made = Painter(preparation, 1.0).painted(good, rng)
        assert made.defective
        assert (made.mask[0] > 0).sum() >= 6
        changed = (made.picture != good.picture).any(axis=2)
        assert (changed & (made.mask[0] > 0)).any()
    assert Painter(preparation, 1.0).painted(bad, rng) is bad
    assert Painter(preparation, 0.0).painted(good, rng) is good


def test_the_padding_is_cut_off_a_mask(prepared: Path) -> None:
    data, _ = opened(prepared)
    look = looked(data.example(data.index.entries[0].id), Preparation(width=96, height=96, resize="letterbox"))
    inside = np.zeros((1, 48, 48), np.float32)
    inside[:, 8:40] = 1
    cut = cut_to_picture(inside, look.transform)
    assert cut.shape == (1, 64, 96)
    assert cut[:, 1:-1].min() == 1


def test_a_run_predicts_every_training_picture_out_of_fold(prepared: Path, whole: Path) -> None:
    run = read_run(whole)
    data, splits = opened(prepared)
    said = open_predictions(whole / "validation", data.digest, splits.splits[TRAIN], "training")
    assert said.document.model == run.onnx
    assert said.document.masks
    assert len(run.folds) == 2
    assert [epoch.fold for epoch in read_history(whole)] == [0] * 4 + [1] * 4 + [None] * run.epochs
    assert not (whole / WORK).exists()
    with pytest.raises(InputError, match="holds a finished run"):
        session(prepared, whole).run(SILENT, resume=True)


def test_no_model_learns_from_the_pictures_that_judge_it(prepared: Path, tmp_path: Path) -> None:
    data, splits = opened(prepared)
    learnt: list[set[int]] = []

    class Spy(FakeLearner):
        """Knows pictures by their brightness."""

        def __init__(self, setup: Setup) -> None:
            super().__init__(setup)
            learnt.append(set())

        def learn(self, batch: Batch) -> float:
            learnt[-1] |= {int(picture.astype(np.int64).sum()) for picture in batch.pictures}
            return super().learn(batch)

    still = Augmentation(flip=False, angle=0, zoom=0, shift=0, contrast=0, brightness=0, noise=0)
    plan = msgspec.structs.replace(PLAN, augmentation=still, steps=8, epochs=1, synthetic=0.0)
    run = session(prepared, tmp_path / "run", Spy, plan=plan).run(SILENT, resume=False)
    pictures = Pictures(data, run.preparation)
    drawn = {name: int(pictures.look(name).picture.astype(np.int64).sum()) for name in data.entries}
    for fold, names in enumerate(splits.folds):
        assert learnt[fold].isdisjoint({drawn[name] for name in names})
    assert all(kind.isdisjoint({drawn[name] for name in splits.splits[TEST]}) for kind in learnt)


def test_a_run_can_learn_from_a_few_of_the_defects_and_is_judged_by_all(prepared: Path, tmp_path: Path) -> None:
    data, splits = opened(prepared)
    marked: list[float] = []

    class Spy(FakeLearner):
        """Counts how many defective pictures it is shown."""

        def learn(self, batch: Batch) -> float:
            marked.append(float(batch.defective.sum()))
            return super().learn(batch)

    plan = msgspec.structs.replace(PLAN, defects=0)
    run = session(prepared, tmp_path / "run", Spy, plan=plan).run(SILENT, resume=False)
    assert run.plan.synthetic == 0.5
    assert 0 < sum(marked) < len(marked) * PLAN.batch  # drawn ones
    said = open_predictions(tmp_path / "run" / "validation", data.digest, splits.splits[TRAIN], "training")
    assert any(data.entry(name).defective for name in said.document.scores)


class PowerCutError(Exception):
    """Somebody pulled the plug."""


@pytest.mark.parametrize("at", [1, 14, 29])
def test_a_run_cut_at_any_step_goes_on_to_the_same_end(prepared: Path, whole: Path, tmp_path: Path, at: int) -> None:
    steps = itertools.count(1)

    def cut(_: float) -> None:
        if next(steps) == at:
            raise PowerCutError

    with pytest.raises(PowerCutError):
        session(prepared, tmp_path / "cut").run(Report(SILENT.begin, cut, SILENT.epoch), resume=False)
    with pytest.raises(InputError, match="--resume"):
        session(prepared, tmp_path / "cut").run(SILENT, resume=False)
    with pytest.raises(InputError, match="another plan, net, seed"):
        session(prepared, tmp_path / "cut", seed=1).run(SILENT, resume=True)
    resumed = session(prepared, tmp_path / "cut").run(SILENT, resume=True)
    assert resumed.onnx == read_run(whole).onnx
    assert resumed.folds == read_run(whole).folds
    losses = [[epoch.losses for epoch in read_history(folder)] for folder in (whole, tmp_path / "cut")]
    assert losses[0] == losses[1]


def test_a_fold_stops_when_it_gets_no_better_and_keeps_its_best(prepared: Path, tmp_path: Path) -> None:
    class Spoilt(FakeLearner):
        """Best after its first epoch."""

        def learn(self, batch: object) -> float:
            self._steps += 1
            self._cut = 100.0 if self._steps <= PLAN.steps else 1e9
            return 1.0

    plan = msgspec.structs.replace(PLAN, epochs=8, patience=2)
    run = session(prepared, tmp_path / "run", Spoilt, plan=plan).run(SILENT, resume=False)
    assert all(fold.epochs < 8 for fold in run.folds)
    assert run.epochs >= 4  # half of the course at least, however early the folds were best


def test_a_full_disk_is_one_line_and_the_checkpoint_before_stands(tmp_path: Path) -> None:
    path = tmp_path / "fold-0.checkpoint"
    write_checkpoint(path, Checkpoint(course="a", best=1))
    path.with_name("gone").mkdir()
    with pytest.raises(StorageError, match="cannot write"):
        write_checkpoint(tmp_path / "missing" / "x", Checkpoint(course="a"))
    assert read_checkpoint(path, "a").best == 1
    with pytest.raises(InputError, match="other settings"):
        read_checkpoint(path, "b")
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(InputError, match="delete it"):
        read_checkpoint(path, "a")


def test_few_defects_are_helped_by_drawn_ones() -> None:
    full = 256 * 640
    assert Plan().for_data(35, full) == msgspec.structs.replace(Plan(), steps=24)
    assert Plan().for_data(0, full).synthetic == 0.5
    assert Plan().for_data(5, full).synthetic == 0.25
    assert Plan().for_data(5000, full).steps == 80
    assert Plan(defects=5).for_data(5000, full) == Plan(defects=5).for_data(5, full)
    with pytest.raises(InputError, match="the plan"):
        msgspec.structs.replace(Plan(), rate=-1.0).checked()


def test_small_pictures_buy_more_steps_for_no_more_time() -> None:
    full, small, tiny = (Plan().for_data(300, pixels) for pixels in (256 * 640, 352 * 352, 64 * 64))
    assert full.steps < small.steps < tiny.steps == 120
    assert small.steps * 352 * 352 <= full.steps * Plan().pixels
    assert Plan(steps=7).for_data(300, 64 * 64).steps == 7


def test_an_unfinished_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no finished run"):
        read_run(tmp_path)
    (tmp_path / RUN_FILE).write_text("{}")
    with pytest.raises(InputError, match=RUN_FILE):
        read_run(tmp_path)
    (tmp_path / HISTORY_FILE).write_bytes(msgspec.json.encode(Epoch(fold=0, epoch=1, losses=(), figures={}, seconds=0)))
    assert read_history(tmp_path)[0].epoch == 1


def test_a_sure_net_keeps_its_order_on_disk(tmp_path: Path) -> None:
    sure = np.array([[[0.9996, 0.9999, 1.0000001]]], np.float32)
    PredictionsFolder(tmp_path).add("part", sure)
    kept = np.load(tmp_path / "masks" / "part.npy")
    assert pytest.approx(kept[0, 0, 0], abs=1e-7) == 0.9996
    assert kept[0, 0, 0] < kept[0, 0, 1] < kept[0, 0, 2] == 1.0
