"""Deployments: a new one to a target replaces the whole set; its IoT job runs on for later devices."""

import json
import uuid
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from tests.fakes.greengrassv2.components import Components
from tests.fakes.greengrassv2.fleet import abort_time
from tests.fakes.greengrassv2.names import component_arn, job_arn, missing, page
from tests.fakes.greengrassv2.state import Deployment
from tests.fakes.greengrassv2.wire import RefusedError

PUBLIC = "aws.greengrass."
DEFAULT_TIMEOUT = timedelta(minutes=60)
STATUS_WORDS = {
    "QUEUED": "Queued",
    "IN_PROGRESS": "InProgress",
    "SUCCEEDED": "Succeeded",
    "FAILED": "Failed",
    "TIMED_OUT": "TimedOut",
    "CANCELED": "Canceled",
    "REJECTED": "Rejected",
}


class Deployments(Components):
    """Operations on deployments and their jobs."""

    def create_deployment(self, p: dict[str, Any]) -> dict[str, Any]:
        if known := self.again("CreateDeployment", p):
            return known
        devices = self._target(p["targetArn"])
        for name, spec in p.get("components", {}).items():
            self._check_component(name, spec)
        now = self.clock()
        older = [each for each in self.deployments.values() if each.request["targetArn"] == p["targetArn"]]
        for each in older:
            self._stop(each, now)
        identifier = str(uuid.uuid4())
        made = Deployment(identifier, p, len(older) + 1, now, devices)
        self.deployments[identifier] = made
        self._spread(made)
        answer = {"deploymentId": identifier, "iotJobId": identifier, "iotJobArn": job_arn(identifier)}
        return self.remember("CreateDeployment", p, answer)

    def _spread(self, made: Deployment) -> None:
        """Tell the devices, as fast as the rollout allows."""
        job = made.request.get("iotJobConfiguration", {})
        rate = job.get("jobExecutionsRolloutConfig", {}).get("maximumPerMinute", 1000)
        minutes = job.get("timeoutConfig", {}).get("inProgressTimeoutInMinutes")
        timeout = timedelta(minutes=minutes) if minutes else DEFAULT_TIMEOUT
        components = {name: spec["componentVersion"] for name, spec in made.request.get("components", {}).items()}
        executions = [
            self.devices[thing].take(
                made.identifier, components, made.created + timedelta(seconds=60 * place / rate), timeout
            )
            for place, thing in enumerate(made.devices)
        ]
        aborted = abort_time(executions, job.get("abortConfig", {}).get("criteriaList", []))
        if aborted is not None:
            self._stop(made, aborted)
            made.canceled = True

    def _stop(self, deployment: Deployment, when: datetime) -> None:
        if deployment.stopped is None or when < deployment.stopped:
            deployment.stopped = when
            self.stops[deployment.identifier] = when

    def get_deployment(self, p: dict[str, Any]) -> dict[str, Any]:
        found = self._deployment(p["deploymentId"])
        kept = {name: value for name, value in found.request.items() if name != "clientToken"}
        return kept | {
            "revisionId": str(found.revision),
            "deploymentId": found.identifier,
            "deploymentStatus": self._status(found),
            "iotJobId": found.identifier,
            "iotJobArn": job_arn(found.identifier),
            "creationTimestamp": found.created,
            "isLatestForTarget": self._latest(found),
        }

    def list_deployments(self, p: dict[str, Any]) -> dict[str, Any]:
        everything = p.get("historyFilter", "LATEST_ONLY") == "ALL"
        rows = []
        for each in self.deployments.values():
            if p.get("targetArn", each.request["targetArn"]) != each.request["targetArn"] or not (
                everything or self._latest(each)
            ):
                continue
            row = {
                "targetArn": each.request["targetArn"],
                "revisionId": str(each.revision),
                "deploymentId": each.identifier,
                "creationTimestamp": each.created,
                "deploymentStatus": self._status(each),
                "isLatestForTarget": self._latest(each),
            }
            rows.append(
                row | ({"deploymentName": each.request["deploymentName"]} if "deploymentName" in each.request else {})
            )
        return page(p, "deployments", rows)

    def cancel_deployment(self, p: dict[str, Any]) -> dict[str, Any]:
        found = self._deployment(p["deploymentId"])
        if self._status(found) != "ACTIVE":
            raise RefusedError(
                "ConflictException", "not active", resourceId=found.identifier, resourceType="DEPLOYMENT"
            )
        self._stop(found, self.clock())
        found.canceled = True
        return {"message": "SUCCESS"}

    def _deployment(self, identifier: str) -> Deployment:
        if identifier not in self.deployments:
            raise missing(identifier, "DEPLOYMENT")
        return self.deployments[identifier]

    def _status(self, found: Deployment) -> str:
        if found.canceled and found.stopped is not None and found.stopped <= self.clock():
            return "CANCELED"
        return "ACTIVE" if self._latest(found) else "INACTIVE"

    def _latest(self, found: Deployment) -> bool:
        same = [each for each in self.deployments.values() if each.request["targetArn"] == found.request["targetArn"]]
        return max(each.revision for each in same) == found.revision

    def _check_component(self, name: str, spec: dict[str, Any]) -> None:
        merge = spec.get("configurationUpdate", {}).get("merge")
        if merge is not None:
            try:
                json.loads(merge)
            except ValueError as error:
                raise RefusedError("ValidationException", f"{name}: merge is not JSON: {error}") from error
        if name.startswith(PUBLIC):
            return
        found = self._component(component_arn(name, spec["componentVersion"]))
        if self._state(found)["componentState"] != "DEPLOYABLE":
            raise RefusedError("ValidationException", f"{name} {spec['componentVersion']} is not DEPLOYABLE")

    def _target(self, arn: str) -> list[str]:
        kind, name = arn.split(":", 5)[5].split("/", 1)
        if kind == "thinggroup" and name in self.groups:
            return sorted(self.groups[name])
        if kind == "thing" and name in self.devices:
            return [name]
        raise missing(arn, "TARGET")

    def describe_job(self, p: dict[str, Any]) -> dict[str, Any]:
        found, now = self._deployment(p["jobId"]), self.clock()
        seen = Counter(
            each.status(now, found.stopped)
            for thing in found.devices
            for each in self.devices[thing].executions[-3:]
            if each.deployment == found.identifier
        )
        details = {f"numberOf{word}Things": seen[status] for status, word in STATUS_WORDS.items()}
        over = found.stopped is not None and found.stopped <= now
        return {
            "job": {
                "jobArn": job_arn(found.identifier),
                "jobId": found.identifier,
                "targetSelection": "CONTINUOUS",
                "status": "CANCELED" if over else "IN_PROGRESS",
                "targets": [found.request["targetArn"]],
                "jobProcessDetails": details | {"numberOfRemovedThings": 0},
            }
        }
