"""The store's files: whole or refused, with a clear reason."""

import zipfile
from pathlib import Path

import pytest
from linewatch_common.errors import InputError, StorageError, UnavailableError
from linewatch_common.messages import Outcome, Verdict
from linewatch_common.store import (
    MAX_PICTURE_BYTES,
    StoredInspection,
    inspection_path,
    read_inspection,
    write_inspection,
)

VERDICT = Verdict(
    inspection_id="line1-1763800000-000042",
    frame_id="line1-1763800000-000042",
    station="line1",
    outcome=Outcome.FAIL,
    captured_at="2026-11-22T23:59:59.999999Z",
    published_at="2026-11-23T00:00:00.050000Z",
)
INSPECTION = StoredInspection(VERDICT, b"\xff\xd8picture\xff\xd9" * 50, b"\x89PNG mask")


def test_the_path_is_the_day_of_the_capture_and_the_frame(tmp_path: Path) -> None:
    assert inspection_path(tmp_path, VERDICT) == tmp_path / "20261122" / "line1-1763800000-000042.zip"


@pytest.mark.parametrize("mask", [b"", b"\x89PNG mask"])
def test_what_was_written_is_read(tmp_path: Path, mask: bytes) -> None:
    path = inspection_path(tmp_path, VERDICT)
    inspection = StoredInspection(VERDICT, INSPECTION.picture, mask)
    assert write_inspection(path, inspection) == path.stat().st_size
    assert read_inspection(path) == inspection
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_any_zip_program_opens_it(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    write_inspection(path, INSPECTION)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["verdict.json", "picture.jpg", "mask.png"]


def test_equal_inspections_are_equal_files(tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip"):
        write_inspection(tmp_path / name, INSPECTION)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_a_file_that_was_cut_off_anywhere_is_refused_with_its_path(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    write_inspection(path, INSPECTION)
    data = path.read_bytes()
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        with pytest.raises(InputError, match=r"a\.zip: "):
            read_inspection(path)


def test_a_changed_byte_of_a_picture_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    write_inspection(path, INSPECTION)
    data = bytearray(path.read_bytes())
    data[data.index(b"picture\xff") + 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"a\.zip: not a whole inspection"):
        read_inspection(path)


def test_hostile_zips_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("verdict.json", b"{}")
        archive.writestr("picture.jpg", b"\0" * (1 << 20))
    with pytest.raises(InputError, match="compressed"):
        read_inspection(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("verdict.json", b"{}")
        archive.writestr("picture.jpg", b"")
    with pytest.raises(InputError, match=r"verdict\.json"):
        read_inspection(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", b"")
    with pytest.raises(InputError, match=r"verdict\.json is missing"):
        read_inspection(path)


def test_a_file_of_absurd_size_is_not_read_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "huge.zip"
    with path.open("wb") as file:
        file.truncate(3 * MAX_PICTURE_BYTES)
    with pytest.raises(InputError, match="not an inspection of ours"):
        read_inspection(path)


def test_missing_links_and_folders_are_unavailable(tmp_path: Path) -> None:
    write_inspection(tmp_path / "a.zip", INSPECTION)
    (tmp_path / "link.zip").symlink_to(tmp_path / "a.zip")
    (tmp_path / "folder.zip").mkdir()
    for name in ("missing.zip", "link.zip", "folder.zip"):
        with pytest.raises(UnavailableError, match=name):
            read_inspection(tmp_path / name)


def test_a_disk_that_refuses_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot store"):
        write_inspection(tmp_path / "taken" / "a.zip", INSPECTION)
    (tmp_path / "a.zip").mkdir()
    with pytest.raises(StorageError, match=r"a\.zip: cannot store"):
        write_inspection(tmp_path / "a.zip", INSPECTION)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.zip", "taken"]
