"""The video file source on real files."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from linewatch_camera.sources.port import Picture, SourceEnded, SourceFailure
from linewatch_camera.sources.video import VideoFileSource
from linewatch_common.errors import UnavailableError

SLOT = 1_000_000
FRAMES = 6


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "belt.avi"
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (64, 48))
    assert writer.isOpened()
    for number in range(FRAMES):
        writer.write(np.full((48, 64, 3), 40 * number, np.uint8))
    writer.release()
    return path


def source(path: Path, *, loop: bool = False, cursor: int = 0, slot_bytes: int = SLOT) -> VideoFileSource:
    made = VideoFileSource(str(path), loop=loop, slot_bytes=slot_bytes)
    made.start(cursor)
    return made


def number_of(taken: Picture | SourceFailure) -> int:
    assert isinstance(taken, Picture)
    return round(float(taken.pixels.mean()) / 40)


def test_every_frame_comes_once_in_order(video: Path) -> None:
    made = source(video)
    taken = [made.read() for _ in range(FRAMES)]
    assert [number_of(one) for one in taken] == list(range(FRAMES))
    assert [one.part_id for one in taken] == [f"belt-{n:06d}" for n in range(1, FRAMES + 1)]
    for _ in range(2):
        with pytest.raises(SourceEnded):
            made.read()


@pytest.mark.parametrize("before", [2, FRAMES, FRAMES + 2])
def test_a_restart_goes_on_after_the_cursor(video: Path, before: int) -> None:
    first = source(video, loop=True)
    cursor = [first.read().cursor for _ in range(before)][-1]
    assert number_of(source(video, loop=True, cursor=cursor).read()) == before % FRAMES


def test_a_loop_begins_again(video: Path) -> None:
    made = source(video, loop=True)
    assert [number_of(made.read()) for _ in range(FRAMES + 2)] == [*range(FRAMES), 0, 1]
    made.close()


def test_a_file_that_is_no_video_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    with pytest.raises(UnavailableError, match=r"x.mp4: no such video file"):
        source(path).read()
    path.write_bytes(b"not a video" * 100)
    with pytest.raises(UnavailableError, match=r"x.mp4: cannot be read as a video"):
        source(path).read()


def test_a_frame_too_large_for_a_slot_is_a_failure(video: Path) -> None:
    taken = source(video, slot_bytes=1000).read()
    assert isinstance(taken, SourceFailure)
    assert taken.reason.startswith("belt.avi, frame 1: 64x48 needs 0.0 MB")
