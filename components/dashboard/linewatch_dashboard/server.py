"""The web server in a thread of its own."""

import asyncio
import errno
import ipaddress
import logging
import socket
import threading
from collections.abc import Awaitable, Callable

import uvicorn
from starlette.types import ASGIApp

log = logging.getLogger(__name__)

# Whoever holds the port may be our own predecessor, which needs a moment to go.
RETRY_SECONDS = 2.0
# run_service's callers expect a stop within a few seconds; what is left then ends with the process.
STOP_SECONDS = 3.0
GRACEFUL_SECONDS = 1
MAX_CONNECTIONS = 128
# More would let seconds of old pictures pile up in the kernel on the way to a slow viewer.
SEND_BUFFER_BYTES = 128 * 1024
# A viewer that takes nothing for so long is dropped by the kernel; else its buffers and its place would stay taken while it lives.
USER_TIMEOUT_MS = 20_000
# A connection that says nothing is asked after so long whether its other end is there: that of an unplugged laptop would stay for ever.
KEEPALIVE_SECONDS = 60


class WebServer:
    """Serves one application on one address, beside `background` work on the same event loop. Start and stop it once."""

    def __init__(self, host: str, port: int, app: ASGIApp, background: Callable[[], Awaitable[None]]) -> None:
        self._host = host
        self._port = port
        self._app = app
        self._background = background
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = threading.Event()
        self._stop: asyncio.Event | None = None
        self.address: tuple[str, int] | None = None
        self.trouble = "starting"

    def start(self) -> None:
        """Begin; a port that is taken is tried again."""
        self._thread.start()

    def stop(self) -> None:
        """Close the connections and end the thread, within STOP_SECONDS."""
        self._stopping.set()
        loop, stop = self._loop, self._stop
        if loop is not None and stop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(stop.set)
        self._thread.join(STOP_SECONDS)
        if self._thread.is_alive():
            log.warning("the web server did not stop within %.0f s", STOP_SECONDS)

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except Exception:  # the thread's top
            log.exception("the web server ended")
            self.trouble = "the web server ended, see the log"

    async def _main(self) -> None:
        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        if self._stopping.is_set():
            return
        background = asyncio.create_task(_awaited(self._background))
        try:
            while not self._stop.is_set():
                listener = await self._listen(self._stop)
                if listener is not None:
                    await self._serve(listener, self._stop)
        finally:
            background.cancel()
            await asyncio.gather(background, return_exceptions=True)

    async def _listen(self, stop: asyncio.Event) -> socket.socket | None:
        """The listening socket, tried again until it can be had; None when told to stop."""
        said = ""
        while not stop.is_set():
            try:
                return listening_socket(self._host, self._port)
            except OSError as error:
                self.trouble = _words(self._host, self._port, error)
            if self.trouble != said:
                said = self.trouble
                log.error("%s; trying again every %.0f s", said, RETRY_SECONDS)
            await _event_or_timeout(stop, RETRY_SECONDS)
        return None

    async def _serve(self, listener: socket.socket, stop: asyncio.Event) -> None:
        """Until told to stop, or until the server ends by itself."""
        server = uvicorn.Server(_uvicorn_config(self._app))
        self.address = listener.getsockname()[:2]
        self.trouble = ""
        log.info("the page is on http://%s:%d", *self.address)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        server.should_exit = True
        try:
            await serving
        finally:
            self.address = None


def listening_socket(host: str, port: int) -> socket.socket:
    """A bound and listening TCP socket; its connections inherit small buffers and the timeouts. Raises OSError."""
    address = "127.0.0.1" if host == "localhost" else host
    family = socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_SECONDS)
        listener.bind((address, port))
        listener.listen(MAX_CONNECTIONS)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _words(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"{host}:{port} is taken by another program; free it or set another Port"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is no address of this machine; set another Host"
    if error.errno == errno.EACCES:
        return f"{host}:{port} may not be used by this user; set a Port of 1024 or more"
    return f"{host}:{port} cannot be used: {error.strerror}"


def _uvicorn_config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="h11",
        ws="websockets-sansio",
        ws_max_size=1024,  # viewers only acknowledge
        ws_per_message_deflate=False,  # JPEG and PNG do not shrink
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
    )


async def _awaited(call: Callable[[], Awaitable[None]]) -> None:
    await call()


async def _event_or_timeout(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
