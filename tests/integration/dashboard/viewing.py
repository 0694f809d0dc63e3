"""A viewer without a browser."""

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import msgspec
from linewatch_dashboard.packing import InspectionHeader, Pictures, unpack
from linewatch_dashboard.view import StateMessage
from websockets.sync.client import ClientConnection, connect

from tests.integration.dashboard.bench import PageBench

RECEIVE_SECONDS = 20.0


class Watching:
    """One open live feed."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def state(self) -> StateMessage:
        """The next state; inspections before it are passed over."""
        while True:
            message = self.connection.recv(timeout=RECEIVE_SECONDS)
            if isinstance(message, str):
                return msgspec.json.decode(message, type=StateMessage)

    def inspection(self) -> tuple[InspectionHeader, Pictures]:
        """The next inspection; states before it are passed over."""
        while True:
            message = self.connection.recv(timeout=RECEIVE_SECONDS)
            if isinstance(message, bytes):
                return unpack(message)

    def until(self, frame_id: str) -> tuple[InspectionHeader, Pictures]:
        """The first inspection of `frame_id` that comes."""
        while True:
            header, pictures = self.inspection()
            if header.verdict.frame_id == frame_id:
                return header, pictures

    def acknowledge(self) -> None:
        self.connection.send("shown")


@contextlib.contextmanager
def watching(bench: PageBench, query: str = "", **options: Any) -> Iterator[Watching]:
    """Open the live feed."""
    with connect(f"ws://{bench.host}/live{query}", max_size=None, close_timeout=2, **options) as connection:
        yield Watching(connection)


def knock(bench: PageBench, host: str, **options: Any) -> ClientConnection:
    """Open the live feed at our address under another Host."""
    address, port = bench.host.split(":")
    raw = socket.create_connection((address, int(port)))
    opened: ClientConnection = connect(f"ws://{host}/live", sock=raw, close_timeout=2, **options)
    return opened
