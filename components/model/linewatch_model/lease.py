"""When to offer the package: the rules, without bus and threads."""

import time
from collections.abc import Callable
from enum import Enum, auto

from linewatch_common.messages.models import ModelActivated, ModelOffered, ModelRefused, ModelWaiting
from linewatch_common.messages.status import AgentStatus, RoleStatus, WaitingModel

from linewatch_model.package import OwnPackage

# An offer is lost when the agent is away or its queue is full; a heartbeat's time later it is made again.
REPEAT_SECONDS = 2.0


class LeaseState(Enum):
    """Where the offer stands."""

    OFFERING = auto()  # no answer yet: repeat
    WAITING = auto()  # the agent proved it and takes it in the maintenance window: watch its heartbeats
    ACTIVE = auto()  # the agent took it: watch its heartbeats
    REPLACED = auto()  # another package serves the role: leave it alone
    REFUSED = auto()  # the agent will not have it: the process ends with the reason


class Lease:
    """Used by one thread; `state` and `reason` may be read by any.

    A lease outlives the agent: when the agent's boot id changes, nobody serves the role, or the package's window is open, it is offered
    again.
    """

    def __init__(self, package: OwnPackage, component: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._package = package
        self._component = component
        self._clock = clock
        self._offer = package.offer(component, trial=False)
        self._offered_at = float("-inf")
        self._answered_at = float("-inf")
        self._boot_id: str | None = None
        self.state = LeaseState.OFFERING
        self.reason = ""

    def due(self) -> ModelOffered | None:
        """The offer when it is to be sent now."""
        if self.state is not LeaseState.OFFERING or self._clock() - self._offered_at < REPEAT_SECONDS:
            return None
        self._offered_at = self._clock()
        return self._offer

    def answered(self, answer: ModelActivated | ModelWaiting | ModelRefused) -> None:
        """An answer came; one with another nonce is somebody else's."""
        if answer.nonce != self._offer.nonce or self.state is not LeaseState.OFFERING:
            return
        self._answered_at = self._clock()
        if isinstance(answer, ModelRefused):
            self.state, self.reason = LeaseState.REFUSED, answer.reason
        elif isinstance(answer, ModelWaiting):
            self.state, self.reason, self._boot_id = LeaseState.WAITING, _waits(answer.until), None
        else:
            self.state, self._boot_id = LeaseState.ACTIVE, None

    def agent_heard(self, agent: AgentStatus, heard_at: float) -> None:
        """The agent's last heartbeat, heard at `heard_at` (monotonic); one from before its answer says nothing."""
        if self.state in (LeaseState.OFFERING, LeaseState.REFUSED) or heard_at <= self._answered_at:
            return
        role = self._package.manifest.role
        served, waits = agent.roles.get(role), agent.waiting.get(role)
        restarted = self._boot_id not in (None, agent.boot_id)
        self._boot_id = agent.boot_id
        if waits is not None and self._is_ours(waits) and not waits.due:
            self.state, self.reason = LeaseState.WAITING, _waits(waits.until)
        elif served is None or (waits is not None and self._is_ours(waits)):
            self._offer_again()
        elif not self._is_ours(served):
            self._not_ours(role, served, waits)
        elif restarted:
            self._offer_again()
        else:
            self.state, self.reason = LeaseState.ACTIVE, ""

    def _not_ours(self, role: str, served: RoleStatus, waits: WaitingModel | None) -> None:
        if self.state is LeaseState.WAITING and waits is None:
            self._offer_again()  # the agent was restarted
        elif waits is not None:
            self.state, self.reason = LeaseState.REPLACED, f"role {role} waits for {waits.identifier}"
        else:
            self.state, self.reason = LeaseState.REPLACED, f"role {role} is served by {served.identifier}"

    def _is_ours(self, model: RoleStatus | WaitingModel) -> bool:
        mine = (self._package.manifest.identifier, self._package.digest)
        return (model.identifier, model.manifest_digest) == mine

    def _offer_again(self) -> None:
        self._offer = self._package.offer(self._component, trial=False)
        self._offered_at = float("-inf")
        self.state, self.reason = LeaseState.OFFERING, ""


def _waits(until: str) -> str:
    return f"waits for the maintenance window, which opens at {until}"
