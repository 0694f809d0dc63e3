"""All components of the core: which version is placed where, who depends on whom, manual restarts.

Lite: a crash of a HARD dependency leaves its dependents dead. Classic: they stop and start again with it.
"""

import asyncio
import logging
from collections.abc import Coroutine, Iterable

from linewatch_common.errors import LinewatchError

from localcore.errors import ComponentNotFoundError, ServiceError
from localcore.launcher import Launcher
from localcore.recipes import Recipe
from localcore.runtime import Runtime
from localcore.unit import State, Unit

log = logging.getLogger(__name__)


class Supervisor:
    """The placed units by name, and the old ones that a refused update has left running."""

    def __init__(self, runtime: Runtime, max_errors: int, launcher: Launcher) -> None:
        self.units: dict[str, Unit] = {}
        self.left_running: dict[str, Unit] = {}
        self.max_errors = max_errors
        self._runtime = runtime
        self._tasks: set[asyncio.Task[None]] = set()
        self._launcher = launcher
        self._waiting: dict[str, set[str]] = {}

    def placed_version(self, name: str) -> str | None:
        """The version placed on this core, None when there is none."""
        unit = self.units.get(name)
        return unit.recipe.version if unit else None

    def new_unit(self, recipe: Recipe) -> Unit:
        """A unit that is not placed yet."""
        return Unit(recipe, self._launcher, self._runtime, self.max_errors, self._on_state)

    def find(self, name: str) -> Unit:
        """The placed unit. Raises ComponentNotFoundError."""
        unit = self.units.get(name)
        if unit is None:
            raise ComponentNotFoundError(f"component {name} is not on this core")
        return unit

    def in_order(self, names: Iterable[str] | None = None) -> list[Unit]:
        """Placed units, dependencies first."""
        wanted = set(self.units if names is None else names)
        order: list[Unit] = []
        seen: set[str] = set()

        def visit(name: str) -> None:
            if name in seen or name not in self.units:
                return
            seen.add(name)
            for dependency, detail in sorted(self.units[name].recipe.dependencies.items()):
                if detail.kind != "NONE":
                    visit(dependency)
            if name in wanted:
                order.append(self.units[name])

        for name in sorted(wanted):
            visit(name)
        return order

    def dependents(self, name: str) -> list[Unit]:
        """Units with a HARD dependency on `name`, directly or through others; nearest first."""
        found: list[Unit] = []
        queue = [name]
        while queue:
            current = queue.pop(0)
            for unit in self.units.values():
                dependency = unit.recipe.dependencies.get(current)
                if dependency is not None and dependency.kind == "HARD" and unit not in found and unit.name != name:
                    found.append(unit)
                    queue.append(unit.name)
        return found

    def request_restart(self, name: str) -> None:
        """Restart in the background. Raises ComponentNotFoundError, ServiceError when lite's start limit is reached."""
        unit = self.find(name)
        if self._runtime.is_lite and len(unit.restarts) + len(unit.errors) >= self.max_errors:
            reason = (
                f"start limit: {len(unit.restarts)} restarts and {len(unit.errors)} errors in an hour;"
                f" `component reset -n {name}` first"
            )
            self._spawn(self._refuse_restart(unit, reason))
            raise ServiceError(f"{name}: {reason}")
        unit.restarts.add()
        if not self._runtime.is_lite:
            unit.errors.clear()
        self._spawn(self._restart(unit))

    def request_stop(self, name: str) -> None:
        """Stop in the background, with its HARD dependents. Raises ComponentNotFoundError."""
        unit = self.find(name)
        self._spawn(self._stop_with_dependents(unit))

    async def _refuse_restart(self, unit: Unit, reason: str) -> None:
        await unit.stop("restart refused")
        unit.mark(State.BROKEN, reason)

    async def _restart(self, unit: Unit) -> None:
        was_broken = unit.state == State.BROKEN
        stopped = [item for item in self.dependents(unit.name) if item.is_active]
        await self._stop_all([*reversed(stopped), unit], f"restart of {unit.name}")
        if was_broken and not self._runtime.is_lite:
            await unit.install()
        for item in (unit, *stopped):
            item.start()

    async def _stop_with_dependents(self, unit: Unit) -> None:
        await self._stop_all([*reversed(self.dependents(unit.name)), unit], "stopped by command")

    async def _stop_all(self, units: list[Unit], reason: str) -> None:
        for unit in units:
            await unit.stop(reason)

    async def stop_everything(self) -> None:
        """Stop all processes, all at once; for the end of the core."""
        for task in list(self._tasks):
            task.cancel()
        units = [*self.left_running.values(), *self.units.values()]
        await asyncio.gather(*(unit.stop("the core stops") for unit in units))

    def _on_state(self, unit: Unit) -> None:
        log.info("%s %s: %s%s", unit.name, unit.recipe.version, unit.state, f" ({unit.reason})" if unit.reason else "")
        if self.units.get(unit.name) is not unit:
            return
        if unit.state in (State.ERRORED, State.BROKEN):
            self._spawn(self._follow_failure(unit))
        elif unit.state == State.RUNNING:
            self._start_waiting(unit.name)

    async def _follow_failure(self, unit: Unit) -> None:
        for dependent in self.dependents(unit.name):
            if not dependent.is_active:
                continue
            if self._runtime.is_lite:
                reason = f"stopped because its HARD dependency {unit.name} failed; lite does not restart it"
            else:
                reason = f"waits for its HARD dependency {unit.name}"
            dependent.note(reason)
            await dependent.stop(reason)
            if not self._runtime.is_lite:
                self._waiting.setdefault(unit.name, set()).add(dependent.name)
        if unit.state == State.RUNNING:  # it was back before its dependents had stopped
            self._start_waiting(unit.name)

    def _start_waiting(self, name: str) -> None:
        for dependent in self.in_order(self._waiting.pop(name, set())):
            dependent.start()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(self._logged(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _logged(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except LinewatchError as error:
            log.warning("%s", error)
