"""The steps that both runtimes' deployments are made of."""

import asyncio
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from localcore.authorization import check_resources
from localcore.configuration import Change, ConfigurationStore
from localcore.deployments.model import Plan
from localcore.errors import DeploymentError
from localcore.layout import Layout
from localcore.limits import check_configuration
from localcore.packages import PackageStore
from localcore.recipes import Recipe
from localcore.runtime import Runtime
from localcore.state import CoreState, Placed, Placement, save_json, save_state
from localcore.supervisor import Supervisor
from localcore.unit import State, Unit

_SETTLE_S = 0.5  # a run step counts as up after this long: a component that fails at once must fail its deployment
_START_POLL_S = 0.05
_START_TIMEOUT_S = 300.0  # to get over restarts with back-off and waiting for dependencies


@dataclass(slots=True)
class Workshop:
    """What a deployment works with."""

    runtime: Runtime
    layout: Layout
    state: CoreState
    configuration: ConfigurationStore
    packages: PackageStore
    supervisor: Supervisor

    def save(self) -> None:
        """Make state and configuration durable. Raises StorageError."""
        self.save_configuration()
        save_state(self.layout.state, self.state)

    def save_configuration(self) -> None:
        """Make the configuration durable. Raises StorageError."""
        save_json(self.layout.configuration, self.configuration.snapshot())

    def check(self, plan: Plan) -> None:
        """The runtime's limits on a plan. Raises DeploymentError before anything has changed."""
        limit = self.runtime.limits.components
        if limit is not None and len(plan.target) > limit:
            raise DeploymentError(f"{len(plan.target)} components are over the limit of {limit}")
        for name, recipe in plan.target.items():
            configuration = self.configuration.planned(
                name, recipe.default_configuration, plan.request.changes.get(name, Change())
            )
            check_configuration(name, configuration, self.runtime.limits)
            if self.runtime.is_lite:
                check_resources(name, configuration)

    def configure(self, plan: Plan) -> None:
        """Apply new defaults and the deployment's changes; subscribers hear what changed."""
        now = time.time()
        for name, recipe in plan.target.items():
            change = plan.request.changes.get(name)
            if name in plan.changed or change is not None:
                self.configuration.deploy(name, recipe.default_configuration, change or Change(), now)

    async def install(self, units: Iterable[Unit]) -> dict[str, DeploymentError]:
        """Install all, a few at a time; failures by component."""
        slots = asyncio.Semaphore(max(2, os.cpu_count() or 1))
        failures: dict[str, DeploymentError] = {}

        async def one(unit: Unit) -> None:
            async with slots:
                try:
                    await unit.install()
                except DeploymentError as error:
                    failures[unit.name] = error

        await asyncio.gather(*(one(unit) for unit in units))
        return failures

    async def wait_started(self, names: Iterable[str]) -> None:
        """Until all are up or finished. Raises DeploymentError naming the first that is broken or does not get up."""
        wanted = set(names)
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            units = [self.supervisor.units[name] for name in sorted(wanted)]
            broken = next((unit for unit in units if unit.state == State.BROKEN), None)
            if broken is not None:
                raise DeploymentError(f"{broken.name} {broken.recipe.version} is broken: {broken.reason}")
            waiting = [unit for unit in units if not _is_up(unit)]
            if not waiting:
                return
            if time.monotonic() > deadline:
                raise DeploymentError(
                    f"{waiting[0].name} {waiting[0].recipe.version} does not get up: {waiting[0].state}"
                )
            await asyncio.sleep(_START_POLL_S)

    def place(self, units: Mapping[str, Unit], placement: Placement) -> None:
        """Make these the placed units."""
        for name, unit in units.items():
            self.supervisor.units[name] = unit
            self.state.placed[name] = Placed(unit.recipe.version, placement)

    async def remove(self, names: Iterable[str]) -> None:
        """Stop and forget components."""
        for name in names:
            for unit in (self.supervisor.units.pop(name, None), self.supervisor.left_running.pop(name, None)):
                if unit is not None:
                    await unit.stop("removed by a deployment")
            self.configuration.remove(name)
            self.state.placed.pop(name, None)

    def clean(self) -> None:
        """Delete the artefacts of versions that nothing uses any more."""
        kept: dict[str, set[str]] = {}
        for unit in (*self.supervisor.units.values(), *self.supervisor.left_running.values()):
            kept.setdefault(unit.name, set()).add(unit.recipe.version)
        self.packages.forget_others(kept)

    def new_units(self, recipes: Mapping[str, Recipe]) -> dict[str, Unit]:
        """Units for these recipes, not placed yet."""
        return {name: self.supervisor.new_unit(recipe) for name, recipe in recipes.items()}


def _is_up(unit: Unit) -> bool:
    if unit.state == State.FINISHED:
        return True
    return unit.state == State.RUNNING and time.monotonic() - unit.state_since >= _SETTLE_S
