"""The whole camera on a fake core: what others see of it on the bus and in the ring."""

import shutil
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest
from linewatch_camera.config import CameraConfig
from linewatch_camera.sources.port import Picture, SourceEnded, SourceFailure
from linewatch_common.errors import UnavailableError
from linewatch_common.messages import (
    FrameCaptured,
    FrameFailed,
    LabelVerdict,
    PauseCapture,
    ResumeCapture,
    SetPartId,
    TriggerCapture,
)
from linewatch_common.messages.status import ComponentState
from linewatch_common.ring import Stamp, frame_id, parse_frame_id

from tests.unit.camera.line import TOPICS, Line, until
from tests.unit.camera.pictures import encoded, png_claiming, save, textured


def fill(folder: Path, count: int, first: int = 1) -> None:
    for number in range(first, first + count):
        save(folder / f"part{number}.png", np.full((8, 10), number, np.uint8))


def parts(line: Line) -> list[str | None]:
    return [frame.part_id for frame in line.frames()]


class FakeCamera:
    """A live `Source` that a test switches on and off."""

    name = "fake camera"
    live = True
    discarded = 7
    reconnects = 2

    def __init__(self) -> None:
        self.away = ""

    def start(self, cursor: int) -> None:
        """Nothing to do."""

    def read(self, not_before_ns: int = 0) -> Picture | SourceFailure:
        if self.away:
            raise UnavailableError(self.away)
        return Picture(pixels=np.full((4, 6, 3), 9, np.uint8), pixel_format="BGR8", stamp=Stamp.now())

    def close(self) -> None:
        """Nothing to do."""


def test_a_folder_waits_for_inspector_and_then_every_picture_is_announced_and_lies_in_the_ring(line: Line) -> None:
    fill(line.pictures, 5)
    with line.camera() as camera:
        until(lambda: "waiting for Inspector" in camera.status().reason)
        assert line.frames() == []
        line.inspector(ready=False)
        until(lambda: "not ready" in camera.status().reason)
        line.inspector()
        frames = line.wait_for_frames(5)
        until(lambda: camera.status().camera is not None and camera.status().camera.ended)  # type: ignore[union-attr]  # checked before
        status = camera.status()
    assert parts(line) == [f"part{n}" for n in range(1, 6)]
    reader = line.reader()
    for number, frame in enumerate(frames, start=1):
        assert isinstance(frame, FrameCaptured)
        assert parse_frame_id(frame.frame_id) == ("line1", reader.epoch, number)
        assert (frame.width, frame.height, frame.stride, frame.pixel_format) == (10, 8, 10, "Mono8")
        assert (frame.trigger, frame.slot, frame.ring) == (
            "free-run",
            number % 16,
            str(line.shm / "linewatch-line1.ring"),
        )
        stored = reader.read(number, epoch=frame.epoch)
        assert bytes(stored.pixels) == bytes([number]) * 80
        assert stored.monotonic_ns == frame.captured_monotonic_ns
        assert stored.part_id == frame.part_id
    assert status.state is ComponentState.READY
    assert status.reason == "the source has ended"
    assert (status.counters["captured"], status.counters["failed"]) == (5, 0)
    assert status.camera is not None
    assert (status.camera.sequence, status.camera.epoch) == (5, reader.epoch)


def test_a_folder_pauses_while_inspector_stops_and_loses_nothing(line: Line) -> None:
    fill(line.pictures, 25)
    with line.camera(line.config(frames_per_second=100.0)) as camera:
        line.inspector()
        line.wait_for_frames(3)
        line.inspector(state=ComponentState.STOPPING)
        until(lambda: "not running" in camera.status().reason)
        status = camera.status()
        assert status.state is ComponentState.DEGRADED
        assert status.camera is not None
        assert status.camera.paused
        held = len(line.frames())
        time.sleep(0.1)
        assert len(line.frames()) <= held + 1
        line.inspector()
        line.wait_for_frames(25)
    assert parts(line) == [f"part{n}" for n in range(1, 26)]


def test_a_live_source_never_waits_and_its_counters_are_told(line: Line) -> None:
    with line.camera(source=FakeCamera()) as camera:
        line.wait_for_frames(3)
        counters = camera.status().counters
    assert (counters["frames_discarded"], counters["reconnects"]) == (7, 2)


def test_every_bad_picture_is_a_failed_frame_and_none_is_skipped(line: Line) -> None:
    good = encoded(".png", textured(40, 50))
    (line.pictures / "1-truncated.png").write_bytes(good[:-300])
    (line.pictures / "2-huge.png").write_bytes(png_claiming(12_000, 9_000))
    save(line.pictures / "3-one-pixel.png", np.full((1, 1), 5, np.uint8))
    save(line.pictures / "4-grey.png", textured(40, 50, 1))
    save(line.pictures / "5-rgba.png", textured(40, 50, 4))
    save(line.pictures / "6-deep.png", textured(40, 50, 1).astype(np.uint16) * np.uint16(256))
    (line.pictures / "7-text.png").write_text("hello")
    with line.camera() as camera:
        line.inspector()
        frames = line.wait_for_frames(7)
        until(lambda: camera.status().counters["captured"] == 4)
        status = camera.status()
    kinds = [type(frame) for frame in frames]
    assert kinds == [FrameFailed, FrameFailed, *[FrameCaptured] * 4, FrameFailed]
    reasons = [frame.reason for frame in frames if isinstance(frame, FrameFailed)]
    assert reasons[0] == "1-truncated.png: 50x40, damaged or cut off: cannot be decoded"
    assert reasons[1] == "2-huge.png: 12000x9000 needs 108.0 MB, a frame may have 1.0 MB: raise MaxFrameMegabytes"
    assert reasons[2] == "7-text.png: not a PNG, JPEG, BMP or TIFF picture"
    formats = [frame.pixel_format for frame in frames if isinstance(frame, FrameCaptured)]
    assert formats == ["Mono8", "Mono8", "BGR8", "Mono8"]
    assert status.counters["failed"] == 3
    stored = line.reader().read(1)
    assert stored.failed
    assert stored.reason == reasons[0]


def test_an_empty_folder_is_waited_for_with_a_clear_status(line: Line) -> None:
    with line.camera() as camera:
        line.inspector()
        until(lambda: "no PNG, JPEG, BMP or TIFF pictures in the folder" in camera.status().reason)
        assert camera.status().state is ComponentState.DEGRADED
        fill(line.pictures, 1)
        line.wait_for_frames(1)
        until(lambda: camera.status().state is ComponentState.READY)


def test_a_restarted_camera_goes_on_where_it_was(line: Line) -> None:
    fill(line.pictures, 40)
    for count in (5, 12, 40):
        with line.camera(line.config(frames_per_second=100.0)):
            line.inspector()
            line.wait_for_frames(count)
    assert parts(line) == [f"part{n}" for n in range(1, 41)]
    assert [frame.sequence for frame in line.frames()] == list(range(1, 41))
    assert len({frame.epoch for frame in line.frames()}) == 1


def test_the_limit_counts_over_restarts(line: Line) -> None:
    fill(line.pictures, 4)
    for count in (4, 10):
        with line.camera(line.config(loop=True, limit=10, frames_per_second=100.0)) as camera:
            line.inspector()
            line.wait_for_frames(count)
    assert [frame.sequence for frame in line.frames()] == list(range(1, 11))
    with line.camera(line.config(loop=True, limit=10)) as camera:
        line.inspector()
        until(lambda: camera.status().reason == "the source has ended")
        time.sleep(0.05)
    assert len(line.frames()) == 10


def test_another_folder_begins_at_its_beginning(line: Line) -> None:
    fill(line.pictures, 3)
    other = line.pictures.parent / "other"
    other.mkdir()
    fill(other, 2, first=50)
    with line.camera():
        line.inspector()
        line.wait_for_frames(3)
    with line.camera(line.config(path=str(other))):
        line.inspector()
        line.wait_for_frames(5)
    assert parts(line)[3:] == ["part50", "part51"]
    assert line.frames()[3].epoch > line.frames()[0].epoch


def test_an_epoch_is_never_repeated_after_a_power_cut_with_the_clock_set_back(line: Line) -> None:
    (line.work / "ring-epoch").write_text("99999999999")
    fill(line.pictures, 1)
    with line.camera():
        line.inspector()
        assert line.wait_for_frames(1)[0].epoch == 100_000_000_000
    assert (line.work / "ring-epoch").read_text() == "100000000000"


def test_a_missing_shared_memory_folder_is_said_and_waited_for(line: Line) -> None:
    fill(line.pictures, 1)
    line.shm.rmdir()
    with line.camera() as camera:
        line.inspector()
        until(lambda: "cannot make a ring of" in camera.status().reason)
        assert camera.status().state is ComponentState.DEGRADED
        assert camera.status().camera is None
        line.shm.mkdir()
        line.wait_for_frames(1)


def test_a_ring_that_is_removed_is_made_again_and_no_picture_is_lost(line: Line) -> None:
    fill(line.pictures, 16)
    with line.camera(line.config(frames_per_second=100.0)):
        line.inspector()
        line.wait_for_frames(5)
        shutil.rmtree(line.shm)
        time.sleep(0.05)
        line.shm.mkdir()
        line.wait_for_frames(16)
    assert parts(line) == [f"part{n}" for n in range(1, 17)]
    assert len({frame.frame_id for frame in line.frames()}) == 16


def test_while_the_bus_is_away_frames_go_into_the_ring_and_are_announced_afterwards(line: Line) -> None:
    fill(line.pictures, 10)
    with line.camera(line.config(frames_per_second=100.0)) as camera:
        line.inspector()
        line.wait_for_frames(2)
        line.core.away = True
        until(lambda: camera.status().counters["captured"] == 10)
        line.core.away = False
        line.wait_for_frames(10)
    assert parts(line) == [f"part{n}" for n in range(1, 11)]
    assert camera.status().counters["announcements_dropped"] == 0


class TestSoftwareTrigger:
    @pytest.fixture
    def config(self, line: Line) -> CameraConfig:

        fill(line.pictures, 6)
        return msgspec.structs.replace(line.config(), trigger_mode="software")

    def test_a_trigger_is_answered_with_its_frame(self, line: Line, config: CameraConfig) -> None:
        with line.camera(config):
            result = line.ask(TriggerCapture(command_id="c1", part_id="P-17"))
            frame = line.wait_for_frames(1)[0]
            second = line.ask(TriggerCapture(command_id="c2"))
        assert result.accepted
        assert result.component == "com.linewatch.Camera"
        assert isinstance(frame, FrameCaptured)
        assert (result.frame_id, frame.command_id, frame.part_id) == (frame.frame_id, "c1", "P-17")
        assert frame.trigger == "software"
        assert line.frames()[1].part_id == "part2"
        assert second.frame_id == line.frames()[1].frame_id

    def test_a_repeated_command_is_answered_but_not_carried_out(self, line: Line, config: CameraConfig) -> None:
        with line.camera(config):
            first = line.ask(TriggerCapture(command_id="c1"))
            assert line.ask(TriggerCapture(command_id="c1")) == first
        with line.camera(config):
            assert line.ask(TriggerCapture(command_id="c1")) == first, "also after a restart"
            line.ask(TriggerCapture(command_id="c2"))
        assert [frame.command_id for frame in line.frames()] == ["c1", "c2"]

    def test_set_part_id_names_the_next_frame_only(self, line: Line, config: CameraConfig) -> None:
        with line.camera(config):
            assert line.ask(SetPartId(command_id="s", part_id="X")).accepted
            line.ask(TriggerCapture(command_id="c1"))
            line.ask(TriggerCapture(command_id="c2"))
        assert parts(line) == ["X", "part2"]

    def test_pause_and_resume(self, line: Line, config: CameraConfig) -> None:
        with line.camera(config) as camera:
            assert line.ask(PauseCapture(command_id="p")).accepted
            status = camera.status()
            assert status.camera is not None
            assert status.camera.paused
            refused = line.ask(TriggerCapture(command_id="c1"))
            assert (refused.accepted, refused.reason) == (False, "capture is paused")
            assert line.ask(ResumeCapture(command_id="r")).accepted
            assert line.ask(TriggerCapture(command_id="c1")).accepted, "a refused command may be sent again"
        assert len(line.frames()) == 1

    def test_the_end_of_the_pictures_is_said(self, line: Line, config: CameraConfig) -> None:
        with line.camera(config) as camera:
            for number in range(6):
                assert line.ask(TriggerCapture(command_id=f"c{number}")).accepted
            assert line.ask(TriggerCapture(command_id="c6")).reason == "the source has no further pictures"
            assert line.ask(TriggerCapture(command_id="c7")).reason == "the source has ended"
            assert camera.status().reason == "the source has ended"

    def test_a_trigger_while_the_camera_is_away_ends_as_a_failed_frame(self, line: Line, config: CameraConfig) -> None:
        source = FakeCamera()
        source.away = "fake camera: cable pulled"
        with line.camera(config, source) as camera:
            result = line.ask(TriggerCapture(command_id="c1", part_id="P"))
            frame = line.wait_for_frames(1)[0]
            assert camera.status().state is ComponentState.DEGRADED
            source.away = ""
            assert line.ask(TriggerCapture(command_id="c2")).accepted
            until(lambda: camera.status().state is ComponentState.READY)
        assert isinstance(frame, FrameFailed)
        assert (result.accepted, result.frame_id, result.reason) == (True, frame.frame_id, "fake camera: cable pulled")
        assert (frame.reason, frame.part_id, frame.command_id) == ("fake camera: cable pulled", "P", "c1")

    def test_bad_commands_are_refused_and_others_commands_are_left_alone(
        self, line: Line, config: CameraConfig
    ) -> None:
        with line.camera(config) as camera:
            line.send_raw(TOPICS.commands, b"{}")
            line.send_raw(TOPICS.commands, b"\xff\x00")
            line.command(LabelVerdict(command_id="l", frame_id=frame_id("line1", 1, 1), label="pass", operator="me"))
            refused = line.ask(TriggerCapture(command_id="c1", part_id="ä" * 100))
            assert (refused.accepted, refused.command_id) == (False, "c1")
            assert "128 bytes" in refused.reason
            assert camera.status().counters["commands_refused"] == 3
        assert [result.command_id for result in line.results()] == ["c1"]
        assert line.frames() == []


def test_a_trigger_in_free_run_is_refused(line: Line) -> None:
    with line.camera():
        assert line.ask(TriggerCapture(command_id="c")).reason == "TriggerMode is free-run: triggers are not taken"


def test_more_triggers_than_can_wait_are_refused_at_once(line: Line) -> None:
    class Slow(FakeCamera):
        def read(self, not_before_ns: int = 0) -> Picture | SourceFailure:
            time.sleep(0.005)
            return super().read(not_before_ns)

    config = msgspec.structs.replace(line.config(), trigger_mode="software")
    with line.camera(config, Slow()):
        for number in range(60):
            line.command(TriggerCapture(command_id=f"c{number}"))
        until(lambda: len(line.results()) == 60)
    refused = [result for result in line.results() if not result.accepted]
    assert refused
    assert all(result.reason == "32 commands wait already" for result in refused)
    assert len(line.frames()) == 60 - len(refused)


def test_a_source_that_breaks_in_an_unexpected_way_leaves_a_camera_that_says_so_and_goes_on(line: Line) -> None:
    class Surprising(FakeCamera):
        turns = 0

        def read(self, not_before_ns: int = 0) -> Picture | SourceFailure:
            self.turns += 1
            if self.turns == 1:
                raise ZeroDivisionError("surprise")
            if self.turns == 3:
                raise SourceEnded
            return super().read(not_before_ns)

    with line.camera(source=Surprising()) as camera:
        until(lambda: "surprise" in camera.status().reason or camera.status().reason == "the source has ended")
        until(lambda: camera.status().reason == "the source has ended")
    assert len(line.frames()) == 1
