"""A real core for a test: started as its own process in a temporary root, stopped at the end.

    from localcore.testing import running_core

    def test_line() -> None:
        with running_core(like="lite") as core:                     # a RunningCore; core.client is a LocalCore
            deployment = core.client.deploy(recipes=..., artifacts=..., merge={"com.example.A": "1.0.0"})
            assert core.client.wait(deployment).succeeded
            core.restart_daemon()                                    # "reboot": stop, start again on the same root
            print(core.log("com.example.A"))

`running_core` works as well inside a pytest fixture (`yield` within the `with`). At its end it prints the daemon's output and
all components' logs: pytest captures them and shows them with a test that fails. The root is a short path under the
system's temporary folder, because a unix socket's path is limited to 107 bytes; it is removed afterwards.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from localcore.client import LocalCore
from localcore.errors import CoreStartError
from localcore.layout import Layout

_START_TIMEOUT_S = 20.0  # importing and binding take well under a second; a busy machine takes longer
_STOP_TIMEOUT_S = 40.0  # two component stop timeouts
_POLL_S = 0.02


def wait_until(condition: Callable[[], bool], timeout_s: float = 20.0, what: str = "the condition") -> None:
    """Poll until `condition()`. Raises TimeoutError naming `what`."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come true within {timeout_s:g} s")
        time.sleep(_POLL_S)


class RunningCore:
    """A core process on `root`, and a client for it."""

    def __init__(self, root: Path, arguments: list[str]) -> None:
        self.root = root
        self.layout = Layout(root)
        self.client = LocalCore(root)
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None
        self._output = root.with_name(root.name + ".log")

    @property
    def pid(self) -> int:
        """The daemon's process id."""
        if self._process is None:
            raise CoreStartError("the core is not started")
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The daemon's exit code when it has ended by itself, else None."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Start the daemon and wait until it answers. Raises CoreStartError with its output."""
        with self._output.open("ab") as output:
            # A session of its own: Ctrl-C reaches whoever started it, and that one stops the core in order.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "localcore", "--root", str(self.root), "up", *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not self.layout.cli_token.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise CoreStartError(f"the core does not come up:\n{self.output()}")
            time.sleep(_POLL_S)

    def stop(self) -> int:
        """SIGTERM and wait; the exit code."""
        self.client.close()
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        self.client.close()
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            self.layout.cli_token.unlink(missing_ok=True)  # the sign of readiness that `start` looks for

    def restart_daemon(self) -> None:
        """Stop and start on the same root: what a reboot does to components."""
        self.stop()
        self.start()

    def output(self) -> str:
        """What the daemon has printed."""
        with contextlib.suppress(OSError):
            return self._output.read_text(errors="replace")
        return ""

    def log(self, component: str) -> str:
        """A component's log so far, empty when there is none."""
        with contextlib.suppress(OSError):
            return self.layout.log(component).read_text(errors="replace")
        return ""

    def show(self) -> None:
        """Print the daemon's output and all logs."""
        print(f"--- core on {self.root}\n{self.output()}")
        for path in sorted((self.root / "logs").glob("*.log")):
            print(f"--- {path.name}\n{path.read_text(errors='replace')}")

    def remove(self) -> None:
        """Delete the root and the daemon's output."""
        shutil.rmtree(self.root, ignore_errors=True)
        self._output.unlink(missing_ok=True)


@contextlib.contextmanager
def running_core(
    *,
    like: str = "lite",
    max_errors: int | None = None,
    mqtt: str | None = None,
    thing: str | None = None,
    stop_timeout_s: float | None = None,
) -> Iterator[RunningCore]:
    """A core in a temporary root, ready to answer; stopped and removed at the end."""
    arguments = ["--like", like]
    values = {"--max-errors": max_errors, "--mqtt": mqtt, "--thing": thing, "--stop-timeout": stop_timeout_s}
    for flag, value in values.items():
        if value is not None:
            arguments += [flag, str(value)]
    root = Path(tempfile.mkdtemp(prefix="lc-", dir=_short_folder()))
    core = RunningCore(root, arguments)
    try:
        core.start()
        yield core
    finally:
        core.stop()
        core.show()
        core.remove()


def _short_folder() -> str | None:
    """The system's temporary folder, or /tmp when that is too deep for a socket's path."""
    folder = tempfile.gettempdir()
    return "/tmp" if len(os.fsencode(folder)) > 60 else None  # noqa: S108 - mkdtemp makes a private folder in it
