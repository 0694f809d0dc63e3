"""What every source promises, held against each driver and against the fake that other tests use."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from linewatch_camera.sources.folder import FolderSource
from linewatch_camera.sources.live import LiveSource
from linewatch_camera.sources.opencv import open_file
from linewatch_camera.sources.port import Picture, Source
from linewatch_camera.sources.video import VideoFileSource
from linewatch_common.ring import CHANNELS

from tests.unit.camera.pictures import save, textured
from tests.unit.camera.test_camera import FakeCamera
from tests.unit.camera.test_live import FakeDevice, Plug

SLOT = 1_000_000
PICTURES = 3


def folder_source(folder: Path) -> Source:
    for number in range(PICTURES):
        save(folder / f"{number}.png", textured(20, 30, 3 if number else 1))
    return FolderSource(str(folder), loop=False, slot_bytes=SLOT)


def video_of(folder: Path) -> Path:
    path = folder / "v.avi"
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (30, 20))
    for _ in range(PICTURES):
        writer.write(textured(20, 30))
    writer.release()
    return path


def video_source(folder: Path) -> Source:
    return VideoFileSource(str(video_of(folder)), loop=False, slot_bytes=SLOT)


class Busy(FakeDevice):
    """A device that takes pictures all the time."""

    def grab(self) -> bool:
        time.sleep(0.005)
        self.put()
        return super().grab()


def live_source(_folder: Path) -> Source:
    return LiveSource("v4l2 /dev/video9", Plug(Busy()), read_timeout=5.0, slot_bytes=SLOT)


def fake_camera(_folder: Path) -> Source:
    return FakeCamera()


@pytest.fixture(params=[folder_source, video_source, live_source, fake_camera], ids=lambda make: make.__name__)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Source]:
    make: Callable[[Path], Source] = request.param
    made = make(tmp_path)
    yield made
    made.close()


def test_pictures_have_the_promised_form_and_a_stamp_of_their_own_time(source: Source) -> None:
    source.start(0)
    cursors = []
    for _ in range(PICTURES):
        asked_ns = time.monotonic_ns()
        taken = source.read(asked_ns)
        assert isinstance(taken, Picture)
        assert asked_ns <= taken.stamp.monotonic_ns <= time.monotonic_ns()
        assert abs(taken.stamp.wall_ns - time.time_ns()) < 60e9
        assert taken.pixels.dtype == np.uint8
        assert taken.pixels.flags.c_contiguous
        assert taken.pixels.ndim == (2 if CHANNELS[taken.pixel_format] == 1 else 3)
        cursors.append(taken.cursor)
    assert cursors == ([0] * PICTURES if source.live else [1, 2, 3])
    assert source.name
    assert source.discarded >= 0
    assert source.reconnects >= 0


def test_closing_is_safe_at_any_time(source: Source) -> None:
    source.close()
    source.start(0)
    source.close()
    source.close()


def test_a_real_capture_answers_as_the_fake_device_does(tmp_path: Path) -> None:
    fake = FakeDevice()
    fake.shape = (20, 30, 3)
    fake.put(PICTURES)
    for capture in (open_file(str(video_of(tmp_path))), fake):
        assert capture.grab() is True
        good, pixels = capture.retrieve()
        assert good is True
        assert (pixels.shape, pixels.dtype) == ((20, 30, 3), np.uint8)
        assert capture.get(cv2.CAP_PROP_FRAME_WIDTH) == 30.0
        assert capture.get(cv2.CAP_PROP_FRAME_HEIGHT) == 20.0
        capture.release()
