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
from model_build.data.records import Options, Record
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


def test_an_unknown_folder_is_told_the_known_layouts(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no known layout"):
        reader_for(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        reader_for(tmp_path / "missing")
