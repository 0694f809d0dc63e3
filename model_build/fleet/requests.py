"""What is asked of CreateDeployment. Names and client tokens follow from plan and ring, so a second try does nothing twice."""

import hashlib
from typing import Any

from model_build.fleet.merging import released, request_components, restored
from model_build.fleet.records import Before, Plan


def deployment_name(made: Plan, ring: str) -> str:
    """The same for the same plan and ring: an interrupted try is found again by it."""
    return f"{made.fleet.name}/{ring} {made.plan}"


def deployment_request(made: Plan, ring: str, before: Before) -> dict[str, Any]:
    """CreateDeployment's parameters for a ring of a plan."""
    components = released(before, made.release, made.fleet, made.fleet.ring(ring))
    return _request(made, ring, deployment_name(made, ring), request_components(components))


def rollback_request(made: Plan, ring: str, before: Before) -> dict[str, Any]:
    """CreateDeployment's parameters that restore a ring."""
    name = f"{deployment_name(made, ring)} rollback"
    return _request(made, ring, name, request_components(restored(before, made.release)))


def _request(made: Plan, ring: str, name: str, components: dict[str, Any]) -> dict[str, Any]:
    fleet, settings = made.fleet, made.fleet.ring(ring)
    return {
        "targetArn": made.ring(ring).target,
        "deploymentName": name,
        "components": components,
        "deploymentPolicies": {
            "failureHandlingPolicy": fleet.failure_handling,
            "componentUpdatePolicy": {"action": "NOTIFY_COMPONENTS", "timeoutInSeconds": 60},
        },
        "iotJobConfiguration": {
            "jobExecutionsRolloutConfig": {"maximumPerMinute": settings.per_minute or fleet.per_minute},
            "abortConfig": {
                "criteriaList": [
                    {
                        "failureType": rule.failure,
                        "action": "CANCEL",
                        "thresholdPercentage": rule.percent,
                        "minNumberOfExecutedThings": rule.minimum_devices,
                    }
                    for rule in fleet.aborts_of(settings)
                ]
            },
            "timeoutConfig": {"inProgressTimeoutInMinutes": fleet.install_minutes},
        },
        "tags": {"linewatch:fleet": fleet.name, "linewatch:ring": ring, "linewatch:plan": made.plan},
        "clientToken": hashlib.sha256(name.encode()).hexdigest()[:32],
    }
