"""One step of a deployment to the fleet, as the state machine asks for it. Every step is safe to repeat."""

import json
from collections.abc import Mapping
from typing import Any

from model_build.fleet.configuration import moment_of
from model_build.fleet.errors import FleetInputError
from model_build.infrastructure.services import Services

# A wait is one state; a new look at least every hour lets a person's change to the fleet's windows be seen.
LONGEST_WAIT_SECONDS = 3600
# The first hour is looked at closely; then each ten more turns double the pause.
LONGEST_PAUSE_SECONDS = 600
_CLOSE_TURNS, _DOUBLING_TURNS = 60, 10
SETTLE_SECONDS = 15


def step(services: Services, event: Mapping[str, Any]) -> dict[str, Any]:
    """{"do": plan | start | poll | judge | finish | roll_back | poll_rollback, ...}. Raises FleetError's children."""
    if event["do"] not in _STEPS:
        raise FleetInputError(f"there is no step {event['do']!r}")
    return _STEPS[event["do"]](services, event)


def _plan(services: Services, event: Mapping[str, Any]) -> dict[str, Any]:
    planned = services.core.plan({event["component"]: event["version"]})
    return {**planned, "count": len(planned["rings"])}


def _start(services: Services, event: Mapping[str, Any]) -> dict[str, Any]:
    return _started(services, services.core.start_ring(event["plan"], event["ring"]))


def _poll(services: Services, event: Mapping[str, Any]) -> dict[str, Any]:
    return _patient(services.core.poll_ring(event["plan"], event["ring"]), event)


def _judge(services: Services, event: Mapping[str, Any]) -> dict[str, Any]:
    judged = _patient(services.core.judge_ring(event["plan"], event["ring"]), event)
    return {**judged, "reason": f"ring {event['ring']}: {'; '.join(judged['reasons'])}"}


def _finish(services: Services, event: Mapping[str, Any]) -> dict[str, Any]:
    return services.core.finish(event["plan"])


def _roll_back(services: Services, event: Mapping[str, Any]) -> dict[str, Any]:
    return services.core.roll_back(event["plan"], reason_of(event["reason"]))


def _poll_rollback(services: Services, event: Mapping[str, Any]) -> dict[str, Any]:
    return _patient(services.core.poll_rollback(event["plan"]), event)


_STEPS = {
    "plan": _plan,
    "start": _start,
    "poll": _poll,
    "judge": _judge,
    "finish": _finish,
    "roll_back": _roll_back,
    "poll_rollback": _poll_rollback,
}


def _started(services: Services, answer: dict[str, Any]) -> dict[str, Any]:
    """With the seconds to wait before the next step."""
    if answer["status"] != "waiting":
        return {**answer, "wait_seconds": SETTLE_SECONDS}
    left = (moment_of(answer["until"]) - services.clock()).total_seconds()
    return {**answer, "wait_seconds": max(SETTLE_SECONDS, min(LONGEST_WAIT_SECONDS, int(left) + 1))}


def _patient(answer: dict[str, Any], event: Mapping[str, Any]) -> dict[str, Any]:
    """With a longer pause the longer it takes."""
    doublings = max(0, int(event["turns"]) - _CLOSE_TURNS) // _DOUBLING_TURNS
    longer = min(answer["wait_seconds"] * 2 ** min(doublings, 10), LONGEST_PAUSE_SECONDS)
    return {**answer, "wait_seconds": longer}


def reason_of(cause: str) -> str:
    """The message in a function's error, which Step Functions hands on as JSON text."""
    try:
        found = json.loads(cause)
    except ValueError:
        return cause
    return str(found.get("errorMessage", cause)) if isinstance(found, dict) else cause
