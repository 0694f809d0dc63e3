"""The folder source on real folders."""

import os
from pathlib import Path

import numpy as np
import pytest
from linewatch_camera.sources.folder import FolderSource, natural_order, part_id_of
from linewatch_camera.sources.port import Picture, SourceEnded, SourceFailure
from linewatch_common.errors import UnavailableError

from tests.unit.camera.pictures import encoded, png_claiming, save, textured

SLOT = 1_000_000


def source(folder: Path | str, *, loop: bool = False, cursor: int = 0) -> FolderSource:
    made = FolderSource(str(folder), loop=loop, slot_bytes=SLOT)
    made.start(cursor)
    return made


def read_all(made: FolderSource) -> list[Picture | SourceFailure]:
    taken: list[Picture | SourceFailure] = []
    try:
        while True:
            taken.append(made.read())
    except SourceEnded:
        return taken


def grey(value: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    return np.full((4, 6), value, np.uint8)


def test_pictures_come_in_natural_order_with_their_names(tmp_path: Path) -> None:
    for number, name in enumerate(("p10.png", "p9.bmp", "P1.TIFF", "p2.jpg", "p2b.jpeg", "q.tif")):
        path = tmp_path / name
        path.write_bytes(encoded(path.suffix.lower(), grey(number)))
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / ".hidden.png").write_bytes(b"x")
    (tmp_path / "folder.png").mkdir()
    before = sorted((entry.name, entry.stat().st_mtime_ns) for entry in tmp_path.iterdir())
    taken = read_all(source(tmp_path))
    assert [picture.part_id for picture in taken] == ["P1", "p2", "p2b", "p9", "p10", "q"]
    assert all(isinstance(picture, Picture) for picture in taken)
    assert sorted((entry.name, entry.stat().st_mtime_ns) for entry in tmp_path.iterdir()) == before


def test_a_bad_file_is_a_failure_with_its_name_and_the_next_one_follows(tmp_path: Path) -> None:
    good = encoded(".png", textured(50, 60))
    (tmp_path / "1.png").write_bytes(good[: len(good) // 2])
    (tmp_path / "2.png").write_bytes(b"")
    (tmp_path / "3.png").write_bytes(png_claiming(12_000, 9_000))
    (tmp_path / "4.png").symlink_to(tmp_path / "gone.png")
    os.mkfifo(tmp_path / "5.png")
    (tmp_path / "6.png").write_bytes(bytes(9_100_000))
    (tmp_path / "7.png").write_bytes(good)
    taken = read_all(source(tmp_path))
    failures = [entry.reason for entry in taken[:6] if isinstance(entry, SourceFailure)]
    assert [entry.part_id for entry in taken] == list("1234567")
    assert failures[0] == "1.png: 60x50, damaged or cut off: cannot be decoded"
    assert failures[1] == "2.png: the file is empty"
    assert failures[2].startswith("3.png: 12000x9000 needs 108.0 MB, a frame may have 1.0 MB")
    assert failures[3] == "4.png: cannot be read: No such file or directory"
    assert failures[4] == "5.png: the file is empty"
    assert failures[5] == "6.png: over 9 MB: raise MaxFrameMegabytes"
    assert isinstance(taken[6], Picture)


def test_a_pipe_that_somebody_holds_open_is_a_failure_too(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "1.png")
    held = os.open(tmp_path / "1.png", os.O_RDWR)
    (taken,) = read_all(source(tmp_path))
    os.close(held)
    assert isinstance(taken, SourceFailure)
    assert taken.reason == "1.png: the file is empty"


@pytest.mark.parametrize("loop", [False, True])
def test_a_restart_goes_on_after_the_cursor(tmp_path: Path, loop: bool) -> None:
    for number in range(1, 6):
        save(tmp_path / f"{number}.png", grey(number))
    first = source(tmp_path, loop=loop)
    cursor = [first.read().cursor for _ in range(8 if loop else 3)][-1]
    again = source(tmp_path, loop=loop, cursor=cursor)
    assert again.read().part_id == "4"


def test_a_loop_goes_round_and_notices_new_files(tmp_path: Path) -> None:
    save(tmp_path / "1.png", grey(1))
    made = source(tmp_path, loop=True)
    assert [made.read().part_id for _ in range(2)] == ["1", "1"]
    save(tmp_path / "2.png", grey(2))
    assert [made.read().part_id for _ in range(3)] == ["1", "2", "1"]


def test_once_ends_and_stays_ended(tmp_path: Path) -> None:
    save(tmp_path / "1.png", grey(1))
    made = source(tmp_path)
    made.read()
    for _ in range(2):
        with pytest.raises(SourceEnded):
            made.read()


def test_an_empty_missing_or_unnamed_folder_is_waited_for(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"Source.Path is empty"):
        source("").read()
    folder = tmp_path / "later"
    made = source(folder)
    with pytest.raises(UnavailableError, match=r"later: cannot read the folder: No such file"):
        made.read()
    folder.mkdir()
    with pytest.raises(UnavailableError, match=r"later: no PNG, JPEG, BMP or TIFF pictures in the folder"):
        made.read()
    save(folder / "1.png", grey(1))
    assert made.read().part_id == "1"


def test_a_looped_folder_that_is_emptied_and_filled_again_goes_on(tmp_path: Path) -> None:
    path = save(tmp_path / "1.png", grey(1))
    made = source(tmp_path, loop=True)
    made.read()
    path.unlink()
    with pytest.raises(UnavailableError):
        made.read()
    save(tmp_path / "2.png", grey(2))
    assert made.read().part_id == "2"


def test_natural_order() -> None:
    assert sorted(["a10", "a9", "B1", "10", "9", "a09b"], key=natural_order) == ["9", "10", "a9", "a09b", "a10", "B1"]


def test_part_ids_fit_into_their_field() -> None:
    long = part_id_of("ä" * 100 + ".png")
    assert long is not None
    assert len(long.encode()) == 128
    assert part_id_of(os.fsdecode(b"bad\xff.png")) == "bad\ufffd"
