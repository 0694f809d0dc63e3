"""The models of the line: which identifiers to ask, how to prepare for them, and their operating points."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from linewatch_common.errors import PackageError
from linewatch_common.manifest import Manifest, MaskThresholds, ScoreThresholds, load_manifest, manifest_digest
from linewatch_common.messages import AgentStatus, ModelUse, RoleStatus
from linewatch_vision.ignoring import Ignored, read_ignored

log = logging.getLogger(__name__)

ROLES = ("classifier", "segmenter")
BOTH = "inspector"  # one model that fills both roles
# A manifest that could not be read may be readable a moment later (the agent is still copying, a disk was slow).
RETRY_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class RoleModel:
    """One model as the agent serves it. `ignored`: pixels of the frame that never count; they follow from the manifest."""

    manifest: Manifest
    use: ModelUse
    ignored: Ignored | None = field(default=None, compare=False)

    @property
    def identifier(self) -> str:
        """The name under which the agent knows it."""
        return self.use.identifier


@dataclass(frozen=True, slots=True)
class Plan:
    """One consistent set: a frame is judged by one plan from beginning to end. An inspector is its classifier and its segmenter."""

    endpoint: str
    classifier: RoleModel
    segmenter: RoleModel

    @property
    def one(self) -> bool:
        """Whether one prediction gives score and mask."""
        return self.classifier is self.segmenter

    @property
    def score(self) -> ScoreThresholds:
        """The classifier's operating point."""
        thresholds = self.classifier.manifest.thresholds.score
        if thresholds is None:  # load_manifest promises it
            raise PackageError(f"{self.classifier.identifier}: no score thresholds")
        return thresholds

    @property
    def mask(self) -> MaskThresholds:
        """The segmenter's operating point."""
        thresholds = self.segmenter.manifest.thresholds.mask
        if thresholds is None:  # load_manifest promises it
            raise PackageError(f"{self.segmenter.identifier}: no mask thresholds")
        return thresholds

    @property
    def in_use(self) -> list[str]:
        """The identifiers, for the heartbeat: the agent keeps what is named there."""
        return [self.classifier.identifier] if self.one else [self.classifier.identifier, self.segmenter.identifier]


def load_plan(agent: AgentStatus) -> Plan:
    """The plan for what the agent serves: an inspector where there is one, else classifier and segmenter.

    Raises PackageError that names the role when one is not served or not readable.
    """
    if BOTH in agent.roles:
        both = _role_model(BOTH, agent.roles[BOTH])
        return Plan(agent.endpoint, both, both)
    missing = [role for role in ROLES if role not in agent.roles]
    if missing:
        raise RoleMissingError(f"the agent serves no model for the role {' and '.join(missing)}")
    classifier, segmenter = (_role_model(role, agent.roles[role]) for role in ROLES)
    return Plan(agent.endpoint, classifier, segmenter)


class RoleMissingError(PackageError):
    """The agent says that it serves no model for a role that the line needs."""


def _role_model(role: str, status: RoleStatus) -> RoleModel:
    folder = Path(status.folder)
    manifest = load_manifest(folder)
    if (manifest.role, manifest.identifier) != (role, status.identifier):
        raise PackageError(
            f"{folder}: the manifest is of {manifest.identifier} ({manifest.role}), "
            f"the agent names {status.identifier} ({role})"
        )
    digest = manifest_digest(folder)
    if digest != status.manifest_digest:
        raise PackageError(f"{folder}: the manifest's digest is {digest}, the agent names {status.manifest_digest}")
    use = ModelUse(role=role, identifier=manifest.identifier, version=manifest.version)
    return RoleModel(manifest, use, read_ignored(folder, manifest))


class PlanKeeper:
    """Follows the agent's heartbeats. `hear` is called by the bus's thread, `refresh` by one other, `adopt` by the inspection thread."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._lock = threading.Lock()
        self._wanted: AgentStatus | None = None
        self._tried: AgentStatus | None = None
        self._retry_at = 0.0
        self._ready: Plan | None = None
        self._in_use: Plan | None = None
        self._problem = "no edge agent was heard yet"

    @property
    def problem(self) -> str:
        """Why there is no plan, or why the plan is not the one that the agent offers; empty when all is well."""
        return self._problem

    @property
    def in_use(self) -> list[str]:
        """What the inspection thread uses at the moment."""
        plan = self._in_use
        return [] if plan is None else plan.in_use

    @property
    def ready(self) -> bool:
        """Whether frames can be judged."""
        return self._ready is not None

    def hear(self, agent: AgentStatus) -> None:
        """A heartbeat of the agent."""
        with self._lock:
            self._wanted = agent

    def refresh(self) -> None:
        """Read the manifests when the agent serves something else than before. Reads files: not for the inspection thread."""
        with self._lock:
            wanted = self._wanted
        if wanted is None:
            return
        changed = self._tried is None or _served(wanted) != _served(self._tried)
        if not changed and (not self._problem or time.monotonic() < self._retry_at):
            return
        self._tried, self._retry_at = wanted, time.monotonic() + RETRY_SECONDS
        self._load(wanted)

    def adopt(self) -> Plan | None:
        """The plan for the next frame; None while a role is not served."""
        ready = self._ready
        if ready is not self._in_use:
            self._in_use = ready
            log.info("judging with %s", " and ".join(ready.in_use) if ready else "no model: a role is not served")
        return ready

    def _load(self, wanted: AgentStatus) -> None:
        try:
            plan: Plan | None = load_plan(wanted)
            problem = ""
        except RoleMissingError as error:
            plan, problem = None, str(error)
        except PackageError as error:
            plan, problem = self._ready, f"{error}; the models before stay in use" if self._ready else str(error)
        if problem and problem != self._problem:
            log.warning("models: %s", problem)
        self._problem = problem
        if plan != self._ready:
            self._ready = plan
            self._on_change()


def _served(agent: AgentStatus) -> tuple[str, dict[str, RoleStatus]]:
    return agent.endpoint, {role: status for role, status in agent.roles.items() if role in (*ROLES, BOTH)}
