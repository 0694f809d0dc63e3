"""The live source over a fake device: the newest frame, a pulled cable, a driver that misbehaves."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from linewatch_camera.sources.capture_port import Opener, VideoCapture
from linewatch_camera.sources.live import LiveSource
from linewatch_camera.sources.opencv import v4l2_opener, without_secrets
from linewatch_camera.sources.port import Picture, SourceFailure
from linewatch_common.errors import UnavailableError

SLOT = 1_000_000


class FakeDevice:
    """A VideoCapture that gives a frame whenever the test says so; frames are numbered by their brightness."""

    def __init__(self) -> None:
        self._frames = threading.Semaphore(0)
        self._unplugged = threading.Event()
        self.shape: tuple[int, ...] = (4, 6, 3)
        self.number = 0
        self.drained = 0
        self.raises = False
        self.released = False

    def put(self, count: int = 1) -> None:
        """Let the device take pictures."""
        for _ in range(count):
            self._frames.release()

    def show(self, count: int = 1) -> None:
        """Let the device take pictures, and wait until they were drained."""
        wanted = self.drained + count
        self.put(count)
        until(lambda: self.drained >= wanted)

    def unplug(self) -> None:
        self._unplugged.set()
        self._frames.release()

    def grab(self) -> bool:
        self.drained = self.number
        self._frames.acquire(timeout=10)
        if self._unplugged.is_set():
            return False
        self.number += 1
        return True

    def retrieve(self) -> tuple[bool, Any]:
        if self.raises:
            raise RuntimeError("the driver broke")
        return True, np.full(self.shape, self.number, np.uint8)

    def get(self, property_id: int, /) -> float:
        return float({cv2.CAP_PROP_FRAME_WIDTH: self.shape[1], cv2.CAP_PROP_FRAME_HEIGHT: self.shape[0]}[property_id])

    def release(self) -> None:
        self.released = True


class Plug:
    """Opens the devices it was given, one after the other; none left: not there."""

    def __init__(self, *devices: FakeDevice) -> None:
        self.devices = list(devices)
        self.tries = 0

    def __call__(self) -> FakeDevice:
        self.tries += 1
        if not self.devices:
            raise UnavailableError("no such device")
        return self.devices.pop(0)


def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.002)


def live(plug: Plug, read_timeout: float = 5.0) -> LiveSource:
    made = LiveSource("v4l2 /dev/video9", plug, read_timeout=read_timeout, slot_bytes=SLOT)
    made.start(0)
    return made


def brightness(taken: Picture | SourceFailure) -> int:
    assert isinstance(taken, Picture)
    return int(taken.pixels[0, 0, 0])


def test_the_newest_frame_is_read_and_the_others_are_counted() -> None:
    device = FakeDevice()
    made = live(Plug(device))
    device.show(3)
    assert brightness(made.read()) == 3
    assert made.discarded == 2
    device.show()
    assert brightness(made.read()) == 4
    assert made.discarded == 2
    device.unplug()
    made.close()


def test_a_trigger_gets_no_picture_from_before_it() -> None:
    device = FakeDevice()
    made = live(Plug(device))
    device.show()
    trigger_ns = time.monotonic_ns()
    threading.Timer(0.1, device.put).start()
    taken = made.read(trigger_ns)
    assert brightness(taken) == 2
    assert taken.stamp.monotonic_ns >= trigger_ns
    device.unplug()
    made.close()


def test_no_picture_in_time_is_said() -> None:
    device = FakeDevice()
    made = live(Plug(device), read_timeout=0.05)
    device.show()
    made.read()
    with pytest.raises(UnavailableError, match=r"v4l2 /dev/video9: no picture within 0.05 s"):
        made.read()
    device.unplug()
    made.close()


def test_a_pulled_cable_is_said_and_mended() -> None:
    first, second = FakeDevice(), FakeDevice()
    plug = Plug(first)
    made = live(plug)
    first.show()
    made.read()
    first.unplug()
    with pytest.raises(UnavailableError, match=r"/dev/video9: .*(lost|no such device)"):
        made.read()
    until(lambda: first.released)
    plug.devices.append(second)
    until(lambda: not plug.devices)
    second.show()
    assert brightness(made.read()) == 1
    assert made.reconnects == 1
    second.unplug()
    made.close()


def test_a_device_that_is_not_there_is_tried_again_with_growing_pauses() -> None:
    plug = Plug()
    made = live(plug)
    until(lambda: plug.tries >= 2)
    with pytest.raises(UnavailableError, match=r"^v4l2 /dev/video9: no such device"):
        made.read()
    assert made.reconnects == 0
    made.close()
    assert plug.tries < 10


@pytest.mark.parametrize("device", ["/dev/" + "v" * 300, "99999999999"])
def test_a_name_that_no_device_can_have_does_not_end_the_draining(device: str) -> None:
    later = FakeDevice()
    openers: Iterator[Opener] = iter([v4l2_opener(device, 1.0), Plug(later)])

    def opened() -> VideoCapture:
        return next(openers)()

    made = LiveSource("v4l2 x", opened, read_timeout=5.0, slot_bytes=SLOT)
    made.start(0)
    with pytest.raises(UnavailableError, match=r"^v4l2 x: cannot be opened: "):
        made.read()
    later.show()
    assert brightness(made.read()) == 1
    later.unplug()
    made.close()


def test_a_driver_that_raises_is_a_lost_device_not_a_dead_camera() -> None:
    first, second = FakeDevice(), FakeDevice()
    first.raises = True
    plug = Plug(first, second)
    made = live(plug)
    first.put()
    until(lambda: first.released)
    until(lambda: not plug.devices)
    second.show()
    assert brightness(made.read()) == 1
    second.unplug()
    made.close()


def test_a_frame_too_large_for_a_slot_is_a_failure() -> None:
    device = FakeDevice()
    device.shape = (2000, 3000)
    made = live(Plug(device))
    device.put()
    taken = made.read()
    assert isinstance(taken, SourceFailure)
    assert "3000x2000 needs 6.0 MB" in taken.reason
    device.unplug()
    made.close()


def test_opencv_says_clearly_that_a_device_is_not_there() -> None:
    with pytest.raises(UnavailableError, match=r"^no such device"):
        v4l2_opener("/dev/video250", 1.0)()
    with pytest.raises(UnavailableError, match=r"^cannot be opened as a video device"):
        v4l2_opener("/dev/null", 1.0)()


def test_secrets_do_not_appear_in_names() -> None:
    assert without_secrets("rtsp://user:p@ss@10.0.0.7:554/a@b") == "rtsp://10.0.0.7:554/a@b"
    assert without_secrets("rtsp://10.0.0.7/live") == "rtsp://10.0.0.7/live"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (
            "rtsp://10.0.0.7/h264?username=admin&password=p1&channel=2",
            "rtsp://10.0.0.7/h264?username=…&password=…&channel=2",
        ),
        (
            "rtsp://10.0.0.7:554/user=admin&password=p1&channel=1/s.sdp",
            "rtsp://10.0.0.7:554/user=…&password=…&channel=1/s.sdp",
        ),
        ("rtsp://10.0.0.7/live?channel=1_PWD=p1", "rtsp://10.0.0.7/live?channel=1_PWD=…"),
        ("rtsp://10.0.0.7/s?token=p1#t", "rtsp://10.0.0.7/s?token=…#t"),
        ("rtsp://10.0.0.7/bypass=on/monkey=2", "rtsp://10.0.0.7/bypass=on/monkey=2"),
    ],
)
def test_secrets_that_a_camera_wants_behind_the_address_do_not_appear_either(url: str, shown: str) -> None:
    assert without_secrets(url) == shown
