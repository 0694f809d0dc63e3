"""Health from a delivery stream's objects: the newest report of each device by a few calls."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from linewatch_common.messages.fleet import FleetHealth

from model_build.fleet.calls import Caller
from model_build.fleet.configuration import moment_text
from model_build.fleet.health import gather
from model_build.fleet.health_stream import StreamReports
from model_build.fleet.store import FolderStore
from tests.fakes.greengrassv2.reports import stream_line
from tests.integration.fleet.conftest import BUCKET

NOW = datetime.now(UTC)


def line(thing: str, at: datetime, *, device: str | None = None, passed: int = 0) -> bytes:
    """As the rule writes it: the report, and the thing of its topic (`device`)."""
    report = FleetHealth(
        thing=thing,
        station="line1",
        at=moment_text(at),
        since=moment_text(at - timedelta(hours=1)),
        sequence=1,
        components={},
        outcomes={"pass": passed},
    )
    return stream_line(device or thing, msgspec.json.encode(report))


def put(s3: Any, name: str, body: bytes, hour: datetime = NOW) -> None:
    s3.put_object(Bucket=BUCKET, Key=f"health/{hour:%Y/%m/%d/%H}/{name}", Body=body)


def stream(s3: Any, caller: Caller, hours: float = 0.0) -> StreamReports:
    # The time of the reports, not of the call: a long run of tests may lie between.
    return StreamReports(s3, BUCKET, "health/", caller, lambda: NOW + timedelta(hours=hours))


def test_the_newest_report_of_each_device_by_one_call_an_object(s3: Any, tmp_path: Any) -> None:
    early, late = NOW - timedelta(minutes=3), NOW - timedelta(minutes=1)
    put(s3, "b-2", b"".join(line(f"press-{n:03}", late, passed=20) for n in range(200)))
    put(s3, "a-1", b"".join(line(f"press-{n:03}", early, passed=10) for n in range(300)))
    caller = Caller()
    reports = stream(s3, caller)
    store = FolderStore(tmp_path)
    things = [f"press-{n:03}" for n in range(301)]
    summary = gather(reports, store, things, NOW)
    assert len(summary.reports) == 300, "press-300 never reported"
    assert summary.reports["press-000"].outcomes == {"pass": 20}, "the newest, whatever the order of the objects"
    assert summary.reports["press-250"].outcomes == {"pass": 10}
    assert caller.made["s3:get_object"] == 2
    put(s3, "c-3", line("press-300", late))
    assert "press-300" in gather(reports, store, things, NOW).reports
    assert caller.made["s3:get_object"] == 3, "what was read is not read again"


def test_a_device_speaks_for_itself_alone(s3: Any, tmp_path: Any) -> None:
    put(s3, "a", line("press-002", NOW, passed=9) + line("press-002", NOW, device="press-001", passed=666))
    found = gather(stream(s3, Caller()), FolderStore(tmp_path), ["press-001", "press-002"], NOW).reports
    assert found["press-002"].outcomes == {"pass": 9}
    assert "names the thing 'press-002'" in found["press-001"].unreadable
    forged = b'{"device":"press-001","thing":"press-001","at":"2099-01-01T00:00:00Z"}'
    put(s3, "b", stream_line("press-003", forged))
    assert stream(s3, Caller()).read("press-001") is None, "before listing"
    reports = stream(s3, Caller())
    assert set(reports.listing()) == {"press-001", "press-002", "press-003"}
    assert reports.read("press-001") != forged
    assert reports.read("press-003") == forged


def test_a_hostile_line_costs_itself_alone(s3: Any) -> None:
    put(
        s3,
        "a",
        b'{"device":\n'
        + b"\xff\xfe\n"
        + b'{"device": "x", "report": "not base64"}\n'
        + stream_line("x", b'{"at": 3}')
        + stream_line("x", b'"at"')
        + b'{"device": "x", "at": "2026-11-22T10:00:00Z"}\n'
        + b"y" * 9000
        + b"\n\n"
        + line("press-001", NOW),
    )
    reports = stream(s3, Caller())
    assert list(reports.listing()) == ["press-001"]
    assert reports.unreadable == 7


def test_old_objects_are_no_news(s3: Any) -> None:
    put(s3, "a", line("press-001", NOW))
    assert stream(s3, Caller(), hours=1.0).listing() == {}
    assert list(stream(s3, Caller()).listing()) == ["press-001"]


def test_a_clock_that_ran_ahead_once_hides_nothing(s3: Any, tmp_path: Any) -> None:
    put(s3, "a", line("press-001", NOW + timedelta(days=365), passed=1))
    put(s3, "b", line("press-001", datetime.now(UTC) + timedelta(minutes=1), passed=2))
    found = gather(stream(s3, Caller()), FolderStore(tmp_path), ["press-001"], NOW)
    assert found.reports["press-001"].outcomes == {"pass": 2}


def test_an_object_stands_under_the_hour_of_its_first_report(s3: Any) -> None:
    put(s3, "a", line("press-001", NOW), hour=NOW - timedelta(minutes=14))
    assert list(stream(s3, Caller()).listing()) == ["press-001"]


def test_an_empty_bucket_holds_no_reports(s3: Any) -> None:
    assert stream(s3, Caller()).listing() == {}
