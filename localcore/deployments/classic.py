"""Deploying as classic does: stop what changes, install, start; on failure go back to what was before."""

import contextlib
import copy
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from localcore.deployments.model import DO_NOTHING, Plan
from localcore.deployments.steps import Workshop
from localcore.errors import DeploymentError
from localcore.recipes import Recipe
from localcore.state import Placed, Placement
from localcore.unit import Unit

log = logging.getLogger(__name__)

ROLLED_BACK_STATUS = "FAILED_ROLLBACK_COMPLETE"


@dataclass(frozen=True, slots=True)
class _Before:
    roots: Mapping[str, str]
    placed: Mapping[str, Placed]
    recipes: Mapping[str, Recipe]
    configuration: Mapping[str, Any]
    active: frozenset[str]


async def deploy(workshop: Workshop, plan: Plan) -> None:
    """Raises DeploymentError after the rollback, or without one when the request says DO_NOTHING."""
    before = _remember(workshop)
    try:
        await _go(workshop, plan)
    except DeploymentError:
        if plan.request.failure_policy == DO_NOTHING:
            workshop.state.roots = dict(plan.roots)
            workshop.save()
        else:
            await _go_back(workshop, before, plan)
        raise
    workshop.state.roots = dict(plan.roots)
    workshop.save()
    workshop.clean()


def _remember(workshop: Workshop) -> _Before:
    return _Before(
        roots=dict(workshop.state.roots),
        placed=copy.deepcopy(workshop.state.placed),
        recipes={name: unit.recipe for name, unit in workshop.supervisor.units.items()},
        configuration=workshop.configuration.snapshot(),
        active=frozenset(name for name, unit in workshop.supervisor.units.items() if unit.is_active),
    )


async def _go(workshop: Workshop, plan: Plan) -> None:
    supervisor = workshop.supervisor
    workshop.configure(plan)
    followers = _followers(workshop, plan)
    for unit in reversed(supervisor.in_order([*plan.changed, *followers])):
        await unit.stop("stopped for a deployment")
    await workshop.remove(plan.removed)
    units = workshop.new_units(plan.changed)
    workshop.place(units, Placement.ACTIVE)
    failures = await workshop.install(units.values())
    if failures:
        raise DeploymentError("; ".join(str(error) for _, error in sorted(failures.items())))
    await _start(workshop, [*units, *followers])


def _followers(workshop: Workshop, plan: Plan) -> list[str]:
    """Unchanged components that stop and start with a HARD dependency that changes."""
    found: dict[str, Unit] = {}
    for name in plan.changed:
        for unit in workshop.supervisor.dependents(name):
            if unit.is_active and unit.name not in plan.changed and unit.name not in plan.removed:
                found[unit.name] = unit
    return list(found)


async def _start(workshop: Workshop, names: list[str]) -> None:
    """Start in order: whoever has a HARD dependency waits until that is up."""
    for unit in workshop.supervisor.in_order(names):
        needed = [name for name, item in unit.recipe.dependencies.items() if item.kind == "HARD"]
        await workshop.wait_started(name for name in needed if name in workshop.supervisor.units)
        unit.start()
    await workshop.wait_started(names)


async def _go_back(workshop: Workshop, before: _Before, plan: Plan) -> None:
    log.warning("deployment %s failed: rolling back", plan.request.deployment_id)
    touched = {*plan.changed, *plan.removed}
    for unit in reversed(workshop.supervisor.in_order(plan.changed)):
        await unit.stop("stopped for a rollback")
    workshop.configuration.restore(before.configuration)
    workshop.state.roots = dict(before.roots)
    workshop.state.placed = copy.deepcopy(dict(before.placed))
    for name in plan.changed:
        workshop.supervisor.units.pop(name, None)
    old = workshop.new_units({name: recipe for name, recipe in before.recipes.items() if name in touched})
    workshop.supervisor.units.update(old)
    workshop.save()
    await workshop.install(old.values())
    idle = [name for name in before.active if not workshop.supervisor.units[name].is_active]
    with contextlib.suppress(DeploymentError):  # the components' own states tell what is still wrong
        await _start(workshop, idle)


async def restore(workshop: Workshop) -> None:
    """After a reboot: every component is installed again, then started."""
    for name, placed in workshop.state.placed.items():
        recipe = workshop.packages.recipe(name, placed.version)
        workshop.supervisor.units[name] = workshop.supervisor.new_unit(recipe)
    failures = await workshop.install(workshop.supervisor.units.values())
    for error in failures.values():
        log.error("%s", error)
    started = [name for name in workshop.supervisor.units if name not in failures]
    with contextlib.suppress(DeploymentError):  # as after a rollback
        await _start(workshop, started)
