"""The RTSP source against a real server on loopback: fresh frames, a pulled cable, a server that hangs, passwords."""

import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from linewatch_camera.config import CameraConfig, SourceConfig
from linewatch_camera.sources.choice import make_source
from linewatch_camera.sources.port import Picture, Source, SourceFailure
from linewatch_common.errors import UnavailableError

SYSTEM_PYTHON = Path("/usr/bin/python3")
SERVER = Path(__file__).with_name("rtsp_server.py")
# A loaded machine takes its time to start GStreamer; nothing is measured by this.
PATIENCE_SECONDS = 30.0


def missing_server() -> str:
    """Why there can be no server here, or nothing."""
    if not SYSTEM_PYTHON.exists():
        return f"{SYSTEM_PYTHON} is missing"
    check = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    done = subprocess.run([SYSTEM_PYTHON, "-c", check], capture_output=True, check=False, timeout=60)
    return "" if done.returncode == 0 else "gir1.2-gst-rtsp-server-1.0 or python3-gi is missing"


@pytest.fixture(scope="module")
def installed() -> None:
    reason = missing_server()
    if reason:
        pytest.skip(reason)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def rtsp_server(port: int, *options: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([SYSTEM_PYTHON, SERVER, str(port), *options], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@contextlib.contextmanager
def started(url: str) -> Iterator[Source]:
    config = CameraConfig(source=SourceConfig(kind="rtsp", url=url), open_timeout_seconds=3.0, read_timeout_seconds=1.5)
    source = make_source(config)
    source.start(0)
    try:
        yield source
    finally:
        source.close()


def picture(source: Source) -> Picture:
    """The next picture, however long the stream takes to come."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            taken = source.read()
        except UnavailableError:
            assert time.monotonic() < end, "no picture came"
            time.sleep(0.05)
            continue
        assert isinstance(taken, Picture), taken
        return taken


def complaint(source: Source, accepted: Callable[[str], bool] = bool) -> str:
    """What the source says when it has no picture."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            source.read()
        except UnavailableError as error:
            if accepted(str(error)):
                return str(error)
        assert time.monotonic() < end, "it never complained so"
        time.sleep(0.02)


@pytest.mark.usefixtures("installed")
def test_the_newest_frame_is_given_however_seldom_it_is_asked_for() -> None:
    port = free_port()
    with rtsp_server(port), started(f"rtsp://127.0.0.1:{port}/live") as source:
        first = picture(source)
        assert first.pixels.shape == (240, 320, 3)
        assert first.pixel_format == "BGR8"
        time.sleep(1.0)
        asked_ns = time.monotonic_ns()
        second = picture(source)
        assert source.discarded >= 5, "the stream was drained meanwhile"
        assert (asked_ns - second.stamp.monotonic_ns) / 1e9 < 0.7, "not a frame from the beginning of the pause"
        triggered = source.read(time.monotonic_ns())
        assert isinstance(triggered, Picture | SourceFailure)
        assert triggered.stamp.monotonic_ns > second.stamp.monotonic_ns


@pytest.mark.usefixtures("installed")
def test_a_server_that_restarts_is_found_again() -> None:
    port = free_port()
    with started(f"rtsp://127.0.0.1:{port}/live") as source:
        assert (
            complaint(source, lambda text: "no stream" in text)
            == f"{source.name}: no stream there, or no answer in time"
        )
        with rtsp_server(port):
            before = picture(source)
        said = complaint(source)
        assert "lost" in said or "no picture" in said or "no stream" in said
        with rtsp_server(port):
            again = picture(source)
        assert again.stamp.monotonic_ns > before.stamp.monotonic_ns
        assert source.reconnects == 1


@pytest.mark.usefixtures("installed")
def test_a_password_is_used_and_never_shown() -> None:
    port = free_port()
    with rtsp_server(port, "protected"):
        with started(f"rtsp://u:p@127.0.0.1:{port}/live") as source:
            picture(source)
            assert source.name == f"rtsp rtsp://127.0.0.1:{port}/live"
        with started(f"rtsp://u:wrongword@127.0.0.1:{port}/live") as source:
            said = complaint(source, lambda text: "no stream" in text)
            assert "wrongword" not in said


def test_a_server_that_takes_the_connection_and_says_nothing_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        accepted: list[socket.socket] = []
        threading.Thread(target=lambda: accepted.append(silent.accept()[0]), daemon=True).start()
        with started(f"rtsp://127.0.0.1:{port}/live") as source:
            began = time.monotonic()
            assert "no answer in time" in complaint(source, lambda text: "no answer" in text)
            assert time.monotonic() - began < 20, "it hangs for ever without the timeout"
        for connection in accepted:
            connection.close()
