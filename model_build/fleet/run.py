"""A whole deployment at one go: the steps of the core in a loop, as the command line runs them and as a state machine would."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from model_build.fleet.configuration import moment_of
from model_build.fleet.core import FleetCore
from model_build.fleet.errors import FleetInputError, HeldError, RolledBackError
from model_build.fleet.records import OPEN, Current, Decision, Phase, Plan

# Somebody may want to see that it lives; a maintenance window is often hours away.
LONGEST_SLEEP = 60.0
# A device that is switched off takes its rollback when it comes back: nobody waits for that.
ROLLBACK_WATCH = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployer:
    """`say` gets a line for each event, `progress` a line for each look. Stopped at any place, the same call goes on."""

    core: FleetCore
    sleep: Callable[[float], None]
    say: Callable[[str], None]
    progress: Callable[[str], None]
    rollback_watch: timedelta = ROLLBACK_WATCH

    def deploy(self, plan: str) -> None:
        """Ring by ring. Raises HeldError, RolledBackError (both with the gate's reasons) and FleetError's other children."""
        made = self.core.book.plan(plan)
        current = self.core.book.current()
        if current is not None and current.plan == plan and current.phase == Phase.ROLLING_BACK:
            raise FleetInputError(f"plan {plan} is being rolled back: `fleet rollback` finishes that")
        for planned in made.rings:
            state = self.core.book.ring(plan, planned.name)
            if state is not None and state.phase == Phase.PASSED:
                continue
            if state is not None and state.phase == Phase.FAILED and state.verdict is not None:
                self._give_back(made, planned.name, state.verdict.reasons)
            self._ring(made, planned.name)
        self.core.finish(plan)
        self.say(f"every ring runs {_release(made)}")

    def roll_back(self, plan: str, reason: str) -> dict[str, Any]:
        """Restore what was touched and watch it for a while; the core's answer."""
        answer = self.core.roll_back(plan, reason)
        for row in answer["rings"]:
            self.say(f"{row['ring']}: {row['status']} by deployment {row['deployment']}")
        give_up = self.core.clock() + self.rollback_watch
        while (found := self.core.poll_rollback(plan))["wait_seconds"] and self.core.clock() < give_up:
            waiting = sum(counts["queued"] + counts["in_progress"] for counts in found["rings"].values())
            self.progress(f"restoring: {waiting} devices to go")
            self.sleep(found["wait_seconds"])
        left = sum(counts["queued"] for counts in found["rings"].values())
        if left:
            self.say(f"{left} devices are away; they take their previous components when they come back")
        return answer

    def _ring(self, made: Plan, ring: str) -> None:
        while (started := self.core.start_ring(made.plan, ring))["status"] == "waiting":
            until = moment_of(started["until"])
            self.progress(f"{ring}: waits for its maintenance window, which opens at {started['until']}")
            self.sleep(min(LONGEST_SLEEP, max(1.0, (until - self.core.clock()).total_seconds())))
        self.say(f"{ring}: deployment {started['deployment']}, {made.ring(ring).devices} devices")
        while (found := self.core.poll_ring(made.plan, ring))["status"] == "installing":
            counts = found["counts"]
            self.progress(
                f"{ring}: {counts['succeeded']} installed, {counts['in_progress']} installing, {counts['queued']} to go"
            )
            self.sleep(found["wait_seconds"])
        while (verdict := self.core.judge_ring(made.plan, ring))["decision"] == Decision.WAIT:
            self.progress(f"{ring}: gate waits: {'; '.join(verdict['reasons'])}")
            self.sleep(verdict["wait_seconds"])
        self._decide(made, ring, verdict)

    def _decide(self, made: Plan, ring: str, verdict: dict[str, Any]) -> None:
        reasons = list(verdict["reasons"])
        if verdict["decision"] == Decision.FAIL:
            self._give_back(made, ring, reasons)
        if verdict["decision"] == Decision.HOLD:
            raise HeldError(
                f"ring {ring} is held, the gate cannot decide: {'; '.join(reasons)}. `fleet deploy --resume` looks again, "
                "`fleet deploy --accept REASON` lets it pass, `fleet rollback` takes it back"
            )
        self.say(f"{ring}: passed" + "".join(f"; {reason}" for reason in reasons))

    def _give_back(self, made: Plan, ring: str, reasons: list[str]) -> None:
        text = "; ".join(reasons)
        self.say(f"{ring}: failed: {text}")
        answer = self.roll_back(made.plan, f"ring {ring} failed: {text}")
        touched = ", ".join(row["ring"] for row in answer["rings"])
        untouched = [each.name for each in made.rings if each.name not in {row["ring"] for row in answer["rings"]}]
        rest = f"; never touched: {', '.join(untouched)}" if untouched else ""
        raise RolledBackError(f"ring {ring} failed its gate: {text}. {answer['status']}: {touched}{rest}")


def open_plan(core: FleetCore) -> Current:
    """The plan that is under way. Raises FleetInputError when none is."""
    current = core.book.current()
    if current is None or current.phase not in OPEN:
        raise FleetInputError("no deployment is under way: there is nothing to go on with")
    return current


def _release(made: Plan) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(made.release.items()))
