import msgspec
import pytest
from linewatch_common.messages import (
    Alert,
    CameraStatus,
    Defect,
    ModelActivated,
    ModelOffered,
    ModelRefused,
    Outcome,
    Verdict,
    WaitingModel,
)
from linewatch_common.messages.alerts import ActiveAlert, AlertKind, AlertState
from linewatch_dashboard.line import REJECTS_SHOWN, Line, counters_of, is_reject, reject_of
from linewatch_dashboard.view import Feed, StateMessage

from tests.unit.dashboard.messages import AT, DIGEST, agent_beat, at, beat, frame, inspector_beat, verdict

FEED = Feed(viewers=0, skipped=0, messages_dropped=0)


def line() -> Line:
    return Line("line1", stale_after_seconds=10.0)


def state(of: Line, now: float = 100.0) -> StateMessage:
    return of.message(now, None, 0, FEED)


def alert(kind: AlertKind, alert_state: AlertState, detail: str = "d") -> Alert:
    return Alert(station="line1", kind=kind, state=alert_state, detail=detail, since=AT, at=AT, count=5)


def test_an_empty_line_says_that_nothing_was_heard() -> None:
    empty = state(line())
    assert [light.state for light in empty.health] == ["absent"] * 4
    assert empty.models == []
    assert empty.age_ms is None
    assert empty.counters.yield_percent is None
    assert empty.stale_after_ms == 10_000


def test_the_age_of_the_last_part_is_told_in_milliseconds() -> None:
    assert line().message(100.0, 97.5, 3, FEED).age_ms == pytest.approx(2500)


def test_alerts_live_from_raised_to_cleared() -> None:
    watched = line()
    watched.add_alert(alert(AlertKind.DISK_LOW, AlertState.RAISED, "old"))
    watched.add_alert(alert(AlertKind.DISK_LOW, AlertState.RAISED, "new"))
    watched.add_alert(alert(AlertKind.CAMERA_SILENT, AlertState.RAISED))
    assert {item.kind: item.detail for item in state(watched).alerts} == {"disk_low": "new", "camera_silent": "d"}
    watched.add_alert(alert(AlertKind.DISK_LOW, AlertState.CLEARED))
    watched.add_alert(alert(AlertKind.MODEL_MISSING, AlertState.CLEARED))
    assert [item.kind for item in state(watched).alerts] == ["camera_silent"]


def test_inspectors_heartbeat_tells_a_late_page_which_alerts_are_on_and_which_are_over() -> None:
    watched = line()
    watched.add_alert(alert(AlertKind.CAMERA_SILENT, AlertState.RAISED))
    disk = ActiveAlert(kind=AlertKind.DISK_LOW, detail="2 GB left", since="2026-11-22T10:15:30.000000Z")
    watched.add_heartbeat(inspector_beat(alerts=[disk]), 100.0)
    assert [(item.kind, item.detail) for item in state(watched).alerts] == [("disk_low", "2 GB left")]


def test_models_are_the_agents_roles_and_say_whether_inspector_uses_them() -> None:
    watched = line()
    watched.add_heartbeat(
        agent_beat(classifier=("SurfaceClassifier", "1.0.0"), segmenter=("SurfaceSegmenter", "2.1.0")), 100.0
    )
    watched.add_heartbeat(inspector_beat(), 100.0)
    first, second = state(watched, 101.0).models
    assert (first.role, first.name, first.version, first.identifier, first.in_use) == (
        "classifier",
        "SurfaceClassifier",
        "1.0.0",
        "SurfaceClassifier-1-0-0",
        True,
    )
    assert (second.name, second.in_use) == ("SurfaceSegmenter", False)


def test_a_model_that_waits_for_the_window_stands_beside_the_one_that_it_replaces() -> None:
    watched = line()
    beat = agent_beat(classifier=("SurfaceClassifier", "1.0.0"))
    assert beat.agent is not None
    heir = WaitingModel(
        identifier="SurfaceClassifier-1-1-0", version="1.1.0", manifest_digest=DIGEST, until="2026-11-28T22:00:00Z"
    )
    agent = msgspec.structs.replace(beat.agent, waiting={"classifier": heir})
    watched.add_heartbeat(msgspec.structs.replace(beat, agent=agent), 100.0)
    [model] = state(watched, 101.0).models
    assert (model.successor, model.successor_from) == ("SurfaceClassifier-1-1-0", "2026-11-28T22:00:00Z")


def test_models_of_an_agent_that_is_silent_are_not_said_to_be_loaded() -> None:
    watched = line()
    watched.add_heartbeat(agent_beat(classifier=("SurfaceClassifier", "1.0.0")), 100.0)
    assert state(watched, 110.0).models == []


def test_the_last_event_of_a_model_is_kept_in_words_but_offers_are_no_news() -> None:
    watched = line()
    watched.add_model_message(ModelRefused(identifier="M-1-0-0", nonce="n", reason="bad digest"), 100.0)
    offer = ModelOffered(
        name="M",
        version="1.0.0",
        identifier="M-1-0-0",
        role="classifier",
        folder="/f",
        manifest_digest=DIGEST,
        nonce="n",
        trial=False,
        lease="l",
    )
    watched.add_model_message(offer, 101.0)
    event = state(watched, 102.0).model_event
    assert event is not None
    assert (event.text, event.bad, event.age_ms) == ("M-1-0-0 was refused: bad digest", True, 2000.0)
    activated = ModelActivated(
        identifier="M-1-0-0", role="classifier", version="1.0.0", manifest_digest=DIGEST, nonce="n", replaced="M-0-9-0"
    )
    watched.add_model_message(activated, 103.0)
    event = state(watched, 103.0).model_event
    assert event is not None
    assert (event.text, event.bad) == ("M-1-0-0 serves as classifier instead of M-0-9-0", False)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (verdict(1, Outcome.PASS), False),
        (verdict(1, Outcome.FAIL), True),
        (verdict(1, Outcome.REVIEW), True),
        (verdict(1, Outcome.ERROR), True),
        (verdict(1, Outcome.MISSED), False),
        (verdict(1, Outcome.LATE, judged=Outcome.PASS), False),
        (verdict(1, Outcome.LATE, judged=Outcome.FAIL), True),
        (verdict(1, Outcome.LATE, judged=Outcome.REVIEW), True),
    ],
)
def test_a_reject_is_what_was_not_found_good(found: Verdict, expected: bool) -> None:
    assert is_reject(found) is expected
    watched = line()
    watched.add_verdict(found)
    assert bool(watched.rejects()) is expected


def test_the_last_eight_rejects_are_kept_the_youngest_first() -> None:
    watched = line()
    for number in range(12):
        watched.add_verdict(verdict(number, Outcome.FAIL))
    watched.add_verdict(verdict(30, Outcome.PASS))
    assert [item.frame_id for item in watched.rejects()] == [frame(n) for n in range(11, 11 - REJECTS_SHOWN, -1)]


def test_the_last_rejects_are_the_last_ones_also_after_the_clock_was_set_back() -> None:
    watched = line()
    for number in range(8):
        watched.add_verdict(verdict(number, Outcome.FAIL, captured_at="2026-11-22T11:15:30.000000Z"))
    watched.add_verdict(verdict(8, Outcome.FAIL, captured_at="2026-11-22T10:15:31.000000Z"))
    assert [item.frame_id for item in watched.rejects()][:2] == [frame(8), frame(7)]


def test_a_later_ring_goes_before_a_higher_number() -> None:
    watched = line()
    watched.add_verdict(verdict(0, Outcome.FAIL, frame_id="line1-1763800001-000002"))
    watched.add_verdict(verdict(900, Outcome.FAIL))
    watched.add_verdict(verdict(1, Outcome.FAIL, frame_id="of another numbering"))
    assert [item.frame_id for item in watched.rejects()] == [
        "line1-1763800001-000002",
        frame(900),
        "of another numbering",
    ]


def test_ledger_and_messages_tell_the_same_reject_once_and_a_stored_picture_stays_known() -> None:
    watched = line()
    watched.add_verdict(verdict(1, Outcome.FAIL))
    watched.add_stored(frame(1))
    watched.add_rejects([reject_of(verdict(1, Outcome.FAIL)), reject_of(verdict(0, Outcome.FAIL), stored=True)])
    assert [(item.frame_id, item.stored) for item in watched.rejects()] == [(frame(1), True), (frame(0), True)]


def test_a_stored_picture_of_an_unknown_frame_is_ignored() -> None:
    watched = line()
    watched.add_stored(frame(9))
    assert watched.rejects() == []


def test_a_reject_names_its_first_defect() -> None:
    defects = [Defect(defect_class="crack", box=(4, 3, 2, 1), area_px=1, score=0.9)]
    reject = reject_of(verdict(1, Outcome.FAIL, defects=defects, score=0.9, reason="r", part_id="p"))
    assert reject.box == (4, 3, 2, 1)
    assert (reject.defect_class, reject.score, reject.reason, reject.part_id, reject.captured_at) == (
        "crack",
        0.9,
        "r",
        "p",
        at(1),
    )


def test_counters_come_from_inspectors_heartbeat_until_the_ledger_was_read() -> None:
    watched = line()
    watched.add_heartbeat(inspector_beat(outcomes={"pass": 3, "fail": 1}), 100.0)
    assert state(watched).counters.total == 4
    watched.set_outcomes({"pass": 9, "missed": 1}, 100.5)
    counters = state(watched, 102.5).counters
    assert (counters.total, counters.missed, counters.outcomes["fail"]) == (10, 1, 0)
    watched.add_heartbeat(inspector_beat(outcomes={"pass": 20, "missed": 1}), 102.0)
    assert state(watched, 102.5).counters.total == 10, "the numbers do not go back and forth between the two"
    assert state(watched, 130.0).counters.total == 21, "nobody asks the ledger while no page is open"


def test_the_yield_is_of_what_was_judged() -> None:
    counters = counters_of({"pass": 90, "fail": 6, "review": 3, "late": 1, "missed": 50, "error": 50})
    assert counters.yield_percent == pytest.approx(90.0)
    assert counters.total == 200


def test_a_paused_or_ended_camera_is_told() -> None:
    watched = line()
    camera = CameraStatus(ring="/r", epoch=1, sequence=1, source="folder /p", paused=True, ended=True)
    watched.add_heartbeat(beat("Camera", camera=camera), 100.0)
    told = state(watched)
    assert (told.paused, told.ended, told.source) == (True, True, "folder /p")
