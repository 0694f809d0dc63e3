"""Our way to serve unary calls, asked by gRPC's own client over a real socket."""

import socket
import struct
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from linewatch_agent.calls import CallContext, UnaryServer
from linewatch_agent_api import agent_pb2 as wire

from tests.unit.agent.support import wait_until

# Far more than any of these takes; only a failing test waits so long.
SECONDS = 10.0
# Depends on how far gRPC's core is with the connection when the call comes; clients take both for an agent that is away.
AWAY = (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)
Behaviour = Callable[[Any, CallContext], Any]


@contextmanager
def served(
    behaviour: Behaviour, folder: Path, threads: int = 3, *, short: bool = False, most_bytes: int = 4096
) -> Iterator[tuple[UnaryServer, grpc.Channel]]:
    """A server with the one method /test.Test/Ask, which takes and gives DescribeModelRequest, and a channel to it."""
    handler = grpc.unary_unary_rpc_method_handler(
        behaviour, wire.DescribeModelRequest.FromString, wire.DescribeModelRequest.SerializeToString
    )
    server = UnaryServer((("grpc.max_receive_message_length", most_bytes),), threads)
    server.add_registered_method_handlers("test.Test", {"Ask": handler}, short=short)
    address = f"unix:{folder}/calls.sock"
    server.add_insecure_port(address)
    server.start()
    try:
        with grpc.insecure_channel(address) as channel:
            yield server, channel
    finally:
        server.stop(0)


def echo(request: Any, _context: CallContext) -> Any:
    """Answers what was asked."""
    return request


def ask(channel: grpc.Channel, content: bytes = b"", method: str = "Ask") -> bytes:
    """One call in raw bytes."""
    answer: bytes = channel.unary_unary(f"/test.Test/{method}")(content, timeout=SECONDS)
    return answer


def status(call: Callable[[], object]) -> tuple[grpc.StatusCode, str]:
    """What a call is refused with."""
    with pytest.raises(grpc.RpcError) as refused:
        call()
    return refused.value.code(), refused.value.details()


def test_many_calls_from_many_threads_get_each_its_own_answer(tmp_path: Path) -> None:
    wrong: list[str] = []

    def client(name: str, channel: grpc.Channel) -> None:
        for number in range(50):
            message = wire.DescribeModelRequest(name=f"{name}{number}").SerializeToString()
            if ask(channel, message) != message:
                wrong.append(name)

    with served(echo, tmp_path) as (_, channel):
        threads = [threading.Thread(target=client, args=(f"client{place}-", channel)) for place in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SECONDS)
        assert not wrong
        assert not any(thread.is_alive() for thread in threads)


def test_calls_run_beside_each_other_and_more_than_there_are_threads_wait(tmp_path: Path) -> None:
    together = threading.Barrier(3)

    def meet(request: Any, _context: CallContext) -> Any:
        together.wait(SECONDS)
        return request

    with served(meet, tmp_path) as (_, channel):
        calls = [channel.unary_unary("/test.Test/Ask").future(b"", timeout=SECONDS) for _ in range(6)]
        assert [call.result() for call in calls] == [b""] * 6


def test_an_abort_brings_code_details_and_trailing_metadata(tmp_path: Path) -> None:
    def refuse(_request: Any, context: CallContext) -> Any:
        context.set_trailing_metadata((("linewatch-request", "7"),))
        context.abort(grpc.StatusCode.NOT_FOUND, "kein Modell für “x”")

    with served(refuse, tmp_path) as (_, channel):
        call = channel.unary_unary("/test.Test/Ask").future(b"", timeout=SECONDS)
        assert (call.code(), call.details()) == (grpc.StatusCode.NOT_FOUND, "kein Modell für “x”")
        assert ("linewatch-request", "7") in call.trailing_metadata()


def test_what_goes_wrong_is_one_call_s_alone(tmp_path: Path) -> None:
    def fail_for_bad(request: Any, _context: CallContext) -> Any:
        if request.name == "bad":
            raise ValueError("a defect")
        return request

    with served(fail_for_bad, tmp_path, threads=1) as (_, channel):
        bad = wire.DescribeModelRequest(name="bad").SerializeToString()
        assert status(lambda: ask(channel, bad)) == (grpc.StatusCode.UNKNOWN, "Ask failed: ValueError")
        assert status(lambda: ask(channel, b"\xff"))[0] is grpc.StatusCode.INTERNAL
        assert status(lambda: ask(channel, method="Other"))[0] is grpc.StatusCode.UNIMPLEMENTED
        assert status(lambda: ask(channel, b"x" * 5000))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
        nothing = channel.stream_unary("/test.Test/Ask")
        assert status(lambda: nothing(iter(()), timeout=SECONDS))[0] is grpc.StatusCode.UNIMPLEMENTED
        assert ask(channel) == b""


@pytest.mark.parametrize("short", [False, True])
def test_a_handler_that_wants_to_end_its_thread_ends_its_call(short: bool, tmp_path: Path) -> None:
    def end_for_bad(request: Any, _context: CallContext) -> Any:
        if request.name == "bad":
            raise SystemExit
        return request

    with served(end_for_bad, tmp_path, threads=2, short=short) as (_, channel):
        bad = wire.DescribeModelRequest(name="bad").SerializeToString()
        for _ in range(3):
            assert status(lambda: ask(channel, bad)) == (grpc.StatusCode.UNKNOWN, "Ask failed: SystemExit")
        assert ask(channel) == b""


def _literal(name: bytes, value: bytes) -> bytes:
    """A header field of HPACK, without its tables."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def _frame(kind: int, flags: int, stream: int, content: bytes = b"") -> bytes:
    return struct.pack(">I", len(content))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + content


def test_a_method_whose_name_is_no_text_is_answered_as_one_that_there_is_not(tmp_path: Path) -> None:
    fields = ((b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/test.Test/\xff"), (b":authority", b"x"))
    headers = b"".join(
        _literal(*field) for field in (*fields, (b"content-type", b"application/grpc"), (b"te", b"trailers"))
    )
    with served(echo, tmp_path) as (_, channel), socket.socket(socket.AF_UNIX) as client:
        client.settimeout(SECONDS)
        client.connect(f"{tmp_path}/calls.sock")
        client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(4, 0, 0))  # gRPC's own client refuses such names
        client.sendall(_frame(1, 4, 1, headers) + _frame(0, 1, 1, b"\0" * 5))
        heard = b""
        while b"grpc-message" not in heard:
            heard += client.recv(4096)
        assert b"grpc-status\x0212" in heard  # UNIMPLEMENTED
        assert ask(channel) == b""


def test_an_answered_request_is_not_kept(tmp_path: Path) -> None:
    together = threading.Barrier(3)

    def meet(_request: Any, _context: CallContext) -> Any:
        together.wait(SECONDS)
        return wire.DescribeModelRequest()

    request = wire.DescribeModelRequest(name="x" * 1_000_000).SerializeToString()
    with served(meet, tmp_path, threads=4, most_bytes=2_000_000) as (_, channel):
        tracemalloc.start()
        try:
            calls = [channel.unary_unary("/test.Test/Ask").future(request, timeout=SECONDS) for _ in range(3)]
            assert [call.result() for call in calls] == [b""] * 3
            wait_until(lambda: tracemalloc.get_traced_memory()[0] < 1_000_000)
        finally:
            tracemalloc.stop()


def test_a_client_that_gave_up_leaves_the_server_well(tmp_path: Path) -> None:
    running, go_on = threading.Event(), threading.Event()

    def wait(request: Any, _context: CallContext) -> Any:
        running.set()
        go_on.wait(SECONDS)
        return request

    with served(wait, tmp_path, threads=1) as (_, channel):
        call = channel.unary_unary("/test.Test/Ask").future(b"", timeout=SECONDS)
        assert running.wait(SECONDS)
        call.cancel()
        go_on.set()
        assert ask(channel) == b""


def test_a_stop_lets_a_call_end_and_refuses_new_ones(tmp_path: Path) -> None:
    running, go_on = threading.Event(), threading.Event()

    def first_waits(request: Any, _context: CallContext) -> Any:
        if not running.is_set():
            running.set()
            go_on.wait(SECONDS)
        return request

    def ask_until_refused() -> None:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            ask(channel)

    with served(first_waits, tmp_path) as (server, channel):
        call = channel.unary_unary("/test.Test/Ask").future(b"", timeout=SECONDS)
        assert running.wait(SECONDS)
        stopping = threading.Thread(target=server.stop, args=(SECONDS,))
        stopping.start()
        try:
            assert status(ask_until_refused)[0] in AWAY
        finally:
            go_on.set()
        assert call.result() == b""
        stopping.join(SECONDS)
        assert not stopping.is_alive()
        server.stop(0)  # once more is no error


def test_a_short_method_is_answered_by_one_thread_where_nobody_else_calls(tmp_path: Path) -> None:
    threads = set[int]()

    def behaviour(request: Any, _context: CallContext) -> Any:
        threads.add(threading.get_ident())
        return request

    with served(behaviour, tmp_path, short=True) as (_, channel):

        def ten_are_one_thread_s() -> bool:
            threads.clear()
            for _ in range(10):
                ask(channel)
            return len(threads) == 1

        # Not at once where this machine pauses for as long as a call may take in the lead.
        wait_until(ten_are_one_thread_s)


def test_a_short_method_that_hangs_holds_up_nobody_else(tmp_path: Path) -> None:
    running, go_on = threading.Event(), threading.Event()

    def first_hangs(request: Any, _context: CallContext) -> Any:
        if not running.is_set():
            running.set()
            go_on.wait(SECONDS)
        return request

    with served(first_hangs, tmp_path, short=True) as (_, channel):
        call = channel.unary_unary("/test.Test/Ask").future(b"", timeout=SECONDS)
        assert running.wait(SECONDS)
        for _ in range(3):
            ask(channel)
        assert not call.done()
        go_on.set()
        assert call.result() == b""
        ask(channel)


def test_short_calls_side_by_side_are_answered_side_by_side(tmp_path: Path) -> None:
    both = threading.Barrier(2)

    def behaviour(request: Any, _context: CallContext) -> Any:
        both.wait(SECONDS)  # broken unless two calls are in it at once
        return request

    with served(behaviour, tmp_path, short=True) as (_, channel):
        calls = [channel.unary_unary("/test.Test/Ask").future(b"", timeout=SECONDS) for _ in range(2)]
        assert [call.result() for call in calls] == [b"", b""]


@pytest.mark.parametrize("short", [False, True])
def test_a_stop_does_not_wait_for_a_call_that_hangs(short: bool, tmp_path: Path) -> None:
    running, go_on = threading.Event(), threading.Event()

    def hang(request: Any, _context: CallContext) -> Any:
        running.set()
        go_on.wait(SECONDS)
        return request

    with served(hang, tmp_path, short=short) as (server, channel):
        call = channel.unary_unary("/test.Test/Ask").future(b"", timeout=SECONDS)
        assert running.wait(SECONDS)
        server.stop(0.05)
        assert not go_on.is_set()
        assert call.code() in AWAY
        go_on.set()


def test_an_address_that_cannot_be_bound_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="cannot bind"):
        UnaryServer((), 1).add_insecure_port(f"unix:{tmp_path}/none/calls.sock")
