"""The gRPC server on its unix sockets."""

import logging
import os
from collections.abc import Callable

from linewatch_agent_api.channels import SERVER_OPTIONS, address_of
from linewatch_common.errors import ConfigError

from linewatch_agent.calls import UnaryServer
from linewatch_agent.sockets import Listener, make_free, set_access

log = logging.getLogger(__name__)

# More than a line's clients at once; predictions of one model run one after the other anyway.
WORKERS = 16
# Long enough for the predictions that run; the runtimes send SIGKILL some seconds after SIGTERM.
GRACE_SECONDS = 3.0


class AgentServer:
    """Serves what `add_service` adds on every listener."""

    def __init__(self, add_service: Callable[[UnaryServer], None], listeners: tuple[Listener, ...]) -> None:
        self._add_service = add_service
        self._listeners = listeners
        self._server: UnaryServer | None = None

    def start(self) -> None:
        """Bind and serve. Raises ConfigError when a socket cannot be had; then none is left behind."""
        server = UnaryServer(SERVER_OPTIONS, WORKERS)
        self._add_service(server)
        bound: list[Listener] = []
        try:
            for listener in self._listeners:
                _bind(server, listener)
                bound.append(listener)
                set_access(listener)
        except ConfigError:
            # Those that are ours: another process may serve the path that we could not have.
            for listener in bound:
                listener.path.unlink(missing_ok=True)
            raise
        server.start()
        self._server = server
        for listener in self._listeners:
            log.info("server listening on unix://%s", listener.path)

    def stop(self) -> None:
        """Remove the sockets, refuse new calls, let running ones end.

        gRPC removes them before it does anything else. Afterwards nobody may: while calls still run, a successor has the paths already.
        """
        if self._server is not None:
            self._server.stop(GRACE_SECONDS)


def _bind(server: UnaryServer, listener: Listener) -> None:
    make_free(listener.path)
    # Nobody else may connect before the mode is set.
    before = os.umask(0o177)
    try:
        server.add_insecure_port(address_of(listener.path))
    except RuntimeError as error:
        raise ConfigError(f"socket {listener.path}: cannot be bound: {error}") from error
    finally:
        os.umask(before)
