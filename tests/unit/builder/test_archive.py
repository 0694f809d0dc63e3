"""Archives: the same bytes whatever the order and the clock."""

import time
import zipfile
from pathlib import Path

from components.builder.archive import Content, append_file, extend_archive, load_content, save_content, write_archive

ENTRIES = [("b/x", b"1"), ("a", b"22"), ("b/a", b"333")]


def ignore(_: int) -> None:
    pass


def test_the_order_of_the_entries_does_not_matter(tmp_path: Path) -> None:
    one = write_archive(tmp_path / "1.zip", ENTRIES, ignore)
    two = write_archive(tmp_path / "2.zip", reversed(ENTRIES), ignore)
    assert one == two == Content(one.digest, 3, 6)
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()
    assert zipfile.ZipFile(tmp_path / "1.zip").namelist() == ["a", "b/a", "b/x"]


def test_neither_the_files_mode_nor_its_time_matters(tmp_path: Path) -> None:
    for name, mode in (("1", 0o600), ("2", 0o755)):
        file = tmp_path / f"file{name}"
        file.write_bytes(b"data")
        file.chmod(mode)
        write_archive(tmp_path / f"{name}.zip", [("x", file)], ignore)
        time.sleep(0.01)
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()


def test_the_digest_knows_names_and_bytes_apart(tmp_path: Path) -> None:
    digests = {
        write_archive(tmp_path / "x.zip", entries, ignore).digest
        for entries in ([("a", b"bc")], [("ab", b"c")], [("a", b"b"), ("c", b"")], [("a", b"bd")])
    }
    assert len(digests) == 4


def test_an_extended_archive_holds_both_and_counts_both(tmp_path: Path) -> None:
    base = tmp_path / "base.zip"
    content = write_archive(base, ENTRIES, ignore)
    whole = extend_archive(tmp_path / "whole.zip", base, content, [("z", b"4444"), ("c", b"")])
    append_file(tmp_path / "whole.zip", "last", b"end")
    assert (whole.files, whole.size) == (5, 10)
    assert whole.digest != content.digest
    with zipfile.ZipFile(tmp_path / "whole.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["a", "b/a", "b/x", "c", "z", "last"]
        assert archive.read("b/a") == b"333"


def test_progress_hears_every_byte(tmp_path: Path) -> None:
    heard: list[int] = []
    write_archive(tmp_path / "x.zip", ENTRIES, heard.append)
    assert sum(heard) == 6


def test_content_survives_the_disk(tmp_path: Path) -> None:
    content = Content("abc", 3, 6)
    save_content(tmp_path / "content", content)
    assert load_content(tmp_path / "content") == content
