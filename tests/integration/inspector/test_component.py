"""The whole component: frames in, verdicts, rows, pictures and alerts out."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from linewatch_common.messages import CommandResult, LabelVerdict, Outcome, decode
from linewatch_common.store import read_inspection

from tests.unit.inspector.line import BAD, GOOD, HEIGHT, UNSURE, WIDTH, Line, wait_until
from tests.unit.inspector.packages import make_package, serving


def test_a_good_part_passes_and_only_the_classifier_is_asked(line: Line) -> None:
    line.start()
    name = line.capture(GOOD, part_id="part-7")
    verdict = line.verdict_of(name)
    assert verdict.outcome is Outcome.PASS
    assert verdict.part_id == "part-7"
    assert (verdict.score, verdict.threshold) == (round(GOOD / 255, 6), 0.6)
    assert [use.identifier for use in verdict.models] == ["TestClassifier-1-0-0"]
    assert line.predictor.asked == ["TestClassifier-1-0-0"]
    assert "segment" not in verdict.timings_ms


def test_a_bad_part_fails_with_its_defects_in_pixels_of_the_frame(line: Line) -> None:
    line.start()
    verdict = line.verdict_of(line.capture(BAD))
    assert verdict.outcome is Outcome.FAIL
    assert [use.role for use in verdict.models] == ["classifier", "segmenter"]
    assert verdict.defects_total == 1
    defect = verdict.defects[0]
    assert (defect.defect_class, defect.box) == ("spot", (8, 6, 8, 12))
    assert defect.score == 1.0


def test_segment_when_always_asks_the_segmenter_about_good_parts_too(make_line: Callable[..., Line]) -> None:
    line = make_line(SegmentWhen="always")
    line.start()
    verdict = line.verdict_of(line.capture(GOOD))
    assert verdict.outcome is Outcome.PASS
    assert [use.role for use in verdict.models] == ["classifier", "segmenter"]


def test_the_stages_add_up_to_the_total(line: Line) -> None:
    line.start()
    timings = dict(line.verdict_of(line.capture(BAD)).timings_ms)
    total = timings.pop("total")
    assert set(timings) == {"wait", "map", "prepare", "classify", "segment", "decide"}
    assert abs(sum(timings.values()) - total) < 0.01


def test_every_verdict_has_its_row_and_its_file(line: Line) -> None:
    line.start()
    names = [line.capture(level) for level in (GOOD, UNSURE, BAD)]
    wait_until(lambda: len(line.stored()) == 3, "three stored pictures")
    wait_until(lambda: all((part := line.ledger.find(name)) and part.stored_path for name in names), "the paths")
    assert line.ledger.outcomes() == {"pass": 1, "review": 1, "fail": 1}
    part = line.ledger.find(names[2])
    assert part is not None
    assert part.stored_path is not None
    assert part.verdict == line.verdict_of(names[2])
    assert part.total_ms is not None
    assert part.total_ms >= part.verdict.timings_ms["total"]
    stored = read_inspection(line.work / "store" / part.captured_at[:10].replace("-", "") / f"{names[2]}.zip")
    assert str(stored.verdict.frame_id) == names[2]
    picture: Any = cv2.imdecode(np.frombuffer(stored.picture, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (HEIGHT, WIDTH, 3)
    assert abs(float(picture[40, 60].mean()) - BAD) < 3
    mask: Any = cv2.imdecode(np.frombuffer(stored.mask, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert mask[12, 12] > 240 > mask[40, 60]
    assert read_inspection(line.work / "store" / part.captured_at[:10].replace("-", "") / f"{names[0]}.zip").mask == b""


def test_the_verdict_is_out_before_anything_is_stored(line: Line) -> None:
    line.start()
    name = line.capture(BAD)
    wait_until(lambda: len(line.stored()) == 1, "the stored picture")
    assert [type(message).__name__ for message in line.messages() if message.frame_id == name] == [
        "Verdict",
        "InspectionStored",
    ]


def test_pictures_of_good_parts_can_be_left_out(make_line: Callable[..., Line]) -> None:
    line = make_line(StorePictures="not-pass")
    line.start()
    line.capture(GOOD)
    bad = line.capture(BAD)
    wait_until(lambda: len(line.stored()) == 1, "the stored picture")
    line.stop()
    assert [stored.frame_id for stored in line.stored()] == [bad]


def test_a_picture_that_could_not_be_taken_is_an_error_with_the_cameras_reason(line: Line) -> None:
    line.start()
    verdict = line.verdict_of(line.fail_capture("part-1.png: cut off"))
    assert (verdict.outcome, verdict.reason) == (Outcome.ERROR, "part-1.png: cut off")
    quiet = line.verdict_of(line.fail_capture("part-2.png: not a picture", announce=False))
    assert (quiet.outcome, quiet.reason) == (Outcome.ERROR, "part-2.png: not a picture")


def test_an_input_that_the_agent_refuses_is_an_error(line: Line) -> None:
    line.start()
    line.predictor.refuses = "tensor types mismatch"
    verdict = line.verdict_of(line.capture(GOOD))
    assert (verdict.outcome, verdict.reason) == (Outcome.ERROR, "tensor types mismatch")


def test_judged_after_the_deadline_is_late(make_line: Callable[..., Line]) -> None:
    line = make_line(DeadlineMs=300)
    line.start()
    line.predictor.overrun_seconds = 0.31
    verdict = line.verdict_of(line.capture(BAD))
    assert verdict.outcome is Outcome.LATE
    assert verdict.judged is Outcome.FAIL
    line.wait_for_rows(1)
    part = line.ledger.find(verdict.frame_id)
    assert part is not None
    assert (part.outcome, part.judged) == ("late", "fail")


def test_older_than_the_deadline_when_taken_is_missed_unjudged(line: Line) -> None:
    line.start()
    verdict = line.verdict_of(line.capture(GOOD, age_ms=1500))
    assert verdict.outcome is Outcome.MISSED
    assert "deadline" in verdict.reason
    assert line.predictor.asked == []
    wait_until(lambda: ("frames_missed", "raised") in line.alert_states(), "the alert")


def test_an_agent_that_comes_back_in_time_costs_no_frame(make_line: Callable[..., Line]) -> None:
    line = make_line(DeadlineMs=20_000)
    line.start()
    line.predictor.away = True
    name = line.capture(GOOD)
    wait_until(lambda: len(line.predictor.asked) > 2, "some attempts")
    line.predictor.away = False
    verdict = line.verdict_of(name)
    assert verdict.outcome is Outcome.PASS
    assert verdict.timings_ms["retry"] > 0


def test_an_agent_that_stays_away_means_missed_with_the_reason(make_line: Callable[..., Line]) -> None:
    line = make_line(DeadlineMs=100)
    line.start()
    line.predictor.away = True
    verdict = line.verdict_of(line.capture(GOOD))
    assert verdict.outcome is Outcome.MISSED
    assert "away" in verdict.reason


def test_without_a_model_frames_are_missed_with_the_reason(make_line: Callable[..., Line]) -> None:
    line = make_line(DeadlineMs=50)
    line.start(models=False)
    assert not line.ready()
    verdict = line.verdict_of(line.capture(GOOD))
    assert verdict.outcome is Outcome.MISSED
    assert "role" in verdict.reason


def test_when_the_queue_is_full_the_oldest_are_missed(make_line: Callable[..., Line]) -> None:
    line = make_line(QueueLength=4, DeadlineMs=20_000)
    line.start()
    line.predictor.hold()
    names = [line.capture(GOOD)]
    wait_until(lambda: len(line.predictor.asked) == 1, "the first frame to be in hand")
    names += [line.capture(GOOD) for _ in range(7)]
    line.predictor.release()
    verdicts = {verdict.frame_id: verdict for verdict in line.wait_for_verdicts(8)}
    assert [str(verdicts[name].outcome) for name in names] == ["pass"] + ["missed"] * 3 + ["pass"] * 4
    assert "waiting" in verdicts[names[1]].reason


def test_a_model_update_switches_between_two_frames_and_loses_none(line: Line) -> None:
    inspector = line.start()
    assert line.verdict_of(line.capture(UNSURE)).outcome is Outcome.REVIEW
    newer = line.folder / "classifier-2"
    line.predictor.load(make_package(newer, "classifier", version="2.0.0", fail=0.3, review=0.2))
    line.serve(serving(newer, line.packages[1]))
    wait_until(
        lambda: "TestClassifier-2-0-0" in (status.in_use if (status := inspector.status().inspector) else []),
        "the new model in the heartbeat",
    )
    line.predictor.unload("TestClassifier-1-0-0")
    verdict = line.verdict_of(line.capture(UNSURE))
    assert verdict.outcome is Outcome.FAIL
    assert verdict.models[0].version == "2.0.0"


def test_a_manifest_that_cannot_be_read_keeps_the_models_before(line: Line) -> None:
    inspector = line.start()
    broken = line.folder / "classifier-2"
    make_package(broken, "classifier", version="2.0.0")
    status = serving(broken, line.packages[1])
    (broken / "manifest.json").write_text("{}")
    line.serve(status)
    wait_until(lambda: "stay in use" in inspector.status().reason, "the reason in the heartbeat")
    assert line.ready()
    assert line.verdict_of(line.capture(GOOD)).models[0].version == "1.0.0"


def test_a_label_is_kept_and_answered(line: Line) -> None:
    line.start()
    name = line.capture(UNSURE)
    line.wait_for_rows(1)
    assert [part.frame_id for part in line.ledger.review_queue(10)] == [name]
    command = LabelVerdict(command_id="c1", frame_id=name, label="pass", operator="m.keller", note="dust")
    line.say(line.topics.commands, command)
    line.say(line.topics.commands, command)
    line.say(line.topics.commands, LabelVerdict(command_id="c2", frame_id="line1-1-000001", label="fail", operator="x"))
    wait_until(lambda: len(line.core.on_topic(line.topics.command_results)) == 3, "three answers")
    results = [decode(raw, CommandResult) for raw in line.core.on_topic(line.topics.command_results)]
    assert [(result.command_id, result.accepted) for result in results] == [("c1", True), ("c1", True), ("c2", False)]
    assert [(label.label, label.operator, label.note) for label in line.ledger.labels(name)] == [
        ("pass", "m.keller", "dust")
    ]
    assert line.ledger.review_queue(10) == []


def test_a_label_under_the_id_of_another_is_refused_and_not_lost_in_silence(line: Line) -> None:
    line.start()
    names = [line.capture(UNSURE), line.capture(UNSURE)]
    line.wait_for_rows(2)
    for name in names:  # a program that counts from 1 again after its restart
        line.say(line.topics.commands, LabelVerdict(command_id="1", frame_id=name, label="fail", operator="x"))
    wait_until(lambda: len(line.core.on_topic(line.topics.command_results)) == 2, "two answers")
    first, second = (decode(raw, CommandResult) for raw in line.core.on_topic(line.topics.command_results))
    assert (first.accepted, second.accepted, line.ledger.labels(names[1])) == (True, False, [])
    assert "command_id 1 has brought another label already" in second.reason


def test_defects_in_a_row_raise_an_alert_and_a_good_part_clears_it(make_line: Callable[..., Line]) -> None:
    line = make_line(DefectsInARow=3)
    line.start()
    for _ in range(3):
        line.capture(BAD)
    wait_until(lambda: line.alert_states() == [("defects_in_a_row", "raised")], "the alert")
    assert line.alerts()[0].count == 3
    line.capture(GOOD)
    wait_until(lambda: ("defects_in_a_row", "cleared") in line.alert_states(), "its end")


def test_commands_that_are_none_do_not_fill_the_log(line: Line, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    line.start()
    for _ in range(200):
        line.camera.publish(line.topics.commands, b"{}")
    assert line.verdict_of(line.capture(GOOD)).outcome is Outcome.PASS
    assert len([record for record in caplog.records if record.getMessage().startswith("commands")]) == 8


def test_messages_that_are_none_are_counted_and_change_nothing(line: Line) -> None:
    inspector = line.start()
    for raw in (b"", b"{}", b"\xff\xfe", b'{"schema":"linewatch.FrameCaptured/1"}', b"[" * 6000):
        line.camera.publish(line.topics.frames, raw)
        line.camera.publish(line.topics.commands, raw)
    assert line.verdict_of(line.capture(GOOD)).outcome is Outcome.PASS
    assert inspector.status().counters["messages_unreadable"] == 5


@pytest.mark.parametrize("later", [0, 60, 10**6])
def test_frames_that_the_ring_does_not_hold_hold_up_nobody_and_take_no_later_frame_s_place(
    line: Line, later: int
) -> None:
    """Anybody on the device's bus may announce some: of this ring (stamped in the future) and of rings that never were."""
    inspector = line.start()
    for number in range(2, 5):
        message = line.announced(number, age_ms=-1e9, epoch=line.ring.epoch + later)
        line.say(line.topics.frames, message)
    # Heard before the ring holds frames of these numbers: then they would be true.
    wait_until(lambda: inspector.status().counters["messages_unreadable"] == 3, "what was announced is heard")
    names = [line.capture(GOOD) for _ in range(4)]
    assert [str(line.verdict_of(name).outcome) for name in names] == ["pass"] * 4
    assert len(line.verdicts()) == 4


def test_a_stamp_that_no_clock_gives_is_none_of_ours(line: Line) -> None:
    inspector = line.start()
    name = line.fail_capture("no picture", said_ns=2**64)
    assert line.verdict_of(name).outcome is Outcome.ERROR, "it is found in the ring"
    assert inspector.status().counters["internal_errors"] == 0
    assert inspector.status().counters["messages_unreadable"] == 1


def test_the_heartbeat_counts(line: Line) -> None:
    inspector = line.start()
    names = [line.capture(level) for level in (GOOD, BAD, GOOD)]
    line.wait_for_rows(3)
    wait_until(lambda: sum(inspector.status().inspector.outcomes.values()) == 3, "the counts")  # type: ignore[union-attr]  # always there
    status = inspector.status()
    assert status.inspector is not None
    assert status.inspector.outcomes == {"pass": 2, "fail": 1}
    assert status.inspector.judged_sequence == 3
    assert status.inspector.judged_epoch == line.ring.epoch
    assert (status.counters["pass"], status.counters["fail"], status.counters["queued"]) == (2, 1, 0)
    assert len(names) == 3


def test_the_self_check_prints_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "linewatch_inspector", "--selfcheck"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("OK linewatch_inspector ")
    assert done.stdout.count("\n") == 1
