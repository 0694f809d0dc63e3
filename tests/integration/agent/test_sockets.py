"""Whether a socket's path can be had."""

import socket
import stat
import threading
from pathlib import Path

import grpc
import pytest
from linewatch_agent.calls import CallContext, UnaryServer
from linewatch_agent.server import AgentServer
from linewatch_agent.sockets import Listener, check_group, make_free
from linewatch_agent_api.client import AgentClient
from linewatch_common.errors import ConfigError

from tests.unit.agent.support import running_core, wait_until


def test_a_stale_socket_is_removed(folder: Path) -> None:
    path = folder / "s"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    make_free(path)
    assert not path.exists()


def test_a_served_socket_is_refused_and_stays(folder: Path) -> None:
    path = folder / "s"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        with pytest.raises(ConfigError, match="another process serves it"):
            make_free(path, patience=0.2)
    assert path.exists()


def test_what_is_no_socket_is_refused_and_stays(folder: Path) -> None:
    path = folder / "s"
    path.write_text("precious")
    with pytest.raises(ConfigError, match="not a socket"):
        make_free(path)
    assert path.read_text() == "precious"


@pytest.mark.parametrize("length", [107, 108])
def test_the_longest_path(folder: Path, length: int) -> None:
    path = folder / ("s" * (length - len(str(folder)) - 1))
    if length > 107:
        with pytest.raises(ConfigError, match="108 bytes long, a unix socket takes 107"):
            make_free(path)
    else:
        make_free(path)


def test_a_missing_folder_is_said(folder: Path) -> None:
    with pytest.raises(ConfigError, match="its folder does not exist"):
        make_free(folder / "nowhere" / "s")


def test_a_missing_group_is_said() -> None:
    check_group("")
    with pytest.raises(ConfigError, match="no group 'nobodys-group'"):
        check_group("nobodys-group")


def test_the_own_socket_is_private_and_gone_at_the_end(folder: Path) -> None:
    with running_core(folder) as (_, path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


def test_of_two_sockets_one_that_another_process_serves_stays_and_ours_goes(folder: Path) -> None:
    ours, theirs = Listener(folder / "ours"), Listener(folder / "theirs")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(theirs.path))
        other.listen()
        server = AgentServer(lambda _server: None, (ours, theirs))
        with pytest.raises(ConfigError, match="another process serves it"):
            server.start()
        assert not ours.path.exists()
        server.stop()
        assert theirs.path.exists()


def test_a_socket_whose_access_cannot_be_set_is_not_left_behind(folder: Path) -> None:
    listener = Listener(folder / "s", 0o660, "nobodys-group")
    with pytest.raises(ConfigError, match="no group 'nobodys-group'"):
        AgentServer(lambda _server: None, (listener,)).start()
    assert not listener.path.exists()


def test_a_successor_keeps_the_socket_that_it_took_while_our_last_call_ran(folder: Path) -> None:
    running, go_on = threading.Event(), threading.Event()

    def answer(_request: bytes, _context: CallContext) -> bytes:
        running.set()
        go_on.wait(10)
        return b""

    def add_service(server: UnaryServer) -> None:
        handler = grpc.unary_unary_rpc_method_handler(answer, bytes, bytes)
        server.add_registered_method_handlers("test.Test", {"Ask": handler})

    listener = Listener(folder / "s")
    ours, successor = AgentServer(add_service, (listener,)), AgentServer(lambda _server: None, (listener,))
    ours.start()
    with grpc.insecure_channel(f"unix:{listener.path}") as channel:
        call = channel.unary_unary("/test.Test/Ask").future(b"", timeout=10)
        assert running.wait(10)
        stopping = threading.Thread(target=ours.stop)
        stopping.start()
        wait_until(lambda: not listener.path.exists())
        successor.start()
        go_on.set()
        assert call.result() == b""
        stopping.join()
    assert listener.path.exists()
    successor.stop()
    assert not listener.path.exists()


def test_characters_that_mean_something_in_an_address(folder: Path) -> None:
    odd = folder / "a %20#?b"
    odd.mkdir()
    with running_core(odd) as (_, path), AgentClient(path) as client:
        assert client.list() == ()


def test_listener_defaults_are_private() -> None:
    assert Listener(Path("/x")).mode == 0o600
