"""Starting and stopping: the port, the thread, the process."""

import logging
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from linewatch_common.messages.status import ComponentState
from linewatch_common.service import Context
from linewatch_common.topics import Topics
from linewatch_dashboard.composition import compose
from linewatch_dashboard.config import DashboardConfig
from linewatch_dashboard.disk import DiskArchive
from linewatch_dashboard.server import KEEPALIVE_SECONDS, STOP_SECONDS, listening_socket

from tests.fakes.bus import FakeCore
from tests.integration.dashboard.bench import PageBench, eventually, page_bench
from tests.integration.dashboard.viewing import watching


def test_it_stops_in_time_with_viewers_open_and_lets_go_of_the_port(tmp_path: Path) -> None:
    with page_bench(tmp_path) as bench, watching(bench) as viewer, httpx.Client(base_url=bench.url) as idle:
        viewer.state()
        idle.get("/healthz")
        begin = time.monotonic()
        bench.stop()
        assert time.monotonic() - begin < STOP_SECONDS
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{bench.url}/healthz")


def test_a_page_that_was_stopped_starts_again_on_its_port(bench: PageBench) -> None:
    with watching(bench) as viewer:
        viewer.state()
        bench.stop()
        bench.start()
    with watching(bench) as viewer:
        assert viewer.state().station == "line1"


def test_a_taken_port_is_one_clear_line_and_is_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        port = squatter.getsockname()[1]
        context = Context(
            name="com.linewatch.Dashboard", thing="t", work=tmp_path, bus=FakeCore().bus(), topics=Topics("line1")
        )
        dashboard, server = compose(DashboardConfig(port=port), context, DiskArchive())
        dashboard.start()
        try:
            eventually(lambda: f"127.0.0.1:{port} is taken" in dashboard.status().reason, "the reason is told")
            assert dashboard.status().state is ComponentState.DEGRADED
            squatter.close()
            eventually(lambda: server.address is not None, "the port is taken over")
            assert dashboard.status().state is ComponentState.READY
        finally:
            dashboard.stop()
    lines = [record.getMessage() for record in caplog.records if "is taken" in record.getMessage()]
    assert len(lines) == 1
    assert "another program" in lines[0]


def test_it_stops_while_it_waits_for_its_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        config = DashboardConfig(port=squatter.getsockname()[1])
        context = Context(
            name="com.linewatch.Dashboard", thing="t", work=tmp_path, bus=FakeCore().bus(), topics=Topics("line1")
        )
        dashboard, server = compose(config, context, DiskArchive())
        dashboard.start()
        eventually(lambda: "is taken" in server.trouble, "it waits")
        begin = time.monotonic()
        dashboard.stop()
        assert time.monotonic() - begin < STOP_SECONDS


def test_the_other_end_of_a_connection_that_says_nothing_is_asked_for() -> None:
    """A browser opens some ahead of time; one that was unplugged then would hold its place among MAX_CONNECTIONS for ever."""
    with listening_socket("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        listener.setblocking(True)
        with listener.accept()[0] as taken:
            assert taken.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == KEEPALIVE_SECONDS


@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", False), ("0.0.0.0", True)])  # noqa: S104 - what is tested
def test_beyond_loopback_the_missing_login_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, host: str, warned: bool
) -> None:
    caplog.set_level(logging.WARNING)
    with page_bench(tmp_path, host=host):
        pass
    assert any("no login" in record.getMessage() for record in caplog.records) is warned


def test_the_selfcheck_as_a_process(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "linewatch_dashboard", "--selfcheck"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)
    assert done.stdout.startswith("OK linewatch_dashboard")
    assert list(tmp_path.iterdir()) == []


def test_without_a_runtime_run_says_what_is_missing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "linewatch_dashboard", "run"]
    environ = {name: value for name, value in os.environ.items() if name not in ("SVCUID",)}
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 78
    assert "localcore" in done.stdout
