"""The queue of local deployments: one at a time, each with a status that survives the core."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from linewatch_common.errors import LinewatchError

from localcore.deployments import classic, lite
from localcore.deployments.model import DO_NOTHING, DeploymentRequest, Plan
from localcore.deployments.steps import Workshop
from localcore.errors import ResourceNotFoundError, ServiceError
from localcore.logs import utc_now
from localcore.resolver import resolve
from localcore.state import DeploymentRecord, Placement
from localcore.unit import State

log = logging.getLogger(__name__)

_MAX_QUEUED = 32  # further requests are refused with a reason

_HEALTHY = (State.RUNNING, State.FINISHED, State.STARTING, State.ERRORED)

Strategy = Callable[[Workshop, Plan], Awaitable[None]]


class DeploymentService:
    """Takes requests, works them off in turn."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop
        self._queue: asyncio.Queue[DeploymentRequest] = asyncio.Queue(_MAX_QUEUED)
        self._strategy: Strategy = lite.deploy if workshop.runtime.is_lite else classic.deploy

    async def restore(self) -> None:
        """Bring back what was placed before the core ended. A deployment it was in the middle of has failed."""
        for record in self._workshop.state.deployments:
            if record.status in ("QUEUED", "IN_PROGRESS"):
                record.status, record.cause = "FAILED", "the core ended during the deployment"
                record.detailed_status = "FAILED_NO_STATE_CHANGE"
        restore = lite.restore if self._workshop.runtime.is_lite else classic.restore
        await restore(self._workshop)
        self._workshop.save()

    def submit(self, request: DeploymentRequest) -> None:
        """Queue a deployment. Raises ServiceError when the queue is full."""
        try:
            self._queue.put_nowait(request)
        except asyncio.QueueFull as error:
            raise ServiceError(f"{_MAX_QUEUED} deployments are waiting already") from error
        state = self._workshop.state
        state.deployments.append(DeploymentRecord(request.deployment_id, utc_now()))
        state.trim()

    def record(self, deployment_id: str) -> DeploymentRecord:
        """A deployment's status. Raises ResourceNotFoundError."""
        for record in self._workshop.state.deployments:
            if record.deployment_id == deployment_id:
                return record
        raise ResourceNotFoundError(f"deployment {deployment_id} is not known")

    def records(self) -> list[DeploymentRecord]:
        """All that are remembered, oldest first."""
        return list(self._workshop.state.deployments)

    async def work(self) -> None:
        """Work off the queue until cancelled."""
        while True:
            request = await self._queue.get()
            record = self.record(request.deployment_id)
            record.status = "IN_PROGRESS"
            log.info("deployment %s starts", request.deployment_id)
            try:
                await self._deploy(request)
                record.status, record.detailed_status = "SUCCEEDED", "SUCCESSFUL"
                log.info("deployment %s SUCCEEDED", request.deployment_id)
            except LinewatchError as error:
                self._failed(record, request, error)
            except Exception as error:  # a fault of the core fails this deployment and leaves the queue alive
                log.exception("deployment %s failed inside the core", request.deployment_id)
                self._failed(record, request, error)
            self._save()

    def _failed(self, record: DeploymentRecord, request: DeploymentRequest, error: Exception) -> None:
        record.status = "FAILED"
        record.cause = str(error) or repr(error)
        record.error_types = [type(error).__name__]
        if not record.detailed_status:
            if self._workshop.runtime.is_lite or request.failure_policy == DO_NOTHING:
                record.detailed_status = lite.FAILED_STATUS
            else:
                record.detailed_status = classic.ROLLED_BACK_STATUS
        log.error("deployment %s FAILED: %s", request.deployment_id, record.cause)

    def _save(self) -> None:
        try:
            self._workshop.save()
        except LinewatchError as error:
            log.error("%s", error)  # noqa: TRY400 - the message names path and reason, a traceback adds nothing

    async def _deploy(self, request: DeploymentRequest) -> None:
        record = self.record(request.deployment_id)
        record.detailed_status = "FAILED_NO_STATE_CHANGE"  # stands until the first change
        plan = self._plan(request)
        self._workshop.check(plan)
        await self._workshop.packages.take(plan.changed, request.recipe_folder, request.artifact_folder)
        record.detailed_status = ""
        await self._strategy(self._workshop, plan)

    def _plan(self, request: DeploymentRequest) -> Plan:
        workshop = self._workshop
        roots = {name: version for name, version in workshop.state.roots.items() if name not in request.remove}
        roots.update(request.add)
        target = resolve(
            roots,
            {name: placed.version for name, placed in workshop.state.placed.items()},
            lambda name: workshop.packages.versions(name, request.recipe_folder),
            lambda name, version: workshop.packages.recipe(name, version, request.recipe_folder),
        )
        changed = {name: recipe for name, recipe in target.items() if not self._is_in_place(name, recipe.version)}
        removed = tuple(name for name in workshop.state.placed if name not in target)
        return Plan(request, roots, target, changed, removed)

    def _is_in_place(self, name: str, version: str) -> bool:
        placed = self._workshop.state.placed.get(name)
        if placed is None or placed.version != version or placed.placement != Placement.ACTIVE:
            return False
        unit = self._workshop.supervisor.units.get(name)  # missing when its recipe could not be read after a reboot
        return unit is not None and unit.state in _HEALTHY
