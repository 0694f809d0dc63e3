"""The Lambda functions: composition from the environment, and one call each."""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any

import boto3

from model_build.infrastructure import compiling, releasing, rings, starter
from model_build.infrastructure import watch as watching
from model_build.infrastructure.services import Services


@cache
def _client(service: str) -> Any:
    """One client for each, kept while the function's environment lives."""
    return boto3.client(service)


def _services() -> Services:
    return Services(
        client=_client,
        fleet=os.environ["LINEWATCH_FLEET"],
        fleet_bucket=os.environ["LINEWATCH_FLEET_BUCKET"],
        component_bucket=os.environ["LINEWATCH_COMPONENT_BUCKET"],
        topic=os.environ.get("LINEWATCH_TOPIC", ""),
        state_machine=os.environ.get("LINEWATCH_STATE_MACHINE", ""),
        prefix=os.environ.get("LINEWATCH_PREFIX", "linewatch"),
        training_data=os.environ.get("LINEWATCH_TRAINING_DATA", ""),
        neo_architecture=os.environ.get("LINEWATCH_NEO_ARCHITECTURE", ""),
        cool_down_days=float(os.environ.get("LINEWATCH_COOL_DOWN_DAYS", "30")),
        clock=lambda: datetime.now(UTC),
        sleep=time.sleep,
    )


def start(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """An event of EventBridge."""
    return starter.start(_services(), event)


def admit(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """{"release"}"""
    return releasing.admit(_services(), event)


def compilation(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """{"release"}"""
    return compiling.request(_services(), event)


def publish(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """{"release"}"""
    return releasing.publish(_services(), event)


def fleet(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """{"do", ...}: see rings.step."""
    return rings.step(_services(), event)


def report(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """{"status", "state"}"""
    return releasing.report(_services(), event)


def watch(_event: dict[str, Any], _context: object, say: Callable[[str], None] = print) -> dict[str, int]:
    """A schedule's."""
    services = _services()
    figures = watching.watch(services)
    say(watching.metric_line(services.fleet, figures, int(services.clock().timestamp() * 1000)))
    return figures


def drift(_event: dict[str, Any], _context: object, say: Callable[[str], None] = print) -> dict[str, Any]:
    """A schedule's."""
    from model_build.infrastructure import drifting  # noqa: PLC0415 - numerics are in the bundle `drift` alone

    services = _services()
    answer = drifting.look(services)
    say(drifting.metric_line(services.fleet, answer, int(services.clock().timestamp() * 1000)))
    return answer


def retrain(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """An alert of EventBridge."""
    from model_build.infrastructure import retraining  # noqa: PLC0415 - what it knows of pipelines is in the bundle `drift` alone

    return retraining.start(_services(), event)
