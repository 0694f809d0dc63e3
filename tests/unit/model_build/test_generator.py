"""The generator of sample pictures."""

import csv
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from model_build.data.readers import reader_for
from model_build.data.records import Options
from model_build.samples import __main__ as command_line
from model_build.samples.defects import DEFECTS, solid
from model_build.samples.folder import DEMO_SEED, JPEG_BYTES, jpeg
from model_build.samples.generator import KINDS, Settings, generate
from model_build.samples.raw import SPLIT_SEEDS
from model_build.samples.textures import TEXTURES

PROJECT = Path(__file__).parents[3]
SMALL = Settings(seed=3, width=160, height=120, defect_share=0.5)


def test_seed_and_index_alone_decide_a_picture() -> None:
    first, again = generate(SMALL, 5), generate(SMALL, 5)
    assert np.array_equal(first.picture, again.picture)
    assert np.array_equal(first.mask, again.mask)
    assert not np.array_equal(first.picture, generate(SMALL, 6).picture)
    other = Settings(seed=4, width=160, height=120, defect_share=0.5)
    assert not np.array_equal(first.picture, generate(other, 5).picture)


def test_the_defect_share_is_kept() -> None:
    tiny = Settings(seed=1, width=32, height=24, defect_share=0.3)
    defective = sum(bool(generate(tiny, index).masks) for index in range(300))
    assert 60 <= defective <= 120
    none = Settings(seed=1, width=32, height=24, defect_share=0.0)
    assert not any(generate(none, index).masks for index in range(20))


def test_the_label_follows_the_mask() -> None:
    for index in range(20):
        sample = generate(SMALL, index)
        assert (sample.label == "anomalous") == bool(sample.mask.any())
        assert {KINDS[value - 1] for value in np.unique(sample.mask) if value} == set(sample.masks)


@pytest.mark.parametrize("kind", KINDS)
def test_a_defect_changes_the_surface_where_its_mask_is(kind: str) -> None:
    for seed in range(20):
        stroke = DEFECTS[kind](np.random.default_rng(seed), 480, 640)
        change = np.abs(stroke.opacity * stroke.brightness)
        mask = solid(stroke.opacity)
        assert mask.any()
        assert np.median(change[mask]) > 10
        # Outside there is only the soft edge, close to the mask.
        near = cv2.dilate(mask.astype(np.uint8), np.ones((15, 15), np.uint8)) > 0
        assert change[~near].max(initial=0.0) < 1.5


@pytest.mark.parametrize("texture", TEXTURES)
def test_every_texture_is_a_plane_around_zero(texture: str) -> None:
    plane = TEXTURES[texture](np.random.default_rng(2), 90, 130)
    assert plane.shape == (90, 130)
    assert plane.dtype == np.float32
    assert abs(float(plane.mean())) < 12
    assert 1 < float(plane.std()) < 40


def test_colour_pictures_have_three_channels() -> None:
    sample = generate(Settings(seed=1, width=64, height=48, colour=True), 0)
    assert sample.picture.shape == (48, 64, 3)
    assert sample.picture.dtype == np.uint8


@pytest.mark.parametrize(("width", "height"), [(1, 1), (16, 500), (1600, 40)])
def test_odd_sizes_are_drawn(width: int, height: int) -> None:
    settings = Settings(seed=1, width=width, height=height, defect_share=1.0)
    for index in range(8):
        assert generate(settings, index).picture.shape == (height, width)


def test_no_two_splits_share_a_seed() -> None:
    seeds = [*SPLIT_SEEDS.values(), DEMO_SEED]
    assert len(set(seeds)) == len(seeds)


def test_the_command_writes_pictures_masks_and_the_list(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "generate",
        "--count",
        "6",
        "--seed",
        "9",
        "--defect-share",
        "1",
        "--width",
        "64",
        "--height",
        "48",
        "--out",
    ]
    assert command_line.main([*arguments, str(tmp_path)]) == 0
    with (tmp_path / "manifest.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    for row in rows:
        picture = cv2.imread(str(tmp_path / row["picture"]), cv2.IMREAD_UNCHANGED)
        mask = cv2.imread(str(tmp_path / row["mask"]), cv2.IMREAD_UNCHANGED)
        assert picture is not None
        assert mask is not None
        assert picture.shape == mask.shape == (48, 64)
        sample = generate(Settings(seed=9, width=64, height=48, defect_share=1.0), int(row["index"]))
        assert np.array_equal(mask, sample.mask)
        assert row["kinds"].split() == list(sample.masks)
    assert "6 of 6" in capfd.readouterr().err


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").write_text("a file")
    assert command_line.main(["generate", "--count", "1", "--seed", "1", "--out", str(tmp_path / "taken")]) == 1
    assert capfd.readouterr().err.strip().splitlines()[-1].startswith("generate: ")


@pytest.mark.parametrize("wrong", [["--count", "0"], ["--defect-share", "1.5"], ["--width", "-3"]])
def test_bad_options_are_refused(wrong: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command_line.main(["generate", "--seed", "1", "--out", str(tmp_path), *wrong])
    assert "is not between" in capfd.readouterr().err


def test_the_committed_demo_parts_are_what_the_command_draws() -> None:
    with (PROJECT / "demo" / "parts.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(list((PROJECT / "demo" / "parts").iterdir()))
    for index, row in enumerate(rows):
        sample = generate(Settings(seed=DEMO_SEED, defect_share=0.3), index)
        assert (row["part_id"], row["label"], row["kinds"].split()) == (
            f"part-{index + 1:04d}",
            sample.label,
            list(sample.masks),
        )
        if index % 8 == 0:  # drawing is quick, finding the JPEG quality is not
            committed = PROJECT / "demo" / "parts" / f"{row['part_id']}.jpg"
            assert committed.stat().st_size <= JPEG_BYTES
            drawn, kept = (
                np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE), np.int16)
                for data in (jpeg(sample), committed.read_bytes())
            )
            # Equal here; another processor may round a float differently, which moves single pixels a little.
            assert np.abs(drawn - kept).mean() < 0.2


@pytest.mark.parametrize("kinds", [True, False])
def test_raw_data_is_read_back_with_its_masks(kinds: bool, tmp_path: Path) -> None:
    command = ["raw", "--out", str(tmp_path / "raw"), "--train", "12", "--test", "3", *(["--kinds"] if kinds else [])]
    assert command_line.main(command) == 0
    records = {record.id: record for record in reader_for(tmp_path / "raw").records(tmp_path / "raw", Options())}
    assert Counter(record.split for record in records.values()) == {"train": 12, "test": 3}
    for index in range(12):
        sample = generate(Settings(SPLIT_SEEDS["train"], defect_share=0.5), index)
        record = next(found for found in records.values() if f"train-{index:06d}" in found.source)
        assert record.defective == bool(sample.masks)
        drawn = record.masks(480, 640) if record.masks else {}
        whole = {"defect": sample.mask > 0} if sample.masks else {}
        wanted = {kind: mask for kind, mask in (sample.masks if kinds else whole).items() if mask.any()}
        assert drawn.keys() == wanted.keys()
        assert all(np.array_equal(drawn[kind], wanted[kind]) for kind in drawn)
    endings = {Path(record.source).suffix for record in records.values()}
    assert endings == {".png", ".jpg"}


def test_the_truth_of_parts_is_named_after_the_whole_folder(tmp_path: Path) -> None:
    assert command_line.main(["parts", "--out", str(tmp_path / "parts.v2"), "--count", "1"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["parts.v2", "parts.v2.csv"]


@pytest.mark.parametrize("command", ["generate", "parts"])
def test_a_negative_seed_is_a_wrong_command_line(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        command_line.main([command, "--out", str(tmp_path / "out"), "--seed", "-1"])
    assert "argument --seed: -1 is below 0" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
