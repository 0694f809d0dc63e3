"""Every layout is found by itself and read into the same records."""

import json
import sqlite3
from pathlib import Path

import cv2
import numpy as np
import pytest
from linewatch_common.errors import InputError
from linewatch_common.ledger import LEDGER_FILE, create_schema
from linewatch_common.messages import Verdict
from linewatch_common.messages.examples import VERDICTS
from linewatch_common.store import StoredInspection, inspection_path, write_inspection

from model_build.data.pixels import decode_picture
from model_build.data.readers import reader_for
from model_build.data.readers.outlines import area_mask, run_lengths, unpacked_counts
from model_build.data.records import Options, Record, safe_id
from tests.unit.model_build.pictures import HEIGHT, WIDTH, mask, picture, reference, save


def read(folder: Path, layout: str, options: Options | None = None) -> dict[str, Record]:
    reader = reader_for(folder)
    assert reader.name == layout
    return {record.id: record for record in reader.records(folder, options or Options())}


def areas(record: Record) -> dict[str, int]:
    assert record.masks is not None
    return {name: int(found.sum()) for name, found in record.masks(HEIGHT, WIDTH).items()}


def test_kolektorsdd2(tmp_path: Path) -> None:
    for split, number in (("train", "10000"), ("test", "20000")):
        save(tmp_path / split / f"{number}.png", picture(1))
        save(tmp_path / split / f"{number}_GT.png", mask())
    found = read(tmp_path, "kolektorsdd2")
    assert {name: (record.split, record.defective) for name, record in found.items()} == {
        "train-10000": ("train", None),
        "test-20000": ("test", None),
    }
    assert areas(found["train-10000"]) == {"defect": 16}


def test_kolektorsdd2_holds_one_pair_twice(tmp_path: Path) -> None:
    """The published archive does: 10301 and its mask lie there as `10301 (copy).png` and `10301_GT (copy).png` too."""
    for name in ("10301", "10301 (copy)"):
        save(tmp_path / "train" / f"{name}.png", picture(1))
        save(tmp_path / "train" / f"{name.replace('10301', '10301_GT')}.png", mask())
    assert list(read(tmp_path, "kolektorsdd2")) == ["train-10301"]


def test_kolektorsdd_as_published(tmp_path: Path) -> None:
    save(tmp_path / "kos01" / "Part0.jpg", picture(1))
    save(tmp_path / "kos01" / "Part0_label.bmp", mask())
    assert read(tmp_path, "kolektorsdd")["kos01-Part0"].part == "kos01"


def test_the_reference_layout_knows_weak_labels(tmp_path: Path) -> None:
    reference(tmp_path, good=1, defective=2)
    (tmp_path / "masks" / "100.png").unlink()
    found = read(tmp_path, "normal-anomalous")
    assert found["anomalous-100"].masks is None
    assert areas(found["anomalous-101"]) == {"defect": 16}
    assert found["normal-000"].defective is False


def told(record: Record) -> str:
    with pytest.raises(InputError) as refused:
        record.picture()
    return str(refused.value)


MASK_NAMES = ["100_MASK.PNG", "mask_100.png", "100.png.png", "100_Label.bmp", "100/0.png"]


@pytest.mark.parametrize("name", MASK_NAMES)
def test_masks_are_found_under_the_names_that_tools_give_them(name: str, tmp_path: Path) -> None:
    reference(tmp_path, good=1, defective=1)
    data = (tmp_path / "masks" / "100.png").read_bytes()
    (tmp_path / "masks" / "100.png").unlink()
    (tmp_path / "masks" / name).parent.mkdir(exist_ok=True)
    (tmp_path / "masks" / name).write_bytes(data)
    assert areas(read(tmp_path, "normal-anomalous")["anomalous-100"]) == {"defect": 9}


def test_a_mask_of_no_picture_is_a_problem_and_no_weak_label_in_silence(tmp_path: Path) -> None:
    reference(tmp_path, good=1, defective=1)
    (tmp_path / "masks" / "100.png").rename(tmp_path / "masks" / "segmentation100.png")
    assert "is the mask of no picture in normal/ or anomalous/" in told(
        read(tmp_path, "normal-anomalous")["mask-segmentation100"]
    )


def test_a_name_of_both_kinds_has_the_defective_pictures_mask(tmp_path: Path) -> None:
    reference(tmp_path, good=1, defective=1)
    (tmp_path / "normal" / "000.png").rename(tmp_path / "normal" / "100.png")
    found = read(tmp_path, "normal-anomalous")
    assert found["normal-100"].masks is None
    assert areas(found["anomalous-100"]) == {"defect": 9}


def test_the_reference_layout_has_folders_below(tmp_path: Path) -> None:
    save(tmp_path / "normal" / "cam 1" / "a.webp", picture(1))
    save(tmp_path / "anomalous" / "cam 1" / "b.png", picture(2))
    save(tmp_path / "masks" / "cam 1" / "b.png", mask())
    found = read(tmp_path, "normal-anomalous")
    assert list(found) == ["normal-cam_1-a", "anomalous-cam_1-b"]
    assert areas(found["anomalous-cam_1-b"]) == {"defect": 16}
    (tmp_path / "normal" / "c.heic").write_bytes(b"x")
    with pytest.raises(InputError, match=r"c.heic: .heic cannot be read"):
        read(tmp_path, "normal-anomalous")


def test_a_line_without_a_defect_yet_has_no_folder_for_them(tmp_path: Path) -> None:
    save(tmp_path / "normal" / "a.png", picture(1))
    assert list(read(tmp_path, "normal-anomalous")) == ["normal-a"]
    (tmp_path / "anomaly").mkdir()
    with pytest.raises(InputError, match="no known layout"):
        reader_for(tmp_path)
    (tmp_path / "train.manifest").touch()
    assert reader_for(tmp_path).name == "ground-truth"


def test_a_jpegs_blurred_black_is_no_defect(tmp_path: Path) -> None:
    reference(tmp_path, good=1, defective=1)
    (tmp_path / "masks" / "100.png").unlink()
    disc = cv2.circle(np.zeros((HEIGHT, WIDTH), np.uint8), (25, 20), 8, 255, -1)
    save(tmp_path / "masks" / "100.jpg", disc)
    found = areas(read(tmp_path, "normal-anomalous")["anomalous-100"])["defect"]
    assert abs(found - int((disc > 0).sum())) <= 8


def test_ids_keep_apart_what_ascii_cannot_say() -> None:
    names = ["Teil ä", "Teil ö", "x" * 130 + "1", "x" * 130 + "2"]
    ids = [safe_id(name) for name in names]
    assert len(set(ids)) == 4
    assert all(len(each) <= 120 and each.isascii() for each in ids)
    assert safe_id("kos01/Part 0") == "kos01-Part_0"


def test_the_part_stands_in_the_name(tmp_path: Path) -> None:
    import re

    reference(tmp_path, good=1, defective=0)
    (tmp_path / "anomalous").mkdir()
    assert read(tmp_path, "normal-anomalous", Options(part=re.compile(r"/(\d)")))["normal-000"].part == "0"
    with pytest.raises(InputError, match="finds no part"):
        read(tmp_path, "normal-anomalous", Options(part=re.compile(r"x(\d)")))


def test_mvtec_names_the_kinds(tmp_path: Path) -> None:
    save(tmp_path / "train" / "good" / "000.png", picture(1))
    save(tmp_path / "test" / "scratch" / "000.png", picture(2))
    save(tmp_path / "ground_truth" / "scratch" / "000_mask.png", mask())
    found = read(tmp_path, "mvtec")
    assert areas(found["test-scratch-000"]) == {"scratch": 16}
    assert (found["train-good-000"].split, found["train-good-000"].masks) == ("train", None)


def test_mvtecs_followers(tmp_path: Path) -> None:
    """LOCO: a folder of masks a picture. AD 2: test_public/ with its own ground truth. BTAD: ok for good."""
    save(tmp_path / "train" / "ok" / "000.png", picture(1))
    save(tmp_path / "test" / "logical" / "000.png", picture(2))
    for number in range(2):
        save(tmp_path / "ground_truth" / "logical" / "000" / f"00{number}.png", np.roll(mask(), 20 * number, axis=1))
    save(tmp_path / "test_public" / "good" / "000.png", picture(3))
    save(tmp_path / "test_public" / "bad" / "000.png", picture(4))
    save(tmp_path / "test_public" / "ground_truth" / "bad" / "000_mask.png", mask())
    found = read(tmp_path, "mvtec")
    assert {name: (record.split, record.defective) for name, record in found.items()} == {
        "train-ok-000": ("train", False),
        "test-logical-000": ("test", True),
        "test_public-bad-000": ("test", True),
        "test_public-good-000": ("test", False),
    }
    assert areas(found["test-logical-000"]) == {"logical": 32}
    assert areas(found["test_public-bad-000"]) == {"bad": 16}


def test_mvtecs_masks_belong_to_the_last_split_that_has_the_name(tmp_path: Path) -> None:
    save(tmp_path / "train" / "good" / "000.png", picture(1))
    for split, name in (("train", "000"), ("train", "001"), ("test", "000")):
        save(tmp_path / split / "dent" / f"{name}.png", picture(len(split) + int(name)))
    for name in ("000", "001", "002"):
        save(tmp_path / "ground_truth" / "dent" / f"{name}_mask.png", mask())
    found = read(tmp_path, "mvtec")
    assert [found[name].masks is None for name in ("train-dent-000", "train-dent-001", "test-dent-000")] == [
        True,
        False,
        False,
    ]
    assert "is the mask of no picture in test/dent/" in told(found["mask-002_mask"])


def coco(folder: Path, name: str, **changes: object) -> None:
    """One picture with a dent, one without."""
    document: dict[str, object] = {
        "images": [{"id": 0, "file_name": "a b.png"}, {"id": 1, "file_name": "c.png"}],
        "categories": [{"id": 0, "name": "dent", "supercategory": "none"}],
        "annotations": [{"image_id": 0, "category_id": 0, "segmentation": [[5, 5, 9, 5, 9, 9, 5, 9]]}],
    }
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("\ufeff" + json.dumps(document | changes), encoding="utf-8")


COCO_PLACES = [
    ("train/_annotations.coco.json", "train", "train-"),
    ("annotations/instances_train2017.json", "train2017", "train-"),
    ("annotations/instances_Test.json", "images/Test", "test-"),
    ("annotations/instances_default.json", "images", ""),
    ("result.json", "images", ""),
]


@pytest.mark.parametrize(("document", "pictures", "split"), COCO_PLACES)
def test_coco_as_tools_lay_it_out(document: str, pictures: str, split: str, tmp_path: Path) -> None:
    """Roboflow, the COCO set itself, CVAT with and without subsets, Label Studio."""
    root = tmp_path / "my_test_set"
    coco(root, document)
    for name in ("a b.png", "c.png"):
        save(root / pictures / name, picture(1))
    found = read(root, "coco")
    assert {name: record.defective for name, record in found.items()} == {f"{split}a_b": True, f"{split}c": False}
    assert {record.split for record in found.values()} == {split.strip("-") or None}


def test_coco_names_as_a_browser_or_windows_writes_them(tmp_path: Path) -> None:
    save(tmp_path / "images" / "a b.png", picture(1))
    for name in ("images/a%20b.png", "images\\a b.png"):
        coco(tmp_path, "annotations.json", images=[{"id": 0, "file_name": name}])
        (found,) = read(tmp_path, "coco").values()
        assert decode_picture(found.picture(), "x").shape == (HEIGHT, WIDTH)


def test_coco_problems_are_told_one_by_one(tmp_path: Path) -> None:
    save(tmp_path / "a b.png", picture(1))
    mark = {"image_id": 0, "category_id": 7, "segmentation": [5, 5, 9, 5, 9, 9, 5, 9]}
    coco(tmp_path, "annotations.json", annotations=[mark, mark | {"image_id": 99}])
    found = read(tmp_path, "coco")
    assert [told(record).split(": ", 1)[1] for record in found.values()] == [
        "picture 'a b.png': category 7 is not declared",
        "picture 'c.png' is neither beside it nor in images/",
        "1 picture(s) are annotated that are not in its images, e.g. 99",
    ]


def test_coco_annotations_of_another_size_are_refused(tmp_path: Path) -> None:
    """They would be drawn in the wrong place: the pictures were made smaller after they were annotated."""
    save(tmp_path / "a b.png", picture(1))
    for size, line in ((WIDTH, None), (2 * WIDTH, "is 60x40, its annotations are for 120x40")):
        coco(tmp_path, "annotations.json", images=[{"id": 0, "file_name": "a b.png", "width": size, "height": HEIGHT}])
        (found,) = read(tmp_path, "coco").values()
        if line is None:
            assert areas(found)["dent"] >= 9
        else:
            with pytest.raises(InputError, match=line):
                areas(found)


def test_coco_knows_good_categories_and_changed_copies(tmp_path: Path) -> None:
    names = ["x_png.rf.0a.png", "x_png.rf.1b.png"]
    for name in names:
        save(tmp_path / name, picture(1))
    coco(
        tmp_path,
        "annotations.json",
        images=[{"id": number, "file_name": name} for number, name in enumerate(names)],
        categories=[{"id": 0, "name": "Good"}],
    )
    found = list(read(tmp_path, "coco").values())
    assert [record.defective for record in found] == [False, False]
    assert {record.part for record in found} == {"x_png"}


def test_coco_draws_polygons_and_runs(tmp_path: Path) -> None:
    save(tmp_path / "images" / "a.png", picture(1))
    save(tmp_path / "images" / "b.png", picture(2))
    runs = run_lengths(mask() > 0)
    document = {
        "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
        "categories": [{"id": 1, "name": "dent"}, {"id": 2, "name": "crack"}],
        "annotations": [
            {"image_id": 1, "category_id": 1, "segmentation": {"size": [HEIGHT, WIDTH], "counts": runs}},
            {"image_id": 1, "category_id": 2, "segmentation": [[5, 5, 9, 5, 9, 9, 5, 9]]},
        ],
    }
    (tmp_path / "annotations.json").write_text(json.dumps(document))
    found = read(tmp_path, "coco")
    assert found["b"].defective is False
    dent_crack = areas(found["a"])
    assert dent_crack["dent"] == 16
    assert 9 <= dent_crack["crack"] <= 25  # a polygon's edge may fall on either side
    (tmp_path / "annotations.json").write_text(json.dumps(document | {"images": [{"id": 1, "file_name": "../a.png"}]}))
    with pytest.raises(InputError, match="leaves the folder"):
        read(tmp_path, "coco")


def test_coco_run_lengths_as_text() -> None:
    # cocoapi's own text of runs 6, 1, 40, 4, 5, 4, 5, 4, 21 (from its documentation's 10x9 example).
    assert unpacked_counts("61X13mN000`0") == [6, 1, 40, 4, 5, 4, 5, 4, 21]
    with pytest.raises(InputError, match="run lengths of 7 pixels"):
        area_mask({"size": [2, 3], "counts": [3, 4]}, 2, 3, "x")


def test_ground_truth_and_lookout_manifests(tmp_path: Path) -> None:
    save(tmp_path / "set" / "a.png", picture(1))
    save(tmp_path / "set" / "b.png", picture(2))
    coloured = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    coloured[mask() > 0] = (0x36, 0xA4, 0x23)  # BGR of #23A436
    save(tmp_path / "masks" / "a.png", coloured)
    colours = {
        "0": {"class-name": "BACKGROUND", "hex-color": "#ffffff"},
        "1": {"class-name": "dent", "hex-color": "#23A436"},
    }
    lines = [
        {
            "source-ref": "s3://bucket/prefix/set/a.png",
            "anomaly-label": 1,
            "anomaly-label-metadata": {"class-name": "anomaly", "type": "groundtruth/image-classification"},
            "anomaly-mask-ref": "s3://bucket/prefix/masks/a.png",
            "anomaly-mask-ref-metadata": {"internal-color-map": colours, "type": "groundtruth/semantic-segmentation"},
        },
        {"source-ref": "set/b.png", "auto-label": 0, "auto-label-metadata": {"class-name": "normal"}},
    ]
    (tmp_path / "train.manifest").write_text("\n".join(map(json.dumps, lines)))
    found = read(tmp_path, "ground-truth")
    assert areas(found["set-a"]) == {"dent": 16}
    assert (found["set-b"].defective, found["set-b"].split) == (False, "train")
    (tmp_path / "train.manifest").write_text('{"source-ref": "set/b.png"}')
    with pytest.raises(InputError, match="line 1: no label"):
        read(tmp_path, "ground-truth")


def test_ground_truth_of_masks_alone_and_with_files_that_are_missing(tmp_path: Path) -> None:
    save(tmp_path / "a.png", picture(1))
    save(tmp_path / "m.png", mask())
    colours = {
        "0": {"class-name": "BACKGROUND", "hex-color": "#000000"},
        "1": {"class-name": "dent", "hex-color": "#ffffff"},
    }
    line = {
        "source-ref": "s3://b/a.png",
        "seg-ref": "s3://b/m.png",
        "seg-ref-metadata": {"internal-color-map": colours},
    }
    lines = [line, line | {"source-ref": "s3://b/gone.png"}, line | {"seg-ref": "s3://b/none.png"}]
    (tmp_path / "latest.manifest").write_text("\ufeff" + "\n".join(map(json.dumps, lines)), encoding="utf-8")
    first, *others = read(tmp_path, "ground-truth").values()
    assert (first.defective, first.split, areas(first)) == (None, None, {"dent": 16})
    assert ["gone.png" in told(others[0]), "none.png" in told(others[1])] == [True, True]


def test_captured_parts_count_when_a_person_labelled_them(tmp_path: Path) -> None:
    verdict = next(message for message in VERDICTS if isinstance(message, Verdict))
    encoded = bytes(cv2.imencode(".jpg", picture(1))[1])
    path = inspection_path(tmp_path / "store", verdict)
    write_inspection(path, StoredInspection(verdict, encoded))
    with sqlite3.connect(tmp_path / LEDGER_FILE) as ledger:
        create_schema(ledger)
        assert read(tmp_path, "captured") == {}
        for number, label in enumerate(("pass", "fail")):
            ledger.execute(
                "INSERT INTO labels (command_id, frame_id, label, operator, at) VALUES (?, ?, ?, 'anna', 'now')",
                (str(number), verdict.frame_id, label),
            )
    ledger.close()
    (record,) = read(tmp_path, "captured").values()
    assert record.defective is True  # the last word counts
    assert record.masks is None
    assert decode_picture(record.picture(), "x").shape == (HEIGHT, WIDTH)
    path.write_bytes(path.read_bytes()[:100])  # a power cut
    (record,) = read(tmp_path, "captured").values()
    assert "not a whole inspection" in told(record)


@pytest.mark.parametrize("row", ["000,maybe", "000,", "000"])
def test_a_manifest_that_does_not_say_what_a_picture_is_makes_it_no_good_one(row: str, tmp_path: Path) -> None:
    save(tmp_path / "images" / "000.png", picture(1))
    (tmp_path / "masks").mkdir()
    (tmp_path / "manifest.csv").write_text(f"id,defective\n{row}\n")
    (record,) = read(tmp_path, "kolektorsdd-manifest").values()
    assert "line 2: defective is " in told(record)


def test_an_unknown_folder_is_told_the_known_layouts(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no known layout"):
        reader_for(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        reader_for(tmp_path / "missing")
