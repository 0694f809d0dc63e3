"""The ring between real processes: a reader never sees a mix of two frames, and no kill of the writer costs more than the last frame."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from linewatch_common.errors import StorageError
from linewatch_common.ring import RingReader, RingWriter, Stamp

from tests.integration.camera.ring_processes import HEIGHT, SLOTS, WIDTH, filled

MODULE = "tests.integration.camera.ring_processes"


@pytest.fixture
def ring_file(tmp_path: Path) -> Iterator[Path]:
    base = Path("/dev/shm") if Path("/dev/shm").is_dir() else tmp_path
    folder = Path(tempfile.mkdtemp(prefix="linewatch-test-", dir=base))
    yield folder / "linewatch-line1.ring"
    shutil.rmtree(folder, ignore_errors=True)


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-m", MODULE, *arguments], stdout=subprocess.PIPE, text=True)


def start_writer(path: Path) -> subprocess.Popen[str]:
    writer = start("write", str(path))
    assert writer.stdout is not None
    assert writer.stdout.readline() == "writing\n"
    return writer


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def test_a_reader_never_sees_a_torn_frame(ring_file: Path) -> None:
    writer = start_writer(ring_file)
    readers = [start("read", str(ring_file), "2") for _ in range(3)]
    try:
        counts = [json.loads(reader.communicate(timeout=60)[0]) for reader in readers]
    finally:
        kill(writer)
    assert sum(count["mixed"] for count in counts) == 0, counts
    assert all(count["whole"] > 20 for count in counts), counts
    assert RingReader(ring_file).write_sequence > 10 * SLOTS


def test_a_writer_killed_at_any_moment_leaves_whole_frames_and_a_ring_to_go_on_with(ring_file: Path) -> None:
    chance = random.Random(2)
    last = 0
    epochs = set()
    for _ in range(12):
        writer = start_writer(ring_file)
        time.sleep(chance.uniform(0.001, 0.08))
        kill(writer)
        reader = RingReader(ring_file)
        newest = reader.write_sequence
        assert newest >= last
        for number in range(reader.oldest_safe, newest + 1):
            assert reader.read(number).pixels == filled(number)
        epochs.add(reader.epoch)
        reader.close()
        last = newest
    assert last > 0
    assert len(epochs) == 1, "the ring was taken over every time"


def test_readers_survive_a_file_that_is_cut_off_again_and_again(ring_file: Path) -> None:
    writer = start_writer(ring_file)
    readers = [start("read", str(ring_file), "2") for _ in range(2)]
    chance = random.Random(3)
    until = time.monotonic() + 1.5
    try:
        while time.monotonic() < until:
            size = ring_file.stat().st_size
            if size:
                os.truncate(ring_file, chance.randrange(size))
            time.sleep(chance.uniform(0.0, 0.02))
        alive = writer.poll()
        answers = [(reader.communicate(timeout=60)[0], reader.returncode) for reader in readers]
    finally:
        kill(writer)
    assert alive is None, f"the writer ended with {alive}: {signal.SIGBUS} is a bus error"
    assert [code for _, code in answers] == [0, 0]
    assert all(json.loads(text)["mixed"] == 0 for text, _ in answers), answers


def test_a_full_shared_memory_file_system_is_one_clear_line_and_can_be_tried_again(small_file_system: Path) -> None:
    path = small_file_system / "linewatch-line1.ring"
    hog = small_file_system / "hog"
    hog.write_bytes(bytes(3_000_000))
    with pytest.raises(
        StorageError,
        match=r"linewatch-line1.ring: cannot make a ring of 2.5 MB: No space left on device .1.2 MB are free",
    ):
        RingWriter.open(path, SLOTS, WIDTH * HEIGHT)
    assert [file.name for file in small_file_system.iterdir()] == ["hog"]
    hog.unlink()
    writer = RingWriter.open(path, SLOTS, WIDTH * HEIGHT)
    fill(hog)
    for number in range(1, 2 * SLOTS + 1):
        write(writer, number)
    path.rename(small_file_system / "taken-away")
    with pytest.raises(StorageError, match="No space left"):
        write(writer, 1)
    hog.unlink()
    os.truncate(small_file_system / "taken-away", 0)
    assert write(writer, 1) == 1


def test_a_larger_ring_takes_the_memory_of_the_old_one_when_there_is_no_other(small_file_system: Path) -> None:
    path = small_file_system / "linewatch-line1.ring"
    old = RingWriter.open(path, SLOTS, WIDTH * HEIGHT)
    write(old, 1)
    reader = RingReader(path)
    reader.read(1)
    with pytest.raises(StorageError, match="another process writes this ring"):
        RingWriter.open(path, SLOTS + 2, WIDTH * HEIGHT)
    old.close()
    new = RingWriter.open(path, SLOTS + 2, WIDTH * HEIGHT)
    assert write(new, 1) == 1
    assert reader.read(1).epoch == new.epoch


def fill(hog: Path) -> None:
    """Take all memory that the file system has left."""
    with contextlib.suppress(OSError), hog.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def write(writer: RingWriter, number: int) -> int:
    return writer.write_picture(
        filled(number), width=WIDTH, height=HEIGHT, stride=WIDTH, pixel_format="Mono8", stamp=Stamp.now()
    )
