"""Build the bundle, start a core, deploy, watch, take down."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from linewatch_common.errors import LinewatchError
from linewatch_common.files import MAX_SOCKET_PATH_BYTES

from localcore.client import Component
from localcore.daemon import root_lock
from localcore.layout import Layout
from localcore.memory import pss_bytes
from localcore.testing import RunningCore
from tools.line.records import Records

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "greengrass-build"
VERSION = "1.0.0"
# The models that a line may run with: two nets, or one for both roles.
MODELS = {
    "pair": ("com.linewatch.model.SurfaceClassifier", "com.linewatch.model.SurfaceSegmenter"),
    "inspector": ("com.linewatch.model.SurfaceInspector",),
}


def components_with(models: str) -> tuple[str, ...]:
    """The bundle with these models, a key of MODELS."""
    return (
        "com.linewatch.EdgeAgent",
        *MODELS[models],
        "com.linewatch.Inspector",
        "com.linewatch.Dashboard",
        "com.linewatch.Camera",
    )


COMPONENTS = components_with("pair")
STATION = "line1"
# The longest socket path below a core's root.
LONGEST_SOCKET = "/work/com.linewatch.EdgeAgent/agent.sock"
DEPLOY_SECONDS = 300.0  # unpacks about 250 MB on a slow disk


class LineError(LinewatchError):
    """The line could not be brought up or did not do what was asked of it."""


@dataclass(frozen=True, slots=True)
class LineSettings:
    """What to run. `frames` 0 runs on, `port` 0 takes a free one; `overrides` are merged into a component's configuration.

    `models`: a key of MODELS.
    """

    source: Path = ROOT / "demo/parts"
    frames: int = 0
    fps: float = 5.0
    like: str = "lite"
    port: int = 0
    max_errors: int = 3
    models: str = "pair"
    overrides: dict[str, dict[str, Any]] = field(default_factory=dict)

    def configuration(self, shared_memory: Path) -> dict[str, dict[str, Any]]:
        """The deployment's configuration update for each component."""
        camera = {
            "Source": {
                "Kind": "folder",
                "Path": str(self.source.resolve()),
                "Loop": True,
                "FramesPerSecond": self.fps,
                "Limit": self.frames,
            }
        }
        merged: dict[str, dict[str, Any]] = {
            "com.linewatch.Camera": camera | {"SharedMemoryFolder": str(shared_memory)},
            "com.linewatch.Inspector": {"SharedMemoryFolder": str(shared_memory)},
            "com.linewatch.Dashboard": {"Port": self.port or free_port(0)},
        }
        for name, override in self.overrides.items():
            merged[name] = merged.get(name, {}) | override
        return {name: {"merge": merge} for name, merge in merged.items()}


class Line:
    """One run of the bundle under `state` (emptied first). Use as a context manager: it takes everything down."""

    def __init__(self, settings: LineSettings, state: Path) -> None:
        self.settings = settings
        self.root = short_root(state)
        self.shared_memory = Path("/dev/shm") / f"linewatch-{os.getpid()}-{abs(hash(self.root)) % 10_000}"  # noqa: S108
        self._daemon = RunningCore(self.root, ["--like", settings.like, "--max-errors", str(settings.max_errors)])
        self.core = self._daemon.client
        self.records = Records(self.root / "work/com.linewatch.Inspector/ledger.db", self.shared_memory, STATION)

    def __enter__(self) -> Self:
        with root_lock(Layout(self.root)):  # refuses to empty the state of a line that runs
            shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir(parents=True, mode=0o700)
        self.shared_memory.mkdir(mode=0o700)
        try:
            self._daemon.start()
        except BaseException:
            self._take_down()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._take_down()

    def deploy(self) -> None:
        """Deploy all components at once. Raises LineError with the cause and the failed component's last lines."""
        deployment = self.core.wait(
            self.core.deploy(
                recipes=BUILD / "recipes",
                artifacts=BUILD / "artifacts",
                merge=dict.fromkeys(components_with(self.settings.models), VERSION),
                configuration=self.settings.configuration(self.shared_memory),
            ),
            timeout_s=DEPLOY_SECONDS,
        )
        if not deployment.succeeded:
            raise LineError(f"the deployment failed: {deployment.cause}\n{self.last_lines()}")

    def memory(self) -> dict[str, int]:
        """PSS in bytes of each component's processes."""
        return {c.name: sum(pss_bytes(pid) for pid in c.pids) for c in self.core.list_components()}

    def component(self, name: str) -> Component:
        """The component's state and pids."""
        return self.core.component(name)

    def kill(self, name: str) -> int:
        """SIGKILL a component's whole process group; returns the group's id."""
        pids = self.component(name).pids
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        return pids[0] if pids else 0

    def wait_for(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Poll until `condition`; LineError naming `what` after `seconds` or when the core has died."""
        deadline = time.monotonic() + seconds
        while not condition():
            self.check_core()
            if time.monotonic() > deadline:
                raise LineError(f"{what}: not within {seconds:g} s\n{self.last_lines()}")
            time.sleep(0.1)

    def check_core(self) -> None:
        """Raises LineError when the core is no longer running."""
        if self._daemon.exit_code is not None:
            raise LineError(f"the core ended with exit code {self._daemon.exit_code}\n{self._daemon.output()[-2000:]}")

    def last_lines(self, count: int = 6) -> str:
        """The last log lines of every component that is not well."""
        parts = []
        for component in self.core.list_components():
            if component.state != "RUNNING":
                log = self.root / "logs" / f"{component.name}.log"
                lines = log.read_text(errors="replace").splitlines()[-count:] if log.exists() else []
                parts.append("\n".join([f"{component.name} is {component.state}: {component.reason}", *lines]))
        return "\n".join(parts)

    def _take_down(self) -> None:
        self._daemon.stop()
        shutil.rmtree(self.shared_memory, ignore_errors=True)


def short_root(state: Path) -> Path:
    """`state`, or a folder below /tmp when the unix sockets below it would have too long a path."""
    wanted = state.resolve()
    if len(os.fsencode(str(wanted) + LONGEST_SOCKET)) <= MAX_SOCKET_PATH_BYTES:
        return wanted
    return Path("/tmp") / f"linewatch-{os.getuid()}" / wanted.name  # noqa: S108 - made with mode 0700


def build(architecture: str = "host") -> None:
    """Build the bundle into greengrass-build/; unchanged artefacts are reused. Raises LineError."""
    command = [sys.executable, str(ROOT / "components/build.py"), "--architecture", architecture]
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        raise LineError("the build failed; its lines above say why")


def free_port(wanted: int) -> int:
    """`wanted` when nothing listens there, else a free one."""
    for port in (wanted, 0):
        with contextlib.closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
    raise LineError("no free port on 127.0.0.1")
