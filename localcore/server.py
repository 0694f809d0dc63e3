"""The IPC server: connections on a unix socket, tokens, streams, and the bounded way out."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from linewatch_common.files import MAX_SOCKET_PATH_BYTES

from localcore.connection import Connection
from localcore.errors import CoreStartError
from localcore.identity import Tokens
from localcore.rpc import Handler
from localcore.runtime import Runtime

log = logging.getLogger(__name__)

_BACKLOG = 64


@dataclass(slots=True)
class Counters:
    """What happened on the IPC socket since the core started."""

    connections: int = 0
    refused: int = 0
    protocol_errors: int = 0
    events_sent: int = 0
    events_dropped: int = 0
    subscriptions_killed: int = 0


@dataclass(slots=True)
class Hub:
    """What all connections share."""

    runtime: Runtime
    tokens: Tokens
    handlers: Mapping[str, Handler]
    counters: Counters = field(default_factory=Counters)
    connections: set[Connection] = field(default_factory=set)

    def room_for_client(self) -> bool:
        """Whether one more component may connect."""
        limit = self.runtime.limits.clients
        return limit is None or sum(item.is_component for item in self.connections) < limit


class IpcServer:
    """Serves the hub's operations on a unix socket of mode 0600."""

    def __init__(self, hub: Hub, path: Path) -> None:
        self._hub = hub
        self._path = path
        self._server: asyncio.Server | None = None
        hub.tokens.on_revoke(self._close_token)

    async def start(self) -> None:
        """Bind and listen; an old socket file is removed first (the caller holds the root's lock). Raises CoreStartError."""
        length = len(os.fsencode(self._path))
        if length > MAX_SOCKET_PATH_BYTES:
            raise CoreStartError(
                f"{self._path}: a socket path of {length} bytes is over the limit of {MAX_SOCKET_PATH_BYTES};"
                " choose a shorter --root"
            )
        self._path.unlink(missing_ok=True)
        loop = asyncio.get_running_loop()
        mask = os.umask(0o177)  # the socket must not be open to others for a moment either
        try:
            self._server = await loop.create_unix_server(
                lambda: Connection(self._hub), str(self._path), backlog=_BACKLOG
            )
        except OSError as error:
            raise CoreStartError(f"{self._path}: cannot listen: {error.strerror}") from error
        finally:
            os.umask(mask)

    async def stop(self) -> None:
        """Close the listener and all connections, and remove the socket."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._hub.connections):
            connection.close()
        with contextlib.suppress(OSError):
            self._path.unlink()

    def _close_token(self, token: str) -> None:
        for connection in list(self._hub.connections):
            if connection.token == token:
                connection.close()
