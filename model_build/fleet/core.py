"""The steps of a deployment to a fleet. Each is safe to repeat, reads and writes the state store, and returns a small JSON-able dict.

  plan(release)           -> {"plan", "fleet", "rings": [names in order], "devices": n}
  start_ring(plan, ring)  -> {"status": "started", "deployment"} | {"status": "waiting", "until": UTC text} (maintenance window)
  poll_ring(plan, ring)   -> {"status": "installing" | "installed", "counts", "wait_seconds"}
  judge_ring(plan, ring)  -> {"decision": "pass" | "wait" | "hold" | "fail", "reasons", "figures", "wait_seconds"}
  roll_back(plan, reason) -> {"status": "rolled back" | "foreign revision", "rings": [{"ring", "status"}], "reason"}
  finish(plan)            -> {"status": "done"}

A step that cannot be done raises FleetError's children; `ForeignRevisionError` in every step that looks at a ring.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from linewatch_common.windows import next_opening

from model_build.fleet.book import Book, half_finished
from model_build.fleet.cloud import Cloud
from model_build.fleet.configuration import Fleet, moment_of, moment_text, zone
from model_build.fleet.errors import FleetInputError, ForeignRevisionError, RunningAlreadyError
from model_build.fleet.health import HealthReports
from model_build.fleet.looking import Lookout, foreign
from model_build.fleet.planning import propose
from model_build.fleet.records import (
    OPEN,
    Current,
    Decision,
    Deployed,
    HistoryRecord,
    Phase,
    Plan,
    RingState,
    Verdict,
    small,
)
from model_build.fleet.requests import deployment_name, deployment_request, rollback_request

# How soon asking again can tell something new: devices report each minute.
INSTALL_POLL_SECONDS = 30
GATE_POLL_SECONDS = 60
# A state machine's state is small: reasons are cut to that many lines.
MAX_REASONS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetCore:
    """One fleet's deployments. `clock` gives aware UTC datetimes; `by` is recorded."""

    cloud: Cloud
    book: Book
    reports: HealthReports
    clock: Callable[[], datetime]
    by: str = ""

    def plan(self, release: Mapping[str, str], fleet: Fleet | None = None) -> dict[str, Any]:
        """Check everything that can be checked before a device is touched, and claim the fleet. Raises FleetError's children."""
        wanted = fleet or self.book.configuration()
        current = self.book.current()
        made = self.book.plan(current.plan) if current is not None and current.phase in OPEN else None
        if made is None:
            made, devices = propose(self.cloud, wanted, release, self.clock(), self.by)
            self.book.save_plan(made, devices)
            self.book.claim(Current(plan=made.plan, phase=Phase.PLANNED, changed=made.made))
        elif current is not None and (made.release != dict(release) or made.fleet != wanted):
            raise RunningAlreadyError(half_finished(current))
        total = sum(ring.devices for ring in made.rings)
        return {"plan": made.plan, "fleet": made.fleet.name, "rings": [r.name for r in made.rings], "devices": total}

    def start_ring(self, plan: str, ring: str) -> dict[str, Any]:
        """Create the ring's deployment, inside its maintenance window. Raises ForeignRevisionError, RunningAlreadyError."""
        made = self.book.plan(plan)
        self._check_under_way(plan)
        state = self.book.ring(plan, ring)
        if state is not None and state.deployment:
            return {"status": "started", "deployment": state.deployment}
        now = self.clock()
        opens = next_opening(made.fleet.ring(ring).windows, zone(made.fleet), now)
        if opens > now:
            return {"status": "waiting", "until": moment_text(opens)}
        before = self.book.before(plan, ring) or self.book.save_before(plan, ring, self.lookout.before(made, ring, now))
        request = deployment_request(made, ring, before)
        created = self._adopted(made, ring, request) or self.cloud.create(request)
        self.book.save_ring(
            plan,
            RingState(
                ring=ring,
                phase=Phase.INSTALLING,
                deployment=created.deployment,
                revision=created.revision,
                job=created.job,
                started=created.created,
            ),
        )
        self._move(plan, Phase.INSTALLING, ring)
        return {"status": "started", "deployment": created.deployment}

    def poll_ring(self, plan: str, ring: str) -> dict[str, Any]:
        """How far the installation is. It ends when the job has, when a device failed, or when the last device told had its time."""
        made, state = self.book.plan(plan), self._begun(plan, ring)
        self._check_ours(made, state)
        counts = self.cloud.counts(state.job)
        settings = made.fleet.ring(ring)
        gate = made.fleet.gate_of(settings)
        waited = self.clock() - moment_of(state.started) - made.fleet.rollout(settings, made.ring(ring).devices)
        late = waited >= timedelta(minutes=max(gate.report_minutes, made.fleet.install_minutes))
        installed = counts.waiting == 0 or counts.bad > 0 or late
        phase = Phase.WATCHING if installed and state.phase == Phase.INSTALLING else state.phase
        self.book.save_ring(plan, msgspec.structs.replace(state, counts=counts, phase=phase))
        if phase != state.phase:
            self._move(plan, phase, ring)
        status = "installed" if installed else "installing"
        return {"status": status, "counts": small(counts), "wait_seconds": 0 if installed else INSTALL_POLL_SECONDS}

    def judge_ring(self, plan: str, ring: str) -> dict[str, Any]:
        """The gate's verdict now. On pass the ring is done; on hold and fail nothing else is done here."""
        made, state = self.book.plan(plan), self._begun(plan, ring)
        if state.phase == Phase.PASSED and state.verdict is not None:
            return _answer(state.verdict)
        self._check_ours(made, state)
        verdict = self.lookout.verdict(made, state, self.clock())
        verdict = msgspec.structs.replace(verdict, reasons=verdict.reasons[:MAX_REASONS])
        phase = {
            Decision.PASS: Phase.PASSED,
            Decision.HOLD: Phase.HELD,
            Decision.FAIL: Phase.FAILED,
            Decision.WAIT: Phase.WATCHING,
        }[verdict.decision]
        self.book.save_ring(plan, msgspec.structs.replace(state, phase=phase, verdict=verdict))
        self._move(plan, phase, ring, "; ".join(verdict.reasons[:2]) if phase in {Phase.HELD, Phase.FAILED} else "")
        return _answer(verdict)

    def accept_ring(self, plan: str, ring: str, reason: str) -> dict[str, Any]:
        """A person lets a held ring pass; who and why is recorded. Raises FleetInputError unless it is held."""
        state = self._begun(plan, ring)
        if state.phase != Phase.HELD:
            raise FleetInputError(f"ring {ring} is {state.phase}, not {Phase.HELD}: there is nothing to accept")
        verdict = Verdict(decision=Decision.PASS, reasons=[f"accepted by {self.by or 'somebody'}: {reason}"])
        self.book.save_ring(plan, msgspec.structs.replace(state, phase=Phase.PASSED, verdict=verdict, reason=reason))
        self._move(plan, Phase.WATCHING, ring)
        return _answer(verdict)

    def roll_back(self, plan: str, reason: str) -> dict[str, Any]:
        """Restore every ring that was touched, the last one first. A ring that somebody else deployed to is left alone, and said."""
        made = self.book.plan(plan)
        current = self.book.current()
        if current is None or current.plan != plan:
            raise FleetInputError(f"plan {plan} is not the last one: what stands now came after it")
        ended = current.phase == Phase.ROLLED_BACK
        if not ended:
            now = moment_text(self.clock())
            self.book.claim(Current(plan=plan, phase=Phase.ROLLING_BACK, ring=current.ring, reason=reason, changed=now))
        rows = [
            row for planned in reversed(made.rings) if (row := self._restore(made, planned.name, reason)) is not None
        ]
        left = [row["ring"] for row in rows if row["status"] == Phase.FOREIGN]
        if left:
            reason = f"{reason}; left alone, because somebody else deployed there: {', '.join(left)}"
        if not ended:
            self._end(made, Phase.ROLLED_BACK, rows[-1]["ring"] if rows else "", reason)
        return {"status": str(Phase.FOREIGN if left else Phase.ROLLED_BACK), "rings": rows, "reason": reason}

    def poll_rollback(self, plan: str) -> dict[str, Any]:
        """How far the restoring deployments are: {"status": "installing" | "installed", "rings": {ring: counts}, "wait_seconds"}."""
        counts = {}
        for planned in self.book.plan(plan).rings:
            state = self.book.ring(plan, planned.name)
            if state is not None and state.rollback_job:
                counts[planned.name] = self.cloud.counts(state.rollback_job)
        waiting = any(each.waiting for each in counts.values())
        return {
            "status": "installing" if waiting else "installed",
            "rings": {ring: small(each) for ring, each in counts.items()},
            "wait_seconds": INSTALL_POLL_SECONDS if waiting else 0,
        }

    def finish(self, plan: str) -> dict[str, Any]:
        """Every ring passed: free the fleet. Raises FleetInputError when one has not."""
        made = self.book.plan(plan)
        current = self.book.current()
        if current is not None and current.plan == plan and current.phase == Phase.DONE:
            return {"status": str(Phase.DONE)}
        self._check_under_way(plan)
        for planned in made.rings:
            state = self.book.ring(plan, planned.name)
            if state is None or state.phase != Phase.PASSED:
                raise FleetInputError(f"plan {plan}: ring {planned.name} has not passed")
        self._end(made, Phase.DONE, "", "")
        return {"status": str(Phase.DONE)}

    @property
    def lookout(self) -> Lookout:
        """What reads rings."""
        return Lookout(self.cloud, self.book, self.reports)

    def _adopted(self, made: Plan, ring: str, request: dict[str, Any]) -> Deployed | None:
        """Our deployment when an earlier try created it and was interrupted. Raises ForeignRevisionError."""
        planned = made.ring(ring)
        latest = self.cloud.latest_id(planned.target)
        if latest == planned.previous:
            return None
        if not latest:
            raise ForeignRevisionError(foreign(ring, "none", planned.previous))
        standing = self.cloud.deployment(latest)
        if standing.name != request["deploymentName"]:
            raise ForeignRevisionError(foreign(ring, latest, planned.previous))
        return standing

    def _check_ours(self, made: Plan, state: RingState) -> None:
        latest = self.cloud.latest_id(made.ring(state.ring).target)
        if latest == state.deployment:
            return
        self.book.save_ring(made.plan, msgspec.structs.replace(state, phase=Phase.FOREIGN))
        reason = foreign(state.ring, latest, state.deployment)
        self._move(made.plan, Phase.FOREIGN, state.ring, reason)
        raise ForeignRevisionError(reason)

    def _restore(self, made: Plan, ring: str, reason: str) -> dict[str, Any] | None:
        """One ring's row; None when it was never touched."""
        before = self.book.before(made.plan, ring)
        state = self.book.ring(made.plan, ring)
        if before is None:
            return None
        planned = made.ring(ring)
        if state is not None and state.rollback:
            return {"ring": ring, "status": str(Phase.ROLLED_BACK), "deployment": state.rollback}
        standing = self.cloud.latest(planned.target)
        request = rollback_request(made, ring, before)
        if standing is None or standing.deployment == planned.previous:
            return None
        if standing.name == request["deploymentName"]:
            created = standing
        elif standing.name == deployment_name(made, ring):
            created = self.cloud.create(request)
        else:
            state = state or RingState(ring=ring, phase=Phase.FOREIGN)
            self.book.save_ring(made.plan, msgspec.structs.replace(state, phase=Phase.FOREIGN, reason=reason))
            return {"ring": ring, "status": str(Phase.FOREIGN), "deployment": standing.deployment}
        self.book.save_ring(
            made.plan,
            msgspec.structs.replace(
                state or RingState(ring=ring, phase=Phase.ROLLED_BACK),
                phase=Phase.ROLLED_BACK,
                rollback=created.deployment,
                rollback_job=created.job,
                reason=reason,
            ),
        )
        return {"ring": ring, "status": str(Phase.ROLLED_BACK), "deployment": created.deployment}

    def _check_under_way(self, plan: str) -> None:
        """Somebody may have taken the plan back while another process was going on with it."""
        current = self.book.current()
        if current is None or current.plan != plan or current.phase not in OPEN or current.phase == Phase.ROLLING_BACK:
            stands = f"plan {current.plan} is {current.phase}" if current is not None else "no plan is"
            raise RunningAlreadyError(f"plan {plan} is not under way any more ({stands}): see `fleet history`")

    def _begun(self, plan: str, ring: str) -> RingState:
        self._check_under_way(plan)
        state = self.book.ring(plan, ring)
        if state is None or not state.deployment:
            raise FleetInputError(f"plan {plan}: ring {ring} was not started")
        return state

    def _move(self, plan: str, phase: Phase, ring: str, reason: str = "") -> None:
        self.book.move(Current(plan=plan, phase=phase, ring=ring, reason=reason, changed=moment_text(self.clock())))

    def _end(self, made: Plan, phase: Phase, ring: str, reason: str) -> None:
        self._move(made.plan, phase, ring, reason)
        self.book.record(
            HistoryRecord(
                plan=made.plan,
                fleet=made.fleet.name,
                release=made.release,
                made=made.made,
                ended=moment_text(self.clock()),
                phase=phase,
                ring=ring,
                reason=reason,
                by=self.by or made.by,
                devices=sum(each.devices for each in made.rings),
            )
        )


def _answer(verdict: Verdict) -> dict[str, Any]:
    waits = GATE_POLL_SECONDS if verdict.decision == Decision.WAIT else 0
    return small(verdict) | {"wait_seconds": waits}
