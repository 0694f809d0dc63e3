"""The agent's end of its link to DLR's process: whatever comes, it is bounded and ends in time."""

import socket
import struct
from collections.abc import Iterator

import pytest
from linewatch_agent.backends.dlr.wire import BrokenError, Described, Loaded, Ran, TimeIsUpError, receive, send


@pytest.fixture
def link() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_a_message_comes_as_it_was_sent(link: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = link
    loaded = Loaded((Described("in", "uint8", (1, 2)),), (Described("out", "float32", (3,)),))
    send(theirs, loaded)
    send(theirs, Ran(), [b"ab", bytearray(b"cd")])
    assert receive(ours, 0, 5) == (loaded, bytearray())
    assert receive(ours, 4, 5) == (Ran(), bytearray(b"abcd"))
    assert [spec.nbytes for spec in (*loaded.inputs, *loaded.outputs)] == [2, 12]


@pytest.mark.parametrize(
    "said",
    [
        struct.pack("<II", 2**32 - 1, 0),
        struct.pack("<II", 2, 2**32 - 1) + b"{}",
        struct.pack("<II", 3, 0) + b"{}}",
        struct.pack("<II", 4, 0) + b"null",
        struct.pack("<II", 2, 0) + b"\xff\xfe",
        struct.pack("<II", 15, 0) + b'{"type":"Blow"}',
        struct.pack("<II", 50000, 0) + b"[" * 50000,
        struct.pack("<II", 100, 0) + b"{",
        b"",
    ],
)
def test_rubbish_is_refused_before_memory_is_taken(link: tuple[socket.socket, socket.socket], said: bytes) -> None:
    ours, theirs = link
    theirs.sendall(said)
    theirs.close()
    with pytest.raises(BrokenError):
        receive(ours, 100, 5)


def test_silence_and_dribbling_end(link: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = link
    with pytest.raises(TimeIsUpError):
        receive(ours, 100, 0.05)
    theirs.sendall(struct.pack("<II", 100, 0) + b"{")
    with pytest.raises(TimeIsUpError):
        receive(ours, 100, 0.05)
    with pytest.raises(TimeIsUpError):
        send(ours, Ran(), [bytes(50_000_000)], 0.05)


def test_who_is_gone_is_said(link: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = link
    theirs.close()
    with pytest.raises(BrokenError):
        send(ours, Ran(), [bytes(1000)], 5)
