"""The journal on a real file: torn tails, replays, rewriting, a full file system."""

from pathlib import Path

import pytest
from linewatch_common.errors import StorageError
from linewatch_common.messages import Outcome, Verdict, encode
from linewatch_inspector.journal import Journal

from tests.disks import file_size_limit

AT = "2026-11-22T10:00:00.000000Z"


def verdict(number: int, reason: str = "") -> Verdict:
    name = f"line1-1763800000-{number:06d}"
    return Verdict(
        inspection_id=name,
        frame_id=name,
        station="line1",
        outcome=Outcome.PASS,
        captured_at=AT,
        published_at=AT,
        reason=reason,
    )


def add(journal: Journal, number: int, *, published: bool = True, reason: str = "") -> None:
    item = verdict(number, reason)
    journal.add(item.frame_id, encode(item), 1000 + number)
    if published:
        journal.published(item.frame_id)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "linewatch-line1.journal"


def test_what_was_added_is_found_again_in_order(path: Path) -> None:
    first = Journal(path)
    assert first.open() == []
    add(first, 1)
    add(first, 2, published=False)
    add(first, 3)
    first.close()
    entries = Journal(path).open()
    assert [(entry.verdict.frame_id[-1], entry.monotonic_ns, entry.published) for entry in entries] == [
        ("1", 1001, True),
        ("2", 1002, False),
        ("3", 1003, True),
    ]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_torn_tail_is_cut_off_at_every_byte(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("ERROR", Journal.__module__)  # a line for each byte would take longer than the test
    journal = Journal(path)
    journal.open()
    add(journal, 1)
    whole = path.stat().st_size
    add(journal, 2)
    journal.close()
    data = path.read_bytes()
    mark = len(data) - (8 + 1 + len(verdict(2).frame_id))
    for cut in range(whole, len(data)):
        path.write_bytes(data[:cut])
        torn = Journal(path)
        entries = torn.open()
        assert [entry.verdict for entry in entries] == [verdict(1)] + ([verdict(2)] if cut >= mark else [])
        assert entries[-1].published is (cut < mark)
        if cut % 16 == 0:
            add(torn, 3)
        torn.close()
        if cut % 16 == 0:
            assert Journal(path).open()[-1].verdict == verdict(3)


@pytest.mark.parametrize("offset", [0, 10, 60, 70, 200])
def test_a_flipped_bit_never_gives_a_wrong_verdict(path: Path, offset: int) -> None:
    journal = Journal(path)
    journal.open()
    add(journal, 1)
    add(journal, 2)
    journal.close()
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)
    found = [entry.verdict for entry in Journal(path).open()]
    assert found == [verdict(1), verdict(2)][: len(found)]


@pytest.mark.parametrize("content", [b"LWJ", b"something else entirely, and longer than the header of a journal is"])
def test_a_foreign_file_is_begun_anew(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    journal = Journal(path)
    assert journal.open() == []
    add(journal, 1)
    journal.close()
    assert [entry.verdict for entry in Journal(path).open()] == [verdict(1)]


def test_stamps_of_another_boot_are_forgotten(path: Path) -> None:
    journal = Journal(path)
    journal.open()
    add(journal, 1)
    journal.close()
    data = path.read_bytes()
    path.write_bytes(data[:8] + b"x" * 36 + data[44:])
    for _ in range(2):  # the first has rewritten it under this boot
        journal = Journal(path)
        assert [entry.monotonic_ns for entry in journal.open()] == [None]
        journal.close()


def test_what_another_boot_left_is_read_also_where_there_is_no_room_to_rewrite_it(path: Path) -> None:
    journal = Journal(path)
    journal.open()
    add(journal, 1)
    journal.close()
    data = path.read_bytes()
    path.write_bytes(data[:8] + b"x" * 36 + data[44:])
    with file_size_limit(40):
        assert [entry.verdict for entry in journal.open()] == [verdict(1)]
    add(journal, 2)
    journal.close()
    assert [entry.verdict for entry in Journal(path).open()] == [verdict(1), verdict(2)]


def test_it_is_rewritten_when_its_rows_are_safe(path: Path) -> None:
    journal = Journal(path, rewrite_bytes=4096)
    journal.open()
    for number in range(1, 1001):
        add(journal, number)
        journal.recorded([verdict(number - 3).frame_id] if number > 3 else [])
        assert path.stat().st_size < 3 * 4096
    journal.close()
    assert [entry.verdict.frame_id for entry in Journal(path).open()][-3:] == [
        verdict(number).frame_id for number in (998, 999, 1000)
    ]


def test_a_full_file_system_is_refused_in_one_line_and_works_again_later(path: Path) -> None:
    journal = Journal(path)
    journal.open()
    add(journal, 1)
    refused = pytest.raises(StorageError, match=r"linewatch-line1\.journal: cannot write: ")
    with file_size_limit(path.stat().st_size + 40), refused:
        add(journal, 2, reason="x" * 200)
    add(journal, 3)
    journal.close()
    assert [entry.verdict for entry in Journal(path).open()] == [verdict(1), verdict(3)]


def test_begun_on_a_full_file_system_it_is_whole_once_there_is_room(path: Path) -> None:
    journal = Journal(path)
    with file_size_limit(20):
        with pytest.raises(StorageError, match="cannot write"):
            journal.open()
        with pytest.raises(StorageError, match="cannot write"):
            add(journal, 1)
    add(journal, 2)
    journal.close()
    assert [entry.verdict for entry in Journal(path).open()] == [verdict(2)]


def test_a_symbolic_link_is_refused(path: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"precious")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError):
        Journal(path).open()
    assert (tmp_path / "elsewhere").read_bytes() == b"precious"
    assert path.is_symlink()
