"""The agent without Greengrass, as the original was started: `-a SOCKET -c CONFIG.json`."""

import logging
import signal
from dataclasses import dataclass
from pathlib import Path

from linewatch_common.wakeups import Wakeups

from linewatch_agent.core import AgentCore

log = logging.getLogger(__name__)

# Only a signal ends the wait.
A_LONG_TIME = 3600.0


@dataclass(frozen=True, slots=True)
class Standalone:
    """Serves until SIGTERM, SIGINT, or the SIGHUP by which the original's systemd unit stops it."""

    core: AgentCore

    def run(self) -> None:
        """Raises ConfigError when the socket cannot be had."""
        wakeups = Wakeups()
        wakeups.install()
        signal.signal(signal.SIGHUP, lambda _number, _frame: signal.raise_signal(signal.SIGTERM))
        self.core.start()
        try:
            while not wakeups.stopping:
                wakeups.wait(A_LONG_TIME)
        finally:
            self.core.stop()
            log.info("stopped")


def socket_of(address: str) -> Path:
    """The path in `-a`, with or without the `unix:` that clients write."""
    return Path(address.removeprefix("unix://").removeprefix("unix:")).absolute()
