"""One connection by the SDK of Stream Manager, ended for good when it fails."""

import asyncio
import contextlib
import logging
from typing import Any

from stream_manager import StreamManagerClient

# It is on this machine: when it listens, it accepts at once.
CONNECT_SECONDS = 3.0
# Tasks that are cancelled end at once; this is for a defect.
END_SECONDS = 5.0


class OneConnection(StreamManagerClient):  # type: ignore[misc]  # the SDK ships no types
    """The SDK's client, but for one connection.

    The SDK's own connects again by itself, so that nobody learns that an answer was lost; and where it cannot connect, or is closed
    while the other end hangs, it leaves its thread and its sockets behind or never returns. Hence its privates, which are used here alone.
    """

    def __init__(self, host: str, port: int, request_seconds: float) -> None:
        self._began = False
        quiet = logging.getLogger(__name__)
        quiet.setLevel(logging.CRITICAL)  # it logs each failed try; the sender says it once for an outage
        try:
            super().__init__(host, port, CONNECT_SECONDS, request_seconds, quiet)
        except BaseException:
            self.end()
            raise

    async def _StreamManagerClient__connect(self) -> None:  # noqa: N802 - the SDK's private name
        if self._began:
            raise ConnectionResetError("the connection was lost")
        self._began = True
        await super()._StreamManagerClient__connect()

    def end(self) -> None:
        """Close, however the connection is; what was not sent is given up."""
        loop: asyncio.AbstractEventLoop = self._StreamManagerClient__loop
        with contextlib.suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(self._give_up(), loop).result(END_SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        self._StreamManagerClient__event_loop_thread.join(END_SECONDS)

    async def _give_up(self) -> None:
        self._StreamManagerClient__closed = True
        writer: Any = self._StreamManagerClient__writer
        if writer is not None:
            # Closing would first wait until a server that hangs has read everything.
            writer.transport.abort()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # The transport's end is a callback: two rounds of the loop.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
