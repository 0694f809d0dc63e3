"""Captured data to Stream Manager: its real SDK against a server that speaks its protocol on a real socket."""

import json
import logging
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("stream_manager", reason="the extra stream-manager is not installed")

from linewatch_agent.captures import AuxiliaryItem, CapturedTensor, CaptureRequest, CaptureState, Encoding
from linewatch_agent.captures.lines import PushedFiles
from linewatch_agent.captures.pushes import Push, RefusedLinesError
from linewatch_agent.captures.stream_manager import LARGEST_BYTES, StreamManagerStream
from linewatch_agent.captures.streams import MessageTooLargeError, StreamDestination, StreamSettings, digest
from linewatch_agent.capturing import build_captures
from linewatch_agent.config import AgentConfig
from linewatch_agent.counters import Counters
from linewatch_agent.errors import NotInstalledError
from linewatch_agent_api import agent_pb2 as wire
from linewatch_common.errors import UnavailableError

from tests.fakes.stream_manager import OVERWRITE, REJECT, StreamManagerServer
from tests.unit.agent.support import short_folder, wait_until
from tools.capture_rig import AgentProcess

SETTINGS = StreamSettings("linewatch-captures", 256_000_000, overwrites=False, kinesis="")
LINES = [b'{"n":1}', b'{"n":2}', b'{"n":3}']
TENSOR = CapturedTensor("picture", "UINT8", (9000,), bytes(range(250)) * 36)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[StreamManagerServer]:
    running = StreamManagerServer()
    running.start()
    monkeypatch.setenv("STREAM_MANAGER_SERVER_PORT", str(running.port))
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "token")
    yield running
    running.stop()


@pytest.fixture
def streams(server: StreamManagerServer) -> Iterator["Streams"]:
    made = Streams()
    yield made
    made.close()
    assert made.left_behind() == 0


class Streams:
    """Connections of a test, each as a process of its own would make it."""

    def __init__(self) -> None:
        self._made: list[StreamManagerStream] = []

    def new(self, settings: StreamSettings = SETTINGS) -> StreamManagerStream:
        self._made.append(StreamManagerStream(settings, request_seconds=1.0))
        return self._made[-1]

    def destination(self, settings: StreamSettings = SETTINGS) -> StreamDestination:
        return StreamDestination(self.new(settings), 10)

    def close(self) -> None:
        for each in self._made:
            each.close()

    @staticmethod
    def left_behind() -> int:
        """Threads of the SDK."""
        return sum("run_event_loop" in thread.name for thread in threading.enumerate())


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as made:
        yield made


def _push(*lines: bytes) -> Push:
    return Push("folder", "0" * 32, PushedFiles(b"".join(line + b"\n" for line in lines)), sampled=False)


def _stored_in_the_end(destination: StreamDestination, push: Push) -> int:
    """How many tries it takes."""
    for tries in range(1, 6):
        try:
            destination.store(push)
        except UnavailableError:
            continue
        return tries
    raise AssertionError("it was never stored")


def test_the_stream_is_made_durable_and_exported_to_kinesis(server: StreamManagerServer, streams: Streams) -> None:
    stream = streams.new(replace(SETTINGS, kinesis="plant-a"))
    assert stream.reachable()
    assert stream.connect(10) == frozenset()
    definition = server.streams["linewatch-captures"].definition
    in_files = 0
    assert (definition["persistence"], definition["flushOnWrite"], definition["strategyOnFull"]) == (
        in_files,
        True,
        REJECT,
    )
    assert [each["kinesisStreamName"] for each in definition["exportDefinition"]["kinesis"]] == ["plant-a"]


def test_a_stream_that_exists_is_brought_to_the_configuration_or_left(
    server: StreamManagerServer, streams: Streams, caplog: pytest.LogCaptureFixture
) -> None:
    streams.new().connect(10)
    streams.new(replace(SETTINGS, overwrites=True)).connect(10)
    assert server.streams["linewatch-captures"].definition["strategyOnFull"] == OVERWRITE
    server.updatable = False
    stream = streams.new()
    stream.connect(10)
    stream.append(b"message")
    assert "stays as somebody made it" in caplog.text
    assert server.streams["linewatch-captures"].definition["strategyOnFull"] == OVERWRITE


def test_the_newest_messages_are_read_back(server: StreamManagerServer, streams: Streams) -> None:
    stream = streams.new()
    stream.connect(2)
    for line in LINES:
        stream.append(line)
    assert streams.new().connect(2) == {digest(line) for line in LINES[1:]}
    assert streams.new().connect(9) == {digest(line) for line in LINES}


def test_reading_back_takes_the_memory_of_a_message_not_of_the_stream(
    server: StreamManagerServer, streams: Streams
) -> None:
    streams.new().connect(1)
    server.streams["linewatch-captures"].messages = [bytes([number]) * 2_000_000 for number in range(30)]
    stream = streams.new()
    tracemalloc.start()
    try:
        stream.connect(30)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 30_000_000


@pytest.mark.parametrize("appended", [1, 2, 3])
def test_a_connection_that_is_cut_before_an_answer_repeats_nothing(
    server: StreamManagerServer, streams: Streams, appended: int
) -> None:
    destination = streams.destination()
    server.cut_after = appended
    assert _stored_in_the_end(destination, _push(*LINES)) == 2
    assert server.messages() == LINES


def test_a_push_that_another_one_overtakes_after_a_restart_is_still_recognised(
    server: StreamManagerServer, streams: Streams
) -> None:
    server.cut_after = 2
    with pytest.raises(UnavailableError):
        streams.destination().store(_push(*LINES))
    again = streams.destination()
    again.store(_push(b"other"))
    again.store(_push(*LINES))
    assert server.messages() == [*LINES[:2], b"other", LINES[2]]


def test_a_server_that_is_restarted_between_two_pushes(server: StreamManagerServer, streams: Streams) -> None:
    destination = streams.destination()
    destination.store(_push(*LINES))
    server.stop()
    with pytest.raises(UnavailableError, match="Stream Manager"):
        destination.store(_push(b"later"))
    server.start()
    assert _stored_in_the_end(destination, _push(b"later")) <= 2
    assert server.messages() == [*LINES, b"later"]


def test_a_server_that_never_answers_is_given_up_and_leaves_nothing_behind(
    server: StreamManagerServer, streams: Streams
) -> None:
    destination = streams.destination()
    destination.store(_push(*LINES))
    server.mute = True
    large = b"x" * 30_000_000  # more than the sockets' buffers: sending it does not end either
    for _ in range(2):
        with pytest.raises(UnavailableError, match="no answer in time"):
            destination.store(_push(large))
    server.mute = False
    server.cut()
    assert _stored_in_the_end(destination, _push(b"later")) <= 2
    assert server.messages() == [*LINES, b"later"]


def test_failed_connections_leave_no_threads(
    server: StreamManagerServer, streams: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "wrong")
    for _ in range(3):
        with pytest.raises(UnavailableError, match="Failed to establish connection"):
            streams.new().connect(1)
    server.stop()
    assert not streams.new().reachable()
    for _ in range(3):
        with pytest.raises(UnavailableError, match=r"refused|Connect call failed"):
            streams.new().connect(1)


def test_a_full_stream_makes_captures_wait_or_drops_its_oldest(server: StreamManagerServer, streams: Streams) -> None:
    small = replace(SETTINGS, max_bytes=1024)
    line = b"x" * 500
    destination = streams.destination(small)
    destination.store(_push(line + b"1", line + b"2"))
    with pytest.raises(UnavailableError, match="full"):
        destination.store(_push(line + b"3"))
    assert len(server.messages()) == 2
    streams.destination(replace(small, overwrites=True)).store(_push(line + b"3"))
    assert server.messages() == [line + b"2", line + b"3"]


def test_a_message_that_is_too_large_is_refused_for_good_and_the_others_arrive(
    server: StreamManagerServer, streams: Streams
) -> None:
    server.largest = 100
    with pytest.raises(RefusedLinesError, match="too large") as refused:
        streams.destination().store(_push(LINES[0], b"x" * 101, LINES[1]))
    assert refused.value.places == {1}
    assert server.messages() == LINES[:2]
    stream = streams.new()
    stream.connect(0)
    with pytest.raises(MessageTooLargeError):
        stream.append(bytes(LARGEST_BYTES + 1))


def _request(capture_id: str, tensor: CapturedTensor = TENSOR) -> CaptureRequest:
    item = AuxiliaryItem("raw.bin", Encoding.NONE, b"\0\1")
    return CaptureRequest("m", capture_id, inputs=(tensor,), auxiliary_inputs=(item,))


def test_success_comes_with_the_acknowledgement_and_a_line_holds_all_its_data(
    server: StreamManagerServer, folder: Path
) -> None:
    server.stop()
    counters = Counters()
    config = AgentConfig(capture_data_destination="StreamManager", capture_data_push_period_seconds=1)
    captures = build_captures(config, "device-1", folder, counters)
    captures.start()
    try:
        for name in ("a", "b"):
            captures.take(_request(name), None)
        captures.take(_request("large", replace(TENSOR, data=bytes(200_000))), None)
        assert captures.state_of("a") is CaptureState.IN_PROGRESS
        server.largest = 100_000
        server.start()
        wait_until(lambda: captures.state_of("b") is CaptureState.SUCCESS, 60)
        assert captures.state_of("large") is CaptureState.FAILURE
    finally:
        captures.stop()
    lines = [json.loads(message) for message in server.messages()]
    assert [line["eventMetadata"]["eventId"] for line in lines] == ["a", "b"]
    assert all("data-ref" not in entry for line in lines for entry in _entries(line))
    counted = counters.snapshot()
    assert (counted["captures_sent"], counted["captures_failed"]) == (2, 1)


def _entries(line: dict[str, Any]) -> list[dict[str, Any]]:
    return [*line["deviceFleetInputs"], *line["deviceFleetAuxiliaryInputs"]]


def test_an_agent_that_is_killed_while_stream_manager_comes_and_goes(server: StreamManagerServer, folder: Path) -> None:
    environment = {"STREAM_MANAGER_SERVER_PORT": str(server.port), "AWS_CONTAINER_AUTHORIZATION_TOKEN": "token"}
    settings = {
        "sagemaker_edge_core_capture_data_destination": "StreamManager",
        "sagemaker_edge_core_capture_data_push_period_seconds": 1,
    }
    agent = AgentProcess(folder, environment, **settings)
    names = [f"c{number}" for number in range(12)]
    agent.start()
    try:
        for name in names[:6]:
            agent.capture(name)
        wait_until(lambda: bool(server.messages()), 60)
        agent.kill()
        server.stop()
        agent.start()
        for name in names[6:]:
            agent.capture(name)
        agent.kill()
        server.start()
        agent.start()
        wait_until(lambda: all(agent.status(name) == wire.SUCCESS for name in names), 60)
    finally:
        agent.stop()
    arrived = [json.loads(message)["eventMetadata"]["eventId"] for message in server.messages()]
    assert sorted(arrived) == sorted(names)


def test_without_the_extra_one_line_says_so_and_captures_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "stream_manager", None)
    monkeypatch.delitem(sys.modules, "linewatch_agent.captures.stream_manager")
    with caplog.at_level(logging.ERROR):
        captures = build_captures(AgentConfig(capture_data_destination="StreamManager"), "d", folder, Counters())
    assert [record.getMessage().count("extra 'stream-manager'") for record in caplog.records] == [1]
    with pytest.raises(NotInstalledError, match="extra 'stream-manager'"):
        captures.take(_request("a"), None)
