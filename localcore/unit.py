"""One version of one component on this core: installing, running, failing, giving up."""

import asyncio
import contextlib
import enum
import signal
import time
from collections import deque
from collections.abc import Callable

from linewatch_common.errors import UnavailableError

from localcore.errors import DeploymentError
from localcore.launcher import Launched, Launcher
from localcore.recipes import Recipe
from localcore.runtime import Runtime
from localcore.state import Placement

_HOUR_S = 3600.0
_FIRST_BACKOFF_S = 0.1
_MAX_BACKOFF_S = 1.0  # a crashed component must be back within 5 s
_SETTLED_S = 60.0  # after this long a run counts as healthy, and the back-off starts anew


class State(enum.StrEnum):
    """A component's state, in Greengrass's words."""

    NEW = "NEW"
    INSTALLED = "INSTALLED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"
    ERRORED = "ERRORED"
    BROKEN = "BROKEN"
    FINISHED = "FINISHED"


class RecentEvents:
    """Counts events of the last hour."""

    def __init__(self) -> None:
        self._at: deque[float] = deque()

    def add(self) -> None:
        """One more, now."""
        self._at.append(time.monotonic())

    def clear(self) -> None:
        """Forget them."""
        self._at.clear()

    def __len__(self) -> int:
        while self._at and self._at[0] < time.monotonic() - _HOUR_S:
            self._at.popleft()
        return len(self._at)


OnState = Callable[["Unit"], None]


class Unit:
    """The lifecycle of one component version. `on_state` is called at each change, from the event loop."""

    def __init__(
        self, recipe: Recipe, launcher: Launcher, runtime: Runtime, max_errors: int, on_state: OnState
    ) -> None:
        self.recipe = recipe
        self.state = State.NEW
        self.reason = ""
        self.state_since = time.monotonic()
        self.errors = RecentEvents()
        self.restarts = RecentEvents()
        self.may_restart = True  # false for what a refused update has left running
        self._launcher = launcher
        self._runtime = runtime
        self._max_errors = max_errors
        self._on_state = on_state
        self._launched: Launched | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._failure: str | None = None

    @property
    def name(self) -> str:
        """The component's name."""
        return self.recipe.name

    @property
    def pid(self) -> int | None:
        """The process group of the running step."""
        return self._launched.process.pid if self._launched else None

    @property
    def is_active(self) -> bool:
        """Whether its run step is alive or about to be restarted."""
        return self._task is not None and not self._task.done()

    def note(self, text: str) -> None:
        """A line of the core in the component's log."""
        self._launcher.log_of(self.name).write("core", text)

    async def install(self) -> None:
        """Run the install step, again after a failure. Raises DeploymentError when it fails as often as the runtime allows."""
        for warning in self.recipe.warnings:
            self.note(f"WARNING recipe: {warning}")
        attempt = 1
        while "install" in self.recipe.steps:
            failure = await self._install_once()
            if failure is None:
                break
            self.errors.add()
            self.note(f"install of {self.recipe.version} failed, attempt {attempt} of {self._max_errors}: {failure}")
            if attempt >= self._max_errors:
                self._set(State.BROKEN, f"install failed: {failure}")
                raise DeploymentError(f"{self.name} {self.recipe.version}: install is broken: {failure}")
            self._set(State.ERRORED, f"install failed: {failure}")
            await asyncio.sleep(_backoff(attempt))
            attempt += 1
        self._set(State.INSTALLED)

    async def _install_once(self) -> str | None:
        """Run install once; why it failed, or None."""
        timeout = self.recipe.steps["install"].timeout_s or self._runtime.step_timeout_s
        self.note(f"install of {self.recipe.version} starts")
        try:
            self._launched = await self._launcher.launch(self.recipe, "install")
        except UnavailableError as error:
            return str(error)
        process = self._launched.process
        ending = asyncio.ensure_future(self._launcher.finish(self._launched, self._runtime.stop_timeout_s))
        try:
            done, _ = await asyncio.wait({ending}, timeout=timeout)
            if not done:
                await process.end_group(self._runtime.stop_timeout_s)
                await ending
                return f"it took longer than its {timeout:g} s"
            code = ending.result()
            return None if code == 0 else describe_exit(code)
        except asyncio.CancelledError:
            await process.end_group(self._runtime.stop_timeout_s)
            await ending
            raise
        finally:
            self._launched = None

    def start(self) -> None:
        """Start the run step and keep it running; nothing when it is active already."""
        if self.is_active:
            return
        self._stopping = False
        if "run" not in self.recipe.steps:
            self._set(State.FINISHED, "it has no run step")
            return
        self._set(State.STARTING)
        self._task = asyncio.create_task(self._keep_running(), name=f"run {self.name}")

    async def _keep_running(self) -> None:
        failures = 0
        while not self._stopping:
            started = time.monotonic()
            failure = await self._run_once()
            if self._stopping:
                return  # `stop` sets the state
            if failure is None:
                self._set(State.FINISHED, "run ended with exit code 0")
                return
            self.errors.add()
            failures = 1 if time.monotonic() - started > _SETTLED_S else failures + 1
            if not self._may_try_again(failure):
                return
            await asyncio.sleep(_backoff(failures))

    def _may_try_again(self, failure: str) -> bool:
        count = len(self.errors)
        self.note(f"run failed: {failure} (error {count} of {self._max_errors} in an hour)")
        if not self.may_restart:
            self._set(State.BROKEN, f"{failure}; this version was replaced by a broken one and is not restarted")
            return False
        if count >= self._max_errors:
            self._set(State.BROKEN, f"{failure}, {count} errors in an hour")
            return False
        self._set(State.ERRORED, failure)
        return not self._stopping

    async def _run_once(self) -> str | None:
        """Run until the end; why it failed, or None after exit code 0."""
        self._failure = None
        try:
            self._launched = await self._launcher.launch(self.recipe, "run")
        except UnavailableError as error:
            return str(error)
        self.note(f"run of {self.recipe.version} started, pid {self.pid}")
        self._set(State.RUNNING)
        timer = self._run_timer()
        try:
            code = await self._launcher.finish(self._launched, self._runtime.stop_timeout_s)
        finally:
            self._launched = None
            if timer is not None:
                timer.cancel()
        return self._failure or (None if code == 0 else describe_exit(code))

    def _run_timer(self) -> asyncio.TimerHandle | None:
        """Classic ends a run step at its Timeout; lite knows none for it."""
        timeout = self.recipe.steps["run"].timeout_s
        if timeout is None or self._runtime.is_lite:
            return None
        return asyncio.get_running_loop().call_later(timeout, self.fail, f"run took longer than its {timeout:g} s")

    async def stop(self, reason: str = "stopped") -> None:
        """End the run step: SIGTERM to its group, SIGKILL at the timeout. It is not restarted."""
        self._stopping = True
        task = self._task
        if task is None or task.done():
            return
        self._set(State.STOPPING, reason)
        if self._launched is not None:
            await self._launched.process.end_group(self._runtime.stop_timeout_s)
        else:
            task.cancel()  # it only waits for its next try
        await asyncio.wait({task})
        self._set(State.FINISHED, reason)

    def fail(self, reason: str) -> None:
        """End the run step's process as an error, whatever its exit code: the component reported one, or ran too long."""
        self.note(reason)
        if self._launched is not None:
            self._failure = reason
            self._launched.process.signal(signal.SIGTERM)

    def reset(self) -> None:
        """Forget errors and restarts (`systemctl reset-failed`)."""
        self.errors.clear()
        self.restarts.clear()

    def restore(self, placement: Placement) -> None:
        """The state after a reboot, before anything is started."""
        if placement == Placement.BROKEN:
            self._set(State.BROKEN, "install is broken")
        else:
            self._set(
                State.INSTALLED, "" if placement == Placement.ACTIVE else "its deployment failed before it was started"
            )

    def mark(self, state: State, reason: str) -> None:
        """Set a state that does not come from a process: a refusal, a restored failure."""
        self._set(state, reason)

    def _set(self, state: State, reason: str = "") -> None:
        self.state = state
        self.reason = reason
        self.state_since = time.monotonic()
        self._on_state(self)


def _backoff(failures: int) -> float:
    return min(_FIRST_BACKOFF_S * 2.0 ** (failures - 1), _MAX_BACKOFF_S)


def describe_exit(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return f"killed by {signal.Signals(-code).name}"
    return f"killed by signal {-code}"
