"""Deploying as lite does: install all new versions beside the running ones, then switch; no way back.

After a failed install the broken version stays placed (and, through its roots, in every later deployment until it is
removed or replaced). The old process runs on, but nothing restarts it and no reboot brings it back.
"""

from localcore.deployments.model import Plan
from localcore.deployments.steps import Workshop
from localcore.errors import DeploymentError
from localcore.state import Placement
from localcore.unit import State, Unit

FAILED_STATUS = "FAILED_ROLLBACK_NOT_REQUESTED"


async def deploy(workshop: Workshop, plan: Plan) -> None:
    """Raises DeploymentError, with everything left where it failed."""
    workshop.state.roots = dict(plan.roots)
    workshop.configure(plan)
    units = workshop.new_units(plan.changed)
    workshop.save()
    failures = await workshop.install(units.values())
    if failures:
        _leave_running(workshop, units)
        workshop.place(units, Placement.PENDING)
        for name in failures:
            workshop.state.placed[name].placement = Placement.BROKEN
        workshop.save()
        raise DeploymentError("; ".join(str(error) for _, error in sorted(failures.items())))
    await _switch(workshop, units)
    await workshop.remove(plan.removed)
    workshop.save()
    workshop.clean()
    await workshop.wait_started(plan.changed)


def _leave_running(workshop: Workshop, units: dict[str, Unit]) -> None:
    for name in units:
        old = workshop.supervisor.units.get(name)
        if old is not None and old.is_active:
            old.may_restart = False
            workshop.supervisor.left_running[name] = old


async def _switch(workshop: Workshop, units: dict[str, Unit]) -> None:
    supervisor = workshop.supervisor
    old = {name: [supervisor.units.get(name), supervisor.left_running.pop(name, None)] for name in units}
    workshop.place(units, Placement.ACTIVE)
    for unit in supervisor.in_order(units):
        for before in old[unit.name]:
            if before is not None:
                await before.stop("replaced by a new version")
        unit.start()


async def restore(workshop: Workshop) -> None:
    """After a reboot: what was active starts, without install; a refused update's component does not come back."""
    for name, placed in workshop.state.placed.items():
        unit = workshop.supervisor.new_unit(workshop.packages.recipe(name, placed.version))
        workshop.supervisor.units[name] = unit
        unit.restore(placed.placement)
    for unit in workshop.supervisor.in_order():
        if workshop.state.placed[unit.name].placement == Placement.ACTIVE:
            dead = _dead_dependency(workshop, unit)
            if dead is None:
                unit.start()
            else:
                unit.mark(State.FINISHED, f"not started because its HARD dependency {dead} does not come back")


def _dead_dependency(workshop: Workshop, unit: Unit) -> str | None:
    for name, dependency in unit.recipe.dependencies.items():
        needed = workshop.supervisor.units.get(name)
        if dependency.kind == "HARD" and needed is not None and not needed.is_active and "run" in needed.recipe.steps:
            return name
    return None
