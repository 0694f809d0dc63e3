"""One writer and one reader: numbers, refusals, and what happens to the file."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from linewatch_common.errors import InputError, StorageError, UnavailableError
from linewatch_common.ring import (
    FrameNotThere,
    FrameOverwritten,
    PictureTooLarge,
    RingReader,
    RingUnavailable,
    RingWriter,
    Stamp,
)
from linewatch_common.ring.layout import WRITE_SEQUENCE_OFFSET

from tests.unit.ring.conftest import put

SLOT_BYTES = 1000


def test_a_picture_comes_back_with_all_its_data(ring_file: Path) -> None:
    writer = RingWriter.open(ring_file, 8, SLOT_BYTES)
    stamp = Stamp(monotonic_ns=11, wall_ns=22)
    pixels = bytes(range(60))
    number = writer.write_picture(
        pixels,
        width=5,
        height=4,
        stride=15,
        pixel_format="BGR8",
        stamp=stamp,
        part_id="P1",
        command_id="c-1",
        source_cursor=9,
    )
    reader = RingReader(ring_file)
    frame = reader.read(number, epoch=writer.epoch)
    assert bytes(frame.pixels) == pixels
    assert (frame.sequence, frame.epoch, frame.slot, frame.failed) == (1, writer.epoch, 1, False)
    assert (frame.width, frame.height, frame.stride, frame.pixel_format) == (5, 4, 15, "BGR8")
    assert (frame.monotonic_ns, frame.wall_ns, frame.source_cursor) == (11, 22, 9)
    assert (frame.part_id, frame.command_id) == ("P1", "c-1")
    assert ring_file.stat().st_mode & 0o777 == 0o600


def test_pixels_go_into_the_callers_buffer(ring_file: Path) -> None:
    writer = RingWriter.open(ring_file, 8, SLOT_BYTES)
    put(writer, 5)
    buffer = bytearray(SLOT_BYTES)
    frame = RingReader(ring_file).read(1, into=buffer)
    assert frame.pixels.obj is buffer
    assert buffer[:33] == b"\x05" * 32 + b"\0"
    with pytest.raises(ValueError, match="buffer of 3 bytes"):
        RingReader(ring_file).read(1, into=bytearray(3))


def test_a_failure_comes_back_with_its_reason(ring_file: Path) -> None:
    writer = RingWriter.open(ring_file, 8, SLOT_BYTES)
    writer.write_failure("ä" * 400, stamp=Stamp.now(), part_id="P2", source_cursor=4)
    frame = RingReader(ring_file).read(1)
    assert frame.failed
    assert frame.reason == "ä" * 300
    assert (frame.part_id, frame.source_cursor, len(frame.pixels)) == ("P2", 4, 0)


def test_a_description_has_all_but_the_pixels(ring_file: Path) -> None:
    writer = RingWriter.open(ring_file, 8, SLOT_BYTES)
    put(writer, 5)
    writer.write_failure("no light", stamp=Stamp.now())
    reader = RingReader(ring_file)
    told = reader.describe(1, epoch=writer.epoch)
    assert (told.part_id, told.width, told.height, len(told.pixels)) == ("part-5", 8, 4, 0)
    assert reader.describe(2).reason == "no light"
    with pytest.raises(FrameNotThere):
        reader.describe(3)


def test_old_and_future_frames_are_refused(ring_file: Path) -> None:
    writer = RingWriter.open(ring_file, 8, SLOT_BYTES)
    reader = RingReader(ring_file)
    with pytest.raises(FrameNotThere):
        reader.read(1)
    for number in range(1, 21):
        put(writer, number)
    assert reader.write_sequence == 20
    assert reader.oldest_safe == 15
    assert [reader.read(n).source_cursor for n in range(15, 21)] == list(range(15, 21))
    for lost in (1, 12, 13, 14):
        with pytest.raises(FrameOverwritten):
            reader.read(lost)
    for absent in (0, 21, 2**70):
        with pytest.raises(FrameNotThere):
            reader.read(absent)


def test_the_errors_tell_what_to_do() -> None:
    assert issubclass(FrameOverwritten, InputError)
    assert issubclass(PictureTooLarge, InputError)
    assert issubclass(FrameNotThere, UnavailableError)
    assert issubclass(RingUnavailable, UnavailableError)


def test_a_new_writer_goes_on_counting(ring_file: Path) -> None:
    first = RingWriter.open(ring_file, 8, SLOT_BYTES)
    put(first, 1)
    put(first, 2)
    first.close()
    second = RingWriter.open(ring_file, 8, SLOT_BYTES)
    assert (second.epoch, second.sequence, second.cursor) == (first.epoch, 2, 2)
    assert put(second, 3) == 3


def test_a_frame_committed_but_not_counted_before_a_kill_is_kept(ring_file: Path) -> None:
    first = RingWriter.open(ring_file, 8, SLOT_BYTES)
    put(first, 1)
    put(first, 2)
    first.close()
    with ring_file.open("r+b") as file:
        file.seek(WRITE_SEQUENCE_OFFSET)
        file.write((1).to_bytes(8, sys.byteorder))
    second = RingWriter.open(ring_file, 8, SLOT_BYTES)
    assert (second.sequence, second.cursor) == (2, 2)
    assert RingReader(ring_file).read(2).part_id == "part-2"


@pytest.mark.parametrize("counted", [7, 2**64 - 1])
def test_a_ring_whose_numbers_contradict_each_other_is_made_anew(ring_file: Path, counted: int) -> None:
    first = RingWriter.open(ring_file, 8, SLOT_BYTES)
    put(first, 1)
    first.close()
    with ring_file.open("r+b") as file:
        file.seek(WRITE_SEQUENCE_OFFSET)
        file.write(counted.to_bytes(8, sys.byteorder))
    with pytest.raises(FrameOverwritten):
        RingReader(ring_file).read(counted)
    second = RingWriter.open(ring_file, 8, SLOT_BYTES)
    assert second.sequence == 0
    assert second.epoch > first.epoch


def test_another_geometry_makes_a_new_ring_of_a_later_epoch(ring_file: Path) -> None:
    first = RingWriter.open(ring_file, 8, SLOT_BYTES)
    reader = RingReader(ring_file)
    put(first, 1)
    old = reader.read(1)
    first.close()
    second = RingWriter.open(ring_file, 6, 2 * SLOT_BYTES)
    put(second, 7)
    assert second.epoch > first.epoch
    assert reader.read(1).source_cursor == 7
    assert reader.slots == 6
    with pytest.raises(FrameOverwritten, match="made anew"):
        reader.read(1, epoch=old.epoch)


def test_another_source_makes_a_new_ring(ring_file: Path) -> None:
    first = RingWriter.open(ring_file, 8, SLOT_BYTES, tag=1)
    put(first, 1)
    first.close()
    same = RingWriter.open(ring_file, 8, SLOT_BYTES, tag=1)
    assert (same.sequence, same.epoch) == (1, first.epoch)
    same.close()
    other = RingWriter.open(ring_file, 8, SLOT_BYTES, tag=2)
    assert (other.sequence, other.cursor) == (0, 0)
    assert other.epoch > first.epoch


def test_a_clock_set_back_does_not_repeat_an_epoch(ring_file: Path) -> None:
    assert RingWriter.open(ring_file, 8, SLOT_BYTES, after_epoch=2**40).epoch == 2**40 + 1


@pytest.mark.parametrize("content", [b"", b"junk", b"LWRING\r\n" + b"\xff" * 5000], ids=["empty", "short", "hostile"])
def test_a_file_that_is_no_ring_is_refused_by_readers_and_replaced_by_the_writer(
    ring_file: Path, content: bytes
) -> None:
    ring_file.write_bytes(content)
    reader = RingReader(ring_file)
    with pytest.raises(RingUnavailable):
        _ = reader.write_sequence
    writer = RingWriter.open(ring_file, 8, SLOT_BYTES)
    put(writer, 1)
    assert reader.read(1).source_cursor == 1


def test_a_second_writer_is_refused(ring_file: Path) -> None:
    writer = RingWriter.open(ring_file, 8, SLOT_BYTES)
    with pytest.raises(StorageError, match="another process writes"):
        RingWriter.open(ring_file, 8, SLOT_BYTES)
    writer.close()
    RingWriter.open(ring_file, 8, SLOT_BYTES)


def test_a_stranger_who_replaced_the_ring_and_writes_it_is_not_fought(ring_file: Path) -> None:
    writer = RingWriter.open(ring_file, 8, SLOT_BYTES)
    ring_file.unlink()
    stranger = RingWriter.open(ring_file, 8, SLOT_BYTES)
    with pytest.raises(StorageError, match="another process writes"):
        put(writer, 1)
    assert put(stranger, 1) == 1


def test_a_ring_removed_by_a_tmp_cleaner_is_made_again(ring_file: Path) -> None:
    writer = RingWriter.open(ring_file, 8, SLOT_BYTES)
    reader = RingReader(ring_file)
    put(writer, 1)
    put(writer, 2)
    before = reader.epoch
    ring_file.unlink()
    assert reader.read(2).source_cursor == 2, "a reader keeps the old ring until a new one is there"
    assert put(writer, 3) == 1
    assert writer.epoch > before
    assert reader.read(1).source_cursor == 3
    assert ring_file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("length", [0, 100, 5000])
def test_a_truncated_ring_never_hurts_and_is_made_again(ring_file: Path, length: int) -> None:
    writer = RingWriter.open(ring_file, 8, SLOT_BYTES)
    reader = RingReader(ring_file)
    put(writer, 1)
    put(writer, 2)
    reader.read(2)
    os.truncate(ring_file, length)
    with pytest.raises(UnavailableError):
        reader.read(2)
    with pytest.raises(RingUnavailable):
        reader.read(2)
    put(writer, 3)
    assert reader.read(1).source_cursor == 3


def test_a_full_file_system_is_one_clear_line_and_leaves_nothing(ring_file: Path) -> None:
    script = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from linewatch_common.errors import StorageError\n"
        "from linewatch_common.ring import RingWriter\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))\n"
        "try:\n"
        "    RingWriter.open(Path(sys.argv[1]), 8, 1_000_000)\n"
        "except StorageError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(ring_file)], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.startswith(f"{ring_file}: cannot make a ring of 8.0 MB: ")
    assert done.stdout.count("\n") == 1
    assert list(ring_file.parent.iterdir()) == []


def test_a_ring_that_cannot_be_made_again_is_tried_at_the_next_frame(ring_file: Path) -> None:
    writer = RingWriter.open(ring_file, 8, SLOT_BYTES)
    put(writer, 1)
    ring_file.unlink()
    hidden = ring_file.parent.with_name(ring_file.parent.name + ".away")
    ring_file.parent.rename(hidden)
    try:
        with pytest.raises(StorageError):
            put(writer, 2)
    finally:
        hidden.rename(ring_file.parent)
    assert put(writer, 2) == 1


def test_what_does_not_fit_is_refused_before_anything_is_touched(ring_file: Path) -> None:
    writer = RingWriter.open(ring_file, 8, SLOT_BYTES)
    with pytest.raises(PictureTooLarge, match="1600 bytes does not fit into a slot of 1000"):
        put(writer, 1, width=40, height=40)
    with pytest.raises(ValueError, match="128 bytes"):
        writer.write_failure("x", stamp=Stamp.now(), part_id="ä" * 65)
    with pytest.raises(ValueError, match="rows of"):
        writer.write_picture(b"1234", width=2, height=3, stride=2, pixel_format="Mono8", stamp=Stamp.now())
    assert writer.sequence == 0
    assert put(writer, 1) == 1


def test_an_impossible_geometry_is_refused(ring_file: Path) -> None:
    for slots, slot_bytes in ((3, 100), (8, 0), (10**9, 100), (8, 2**40)):
        with pytest.raises(ValueError, match="out of bounds"):
            RingWriter.open(ring_file, slots, slot_bytes)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_another_users_ring_is_refused(ring_file: Path) -> None:
    RingWriter.open(ring_file, 8, SLOT_BYTES).close()
    os.chown(ring_file, 12345, -1)
    with pytest.raises(StorageError, match="belongs to user 12345"):
        RingWriter.open(ring_file, 8, SLOT_BYTES)


def test_a_link_in_place_of_the_ring_is_not_followed(ring_file: Path) -> None:
    target = ring_file.with_name("precious")
    target.write_text("keep me")
    ring_file.symlink_to(target)
    with pytest.raises(StorageError):
        RingWriter.open(ring_file, 8, SLOT_BYTES)
    assert target.read_text() == "keep me"
