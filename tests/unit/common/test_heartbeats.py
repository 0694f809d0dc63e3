"""Heartbeats: what a component says of itself, and who has gone."""

import os
import threading
import time
from collections.abc import Callable

import msgspec
import pytest
from linewatch_common.heartbeats import MAX_COMPONENTS, HeartbeatPublisher, HeartbeatWatch, Status
from linewatch_common.messages import Heartbeat, decode, encode, examples
from linewatch_common.messages.status import ComponentState
from linewatch_common.topics import Topics

from tests.fakes.bus import FakeCore

TOPICS = Topics("line1")
READY = Status(state=ComponentState.READY, counters={"parts": 3})


def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.01)


def test_a_beat_carries_state_and_counters_and_user() -> None:
    core = FakeCore()
    HeartbeatPublisher("com.linewatch.Camera", core.bus(), TOPICS).beat(READY)
    beat: Heartbeat = decode(core.on_topic(TOPICS.status)[0], Heartbeat)
    assert (beat.component, beat.state, beat.counters, beat.uid) == (
        "com.linewatch.Camera", ComponentState.READY, {"parts": 3}, os.getuid(),
    )  # fmt: skip


def test_a_bus_that_is_away_stops_no_heart() -> None:
    core = FakeCore()
    publisher = HeartbeatPublisher("com.linewatch.Camera", core.bus(), TOPICS)
    core.away = True
    publisher.beat(READY)
    core.away = False
    publisher.beat(READY)
    assert len(core.on_topic(TOPICS.status)) == 1


def test_the_watch_knows_who_lives() -> None:
    core = FakeCore()
    watch = HeartbeatWatch()
    bus = core.bus()
    bus.subscribe(TOPICS.status, watch.receive)
    HeartbeatPublisher("com.linewatch.Camera", bus, TOPICS).beat(READY)
    until(lambda: watch.latest("com.linewatch.Camera") is not None)
    assert watch.latest("com.linewatch.EdgeAgent") is None
    assert watch.age("com.linewatch.EdgeAgent") == float("inf")
    assert watch.latest("com.linewatch.Camera", within_seconds=0) is None
    assert list(watch.all_latest()) == ["com.linewatch.Camera"]


def test_rubbish_on_the_status_topic_is_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    watch = HeartbeatWatch()
    watch.receive(b"{}")
    assert "status: message" in caplog.text
    assert watch.all_latest() == {}


def test_another_posix_user_is_called_out_once(caplog: pytest.LogCaptureFixture) -> None:
    watch = HeartbeatWatch()
    beat = examples.STATUS[0]
    assert isinstance(beat, Heartbeat)
    raw = encode(beat).replace(b'"uid":994', b'"uid":%d' % (os.getuid() + 1))
    watch.receive(raw)
    watch.receive(raw)
    assert caplog.text.count("run all linewatch components as one posix user") == 1


def test_a_dead_subscription_makes_the_bus_link_anew() -> None:
    core = FakeCore()
    bus = core.bus()
    now = 0
    publisher = HeartbeatPublisher("com.linewatch.Camera", bus, TOPICS, clock=lambda: now)
    publisher.watch_own()
    heard = threading.Event()
    bus.subscribe(TOPICS.status, lambda _: heard.set())
    publisher.beat(READY)
    assert heard.wait(5)
    bus.close()  # nothing is delivered any more, as after a subscription died silently
    doubted: list[int] = []
    for now in range(1, 41):
        publisher.beat(READY)
        doubted += [now] if len(bus.resets) > len(doubted) else []
    assert doubted == [13, 26, 39]


def test_strangers_neither_fill_the_memory_nor_push_out_who_lives(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    watch = HeartbeatWatch(clock=lambda: now)
    beat = examples.STATUS[0]
    assert isinstance(beat, Heartbeat)
    watch.receive(encode(beat))
    for number in range(1000):
        stranger = msgspec.structs.replace(beat, component=f"com.example.C{number}", uid=100_000 + number)
        watch.receive(encode(stranger))
    assert watch.latest(beat.component) == beat
    assert len(watch.all_latest()) == MAX_COMPONENTS
    assert len(caplog.records) < 2 * MAX_COMPONENTS
    now = 3600.0  # they have gone
    watch.receive(encode(msgspec.structs.replace(beat, component="com.linewatch.New")))
    assert list(watch.all_latest()) == ["com.linewatch.New"]


def test_a_broken_sender_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    watch = HeartbeatWatch()
    for _ in range(1000):
        watch.receive(b"{")
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 10
    assert lines[0].startswith("status: ")
    assert lines[-1].endswith("(512 such so far)")
