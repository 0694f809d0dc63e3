"""Preparing: one form, whole or not at all, one clear line for each kind of bad input."""

import os
import shutil
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from linewatch_common.errors import InputError, StorageError
from linewatch_common.manifest import Region
from numpy.typing import NDArray

from model_build.__main__ import main
from model_build.data.prepare import Preparer, Settings, listed
from model_build.data.prepared import PreparedSet, mask_name, picture_name
from model_build.data.readers import reader_for
from model_build.data.records import Options, Record
from tests.unit.model_build.pictures import mask, picture, reference, save


def prepared(source: Path, out: Path, settings: Settings | None = None) -> PreparedSet:
    chosen = settings or Settings("any")
    records, left = listed(reader_for(source).records(source, Options()), chosen)
    return Preparer(out, chosen).run(records, left, iter(records))


def test_what_is_prepared_is_what_was_given(tmp_path: Path) -> None:
    data = prepared(reference(tmp_path / "raw"), tmp_path / "out")
    example = data.example("anomalous-101")
    assert (example.picture == picture(101)).all()
    assert example.mask.shape == (1, 40, 60)
    assert (example.mask[0] == (mask(4) > 0)).all()
    assert not data.example("normal-000").mask.any()
    assert len(list(data.verify())) == 14
    assert prepared(tmp_path / "raw", tmp_path / "again").digest == data.digest


def test_the_digest_does_not_depend_on_where_the_source_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor on how its folder is written on the command line; what was left out says no more of the machine."""
    raw = reference(tmp_path / "my raw", 8, 8)
    (raw / "normal" / "broken.png").write_bytes(b"no picture")
    shutil.copytree(raw, tmp_path / "elsewhere" / "normal")
    monkeypatch.chdir(raw)
    sources = (str(raw), "../my raw/", ".", str(tmp_path / "elsewhere" / "normal"))
    digests = []
    for number, source in enumerate(sources):
        out = tmp_path / f"out-{number}"
        assert main(["prepare", source, str(out), "--bad", "leave-out", "--folds", "2"]) == 0
        digests.append(PreparedSet.open(out).digest)
    assert len(set(digests)) == 1
    index = PreparedSet.open(tmp_path / "out-0").index
    assert index.entries[0].source == "normal/000.png"
    (left,) = index.left_out
    assert left.source == "normal/broken.png"
    assert left.reason.startswith("normal/broken.png: ")


def test_several_classes_have_a_channel_each(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    save(raw / "train" / "good" / "0.png", picture(0))
    for number, kind in enumerate(("dent", "crack"), start=1):
        save(raw / "test" / kind / "0.png", picture(number))
        save(raw / "ground_truth" / kind / "0_mask.png", mask(number + 2))
    data = prepared(raw, tmp_path / "out")
    assert [int(plane.sum()) for plane in data.mask("test-dent-0")] == [
        9 if name == "dent" else 0 for name in data.index.classes
    ]


def test_region_and_ignored_pixels_never_count(tmp_path: Path) -> None:
    ignore = np.zeros((40, 60), np.uint8)
    ignore[:6] = 255
    settings = Settings("any", "refuse", Region(x=0, y=0, width=30, height=40), save(tmp_path / "ignore.png", ignore))
    data = prepared(reference(tmp_path / "raw", 1, 1), tmp_path / "out", settings)
    counts = data.counts("anomalous-100")
    assert not counts[:6].any()
    assert not counts[:, 30:].any()
    assert counts.sum() == 34 * 30
    assert data.entry("anomalous-100").areas == {"defect": 6}  # 3 x 3, its first row is ignored


def test_a_region_or_ignore_mask_that_does_not_fit_names_the_picture(tmp_path: Path) -> None:
    raw = reference(tmp_path / "raw", 1, 1)
    for settings, line in (
        (Settings("any", region=Region(x=90, y=0, width=5, height=5)), "000.png: the region of interest at x 90"),
        (Settings("any", ignore=save(tmp_path / "i.png", mask()[:9])), "000.png: the ignore mask is 60x9"),
    ):
        with pytest.raises(InputError, match=line):
            prepared(raw, tmp_path / "out", settings)


def test_more_classes_than_a_mask_has_bits_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "raw" / "train" / "good" / "0.png", picture(0))
    for number in range(17):
        save(tmp_path / "raw" / "test" / f"kind{number}" / "0.png", picture(number))
        save(tmp_path / "raw" / "ground_truth" / f"kind{number}" / "0_mask.png", mask())
    with pytest.raises(InputError, match="over 16 defect classes, merge some in the source: kind0"):
        prepared(tmp_path / "raw", tmp_path / "out")


def bad_size(raw: Path) -> None:
    save(raw / "masks" / "100.png", np.ones((10, 10), np.uint8))


def empty_mask(raw: Path) -> None:
    save(raw / "masks" / "100.png", np.zeros((40, 60), np.uint8))


def mask_on_good(raw: Path) -> None:
    save(raw / "masks" / "000.png", mask())


def cut_file(raw: Path) -> None:
    path = raw / "normal" / "000.png"
    path.write_bytes(path.read_bytes()[:-40])


def cut_jpeg(raw: Path) -> None:
    data = bytes(cv2.imencode(".jpg", picture(0))[1])
    (raw / "normal" / "000.png").unlink()
    (raw / "normal" / "000.jpg").write_bytes(data[: len(data) // 2])


def no_picture(raw: Path) -> None:
    (raw / "normal" / "000.png").write_bytes(b"hello")


def twice(raw: Path) -> None:
    save(raw / "normal" / "000.jpg", picture(50))


BAD = [
    (bad_size, "the mask 'defect' is 10x10, the picture 60x40"),
    (empty_mask, "labelled defective, and its mask is empty"),
    (mask_on_good, "labelled good, and its mask marks a defect"),
    (cut_file, "cut off"),
    (cut_jpeg, "cut off"),
    (no_picture, "not a picture that can be decoded"),
    (twice, "duplicate name 'normal-000'"),
]


@pytest.mark.parametrize(("spoil", "line"), BAD, ids=[spoil.__name__ for spoil, _ in BAD])
def test_bad_input_is_one_line_and_nothing_is_written(spoil, line, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]  # a table
    raw = reference(tmp_path / "raw")
    spoil(raw)
    with pytest.raises(InputError) as refused:
        prepared(raw, tmp_path / "out")
    lines = str(refused.value).splitlines()
    assert len(lines) == 2
    assert line in lines[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw"]
    data = prepared(raw, tmp_path / "out", Settings("any", bad="leave-out"))
    assert [line in left.reason for left in data.index.left_out] == [True]
    assert len(data.entries) + len(data.index.left_out) == len(list((raw / "normal").iterdir())) + 6


def turned(pixels: NDArray[np.uint8], orientation: int) -> bytes:
    """A JPEG that asks to be shown turned."""
    jpeg = bytes(cv2.imencode(".jpg", pixels)[1])
    exif = b"Exif\0\0II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]


def test_a_mask_drawn_on_a_picture_that_is_shown_turned_is_refused(tmp_path: Path) -> None:
    raw = reference(tmp_path / "raw", 1, 3)
    for number, orientation in ((100, 1), (101, 6), (102, 3)):
        (raw / "anomalous" / f"{number}.png").unlink()
        (raw / "anomalous" / f"{number}.jpg").write_bytes(turned(picture(number), orientation))
    with pytest.raises(InputError, match=r"102.jpg: nobody knows which way its mask lies \(its EXIF, orientation 3"):
        prepared(raw, tmp_path / "out")
    (raw / "anomalous" / "102.jpg").unlink()
    (raw / "masks" / "102.png").unlink()
    # A mask of the stored picture's size can only lie as that does.
    assert not prepared(raw, tmp_path / "out").entry("anomalous-101").weak
    save(raw / "masks" / "101.png", np.ascontiguousarray(np.rot90(mask())))
    with pytest.raises(InputError, match=r"the mask 'defect' is 40x60, the picture 60x40 \(its EXIF"):
        prepared(raw, tmp_path / "again")


def test_names_that_are_no_utf8_are_taken(tmp_path: Path) -> None:
    raw = reference(tmp_path / "raw")
    for number, name in enumerate((b"Teil_\xfc.png", b"Teil_\xf6.png")):
        (raw / "normal" / f"00{number}.png").rename(raw / "normal" / os.fsdecode(name))
    data = prepared(raw, tmp_path / "out")
    assert len({entry.part for entry in data.index.entries}) == len({*data.entries}) == 14
    assert "\\udcfc" in "".join(entry.source for entry in data.index.entries)


def test_prepare_says_what_a_split_cannot_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = tmp_path / "raw"
    for number in range(16):
        save(raw / ("train" if number < 8 else "test") / "good" / f"{number}.png", picture(number))
    for number in range(6):
        save(raw / "test" / "dent" / f"{number}.png", picture(50 + number))
    told = {}
    for method in ("auto", "suggested"):
        assert main(["prepare", str(raw), str(tmp_path / method), "--split", method, "--rare", "pool"]) == 0
        told[method] = capsys.readouterr().out
    assert "split at random: the source's own has 0 defective picture(s) in its train split" in told["auto"]
    assert "4 folds instead of 5" in told["auto"]
    assert "no defective picture in the training split" in told["suggested"]


def test_an_interrupted_run_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    raw = reference(tmp_path / "raw")
    whole = prepared(raw, tmp_path / "whole")
    settings = Settings("any")
    records, left = listed(reader_for(raw).records(raw, Options()), settings)

    def pulled_plug() -> Iterator[Record]:
        yield from records[:9]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Preparer(tmp_path / "out", settings).run(records, left, pulled_plug())
    assert not (tmp_path / "out").exists()
    partial = tmp_path / "out.partial"
    kept = (partial / picture_name("anomalous-100")).stat()
    (partial / mask_name("anomalous-100")).stat()
    with (partial / "journal.jsonl").open("ab") as file:
        file.write(b'["cut of')
    (partial / picture_name("normal-003")).write_bytes(b"half")
    data = Preparer(tmp_path / "out", settings).run(records, left, iter(records))
    assert data.digest == whole.digest
    assert len(list(data.verify())) == 14
    assert (tmp_path / "out" / picture_name("anomalous-100")).stat().st_ino == kept.st_ino  # not written again
    assert not partial.exists()


def test_a_resumed_run_takes_the_part_and_the_label_that_the_source_gives_now(tmp_path: Path) -> None:
    """A part that was named anew, a person's second word: an old one would part what belongs together, or teach a mistake."""
    raw, settings = reference(tmp_path / "raw", good=2, defective=0), Settings("any")
    records, left = listed(reader_for(raw).records(raw, Options()), settings)

    def pulled_plug() -> Iterator[Record]:
        yield from records
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Preparer(tmp_path / "out", settings).run(records, left, pulled_plug())
    now = [replace(record, part="bracket", split="test", defective=True) for record in records]
    for entry in Preparer(tmp_path / "out", settings).run(now, left, iter(now)).index.entries:
        assert (entry.part, entry.split, entry.defective, entry.weak) == ("bracket", "test", True, True)


def test_a_full_disk_is_one_line_and_what_is_done_is_kept(tmp_path: Path) -> None:
    raw = reference(tmp_path / "raw")
    with pytest.raises(StorageError, match="make room and run again"):
        prepared(raw, tmp_path / "out", Settings("any", free_bytes=1 << 60))
    assert not (tmp_path / "out").exists()
    assert len(prepared(raw, tmp_path / "out").entries) == 14


def test_a_changed_file_is_refused_when_read(tmp_path: Path) -> None:
    data = prepared(reference(tmp_path / "raw", 1, 1), tmp_path / "out")
    path = tmp_path / "out" / picture_name("normal-000")
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(InputError, match="was changed"):
        data.example("normal-000")


def test_the_command_line_prepares_splits_and_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw, out = reference(tmp_path / "raw", 12, 8), tmp_path / "out"
    save(raw / "normal" / "twin.png", picture(100))  # the look of a defective one
    arguments = ["prepare", str(raw), str(out), "--folds", "2", "--seed", "3"]
    assert main(arguments) == 0
    assert main(arguments) == 0  # a second time: nothing to do
    assert main(["report", str(out), str(tmp_path / "report")]) == 0
    assert {path.name for path in (tmp_path / "report").iterdir()} == {
        "data-report.json",
        "defects-1.png",
        "duplicates.png",
    }
    assert main([*arguments[:-1], "4"]) == 1  # another split in the same place
    assert "another split is there" in capsys.readouterr().err
    shutil.rmtree(out)
    assert main([*arguments, "--region", "100,0,5,5"]) == 1
    assert "region of interest" in capsys.readouterr().err
