"""Pacing, back-off, cursors, configuration."""

import pytest
from linewatch_camera.config import CameraConfig, SourceConfig, validate
from linewatch_camera.cursors import pack_cursor, unpack_cursor
from linewatch_camera.pacing import Pacer
from linewatch_camera.sources.choice import identity_of, make_source
from linewatch_common.backoff import Backoff
from linewatch_common.config import default_configuration, read_config
from linewatch_common.errors import ConfigError


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_pace_is_steady_when_pictures_are_late() -> None:
    clock = Clock()
    pacer = Pacer(10.0, clock)
    assert pacer.remaining() == 0.0
    clock.now += 0.03
    pacer.taken()
    assert pacer.remaining() == pytest.approx(0.07)
    clock.now += 0.11
    pacer.taken()
    assert pacer.remaining() == pytest.approx(0.06)


def test_lost_pictures_are_not_made_up_for() -> None:
    clock = Clock()
    pacer = Pacer(10.0, clock)
    clock.now += 5.0
    pacer.taken()
    assert pacer.remaining() == 0.0
    pacer.taken()
    assert pacer.remaining() == pytest.approx(0.1)


def test_pauses_grow_to_a_bound_and_begin_anew() -> None:
    backoff = Backoff(1.0, 10.0)
    pauses = [backoff.pause() for _ in range(8)]
    for pause, whole in zip(pauses, [1, 2, 4, 8, 10, 10, 10, 10], strict=True):
        assert whole / 2 <= pause <= whole
    backoff.reset()
    assert backoff.pause() <= 1.0


def test_cursors_survive() -> None:
    for passes, place in ((0, 0), (0, 7), (3, 0), (2**32 - 1, 2**32 - 1)):
        assert unpack_cursor(pack_cursor(passes, place)) == (passes, place)
    assert pack_cursor(2**40, 1) < 2**64


def test_a_recipe_of_strings_is_read() -> None:
    raw = {"Source": {"Kind": "rtsp", "Url": "rtsp://cam/1", "FramesPerSecond": "12.5", "Limit": "3", "Loop": "true"}}
    config, warnings = read_config(CameraConfig, raw, "camera")
    assert (config.source.frames_per_second, config.source.limit, config.source.loop) == (12.5, 3, True)
    assert warnings == []


def test_an_unknown_key_of_the_source_is_named() -> None:
    _, warnings = read_config(CameraConfig, {"Source": {"FramePerSecond": 3}, "Slot": 9}, "camera")
    assert warnings == [
        "camera: unknown key 'Slot' is ignored; did you mean Slots?",
        "camera: Source: unknown key 'FramePerSecond' is ignored; did you mean FramesPerSecond?",
    ]


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        ({"Source": {"Kind": "webcam"}}, "Kind"),
        ({"Source": {"FramesPerSecond": 0}}, "FramesPerSecond"),
        ({"Source": {"Limit": -1}}, "Limit"),
        ({"Slots": 4}, "Slots"),
        ({"Slots": 10**9}, "Slots"),
        ({"MaxFrameMegabytes": 0}, "MaxFrameMegabytes"),
        ({"TriggerMode": "hardware"}, "TriggerMode"),
        ({"ReadTimeoutSeconds": 0}, "ReadTimeoutSeconds"),
        ({"Source": {"Path": "x" * 2000}}, "Path"),
    ],
)
def test_a_bad_value_is_refused_by_its_name(raw: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        read_config(CameraConfig, raw, "camera")


@pytest.mark.parametrize(
    ("config", "named"),
    [
        (CameraConfig(source=SourceConfig(kind="video")), "Path"),
        (CameraConfig(source=SourceConfig(kind="rtsp")), "Url"),
        (CameraConfig(source=SourceConfig(kind="rtsp", url="file:///etc/passwd")), "rtsp://"),
        (CameraConfig(source=SourceConfig(kind="v4l2", device="")), "Device"),
        (CameraConfig(shared_memory_folder="shm"), "SharedMemoryFolder"),
    ],
)
def test_values_that_do_not_fit_together_are_refused(config: CameraConfig, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        validate(config)


def test_the_defaults_are_valid_and_plain() -> None:
    validate(CameraConfig())
    assert default_configuration(CameraConfig)["Source"]["Kind"] == "folder"


def test_every_kind_makes_its_source() -> None:
    names = {
        make_source(CameraConfig(source=source)).name
        for source in (
            SourceConfig(path="/pictures"),
            SourceConfig(kind="video", path="/a.mp4"),
            SourceConfig(kind="v4l2"),
            SourceConfig(kind="rtsp", url="rtsp://me:secret@cam/1"),
        )
    }
    assert names == {"folder /pictures", "video /a.mp4", "v4l2 /dev/video0", "rtsp rtsp://cam/1"}


def test_another_place_is_another_source_but_another_rate_is_not() -> None:
    first = CameraConfig(source=SourceConfig(path="/a", limit=5))
    assert identity_of(first) == identity_of(CameraConfig(source=SourceConfig(path="/a", frames_per_second=9)))
    assert identity_of(first) != identity_of(CameraConfig(source=SourceConfig(path="/b", limit=5)))
