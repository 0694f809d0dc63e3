"""Greengrass and IoT as the fleet sees them. Clients are handed in; nothing is called before a method is."""

from collections.abc import Iterator
from typing import Any

from model_build.fleet.calls import Caller
from model_build.fleet.configuration import moment_text
from model_build.fleet.errors import NotFoundError
from model_build.fleet.merging import components_of
from model_build.fleet.records import Counts, Deployed

# Who has merged more often than that without a whole reset is told so by nobody; older merges were replaced long since.
MAX_REVISIONS_READ = 25
_COUNTS = {
    "queued": "Queued",
    "in_progress": "InProgress",
    "succeeded": "Succeeded",
    "failed": "Failed",
    "rejected": "Rejected",
    "timed_out": "TimedOut",
    "canceled": "Canceled",
    "removed": "Removed",
}


class Cloud:
    """The calls that a deployment needs. Methods raise FleetError's children."""

    def __init__(self, greengrass: Any, iot: Any, caller: Caller) -> None:
        self._greengrass = greengrass
        self._iot = iot
        self.call = caller

    def thing_group(self, name: str) -> str:
        """Its ARN. Raises NotFoundError."""
        try:
            answer = self.call(self._iot, "describe_thing_group", thingGroupName=name)
        except NotFoundError as error:
            raise NotFoundError(f"thing group {name} does not exist in this account and region") from error
        return str(answer["thingGroupArn"])

    def things(self, group: str) -> list[str]:
        """Sorted names of the things in a group."""
        found = self.call.pages(
            self._iot, "list_things_in_thing_group", "things", thingGroupName=group, recursive=False, maxResults=250
        )
        return sorted(found)

    def latest(self, target: str) -> Deployed | None:
        """What is deployed to the target now."""
        for entry in self._deployments(target, "LATEST_ONLY"):
            return self.deployment(entry["deploymentId"])
        return None

    def latest_id(self, target: str) -> str:
        """The id of the target's latest deployment, "" without one: a call less than `latest`."""
        return next((str(entry["deploymentId"]) for entry in self._deployments(target, "LATEST_ONLY")), "")

    def deployment(self, identifier: str) -> Deployed:
        """One deployment. Raises NotFoundError."""
        answer = self.call(self._greengrass, "get_deployment", deploymentId=identifier)
        return Deployed(
            deployment=identifier,
            revision=answer.get("revisionId", ""),
            name=answer.get("deploymentName") or "",
            status=answer.get("deploymentStatus", ""),
            job=answer.get("iotJobId") or "",
            created=moment_text(answer["creationTimestamp"]),
            components=components_of(answer.get("components") or {}),
        )

    def earlier(self, target: str, before: str) -> Iterator[Deployed]:
        """Deployments of the target older than the one named, newest first, at most MAX_REVISIONS_READ."""
        entries = sorted(self._deployments(target, "ALL"), key=_age)
        identifiers = [entry["deploymentId"] for entry in entries]
        start = identifiers.index(before) + 1 if before in identifiers else 0
        for identifier in identifiers[start : start + MAX_REVISIONS_READ]:
            yield self.deployment(identifier)

    def create(self, request: dict[str, Any]) -> Deployed:
        """Create a deployment; with the same client token again, the one that was created."""
        answer = self.call(self._greengrass, "create_deployment", **request)
        return self.deployment(answer["deploymentId"])

    def counts(self, job: str) -> Counts:
        """How far a deployment's job is."""
        details = self.call(self._iot, "describe_job", jobId=job)["job"].get("jobProcessDetails") or {}
        return Counts(**{ours: details.get(f"numberOf{theirs}Things") or 0 for ours, theirs in _COUNTS.items()})

    def unhealthy(self, target: str) -> list[str]:
        """Sorted things of a group whose core device says UNHEALTHY: a component is broken."""
        found = self.call.pages(
            self._greengrass,
            "list_core_devices",
            "coreDevices",
            thingGroupArn=target,
            status="UNHEALTHY",
            maxResults=100,
        )
        return sorted(str(entry["coreDeviceThingName"]) for entry in found)

    def installed(self, thing: str) -> dict[str, tuple[str, str]] | None:
        """Component to (version, lifecycle state) of one device; None when Greengrass does not know the device."""
        try:
            found = list(
                self.call.pages(
                    self._greengrass,
                    "list_installed_components",
                    "installedComponents",
                    coreDeviceThingName=thing,
                    maxResults=100,
                    topologyFilter="ALL",
                )
            )
        except NotFoundError:
            return None
        return {entry["componentName"]: (entry["componentVersion"], entry["lifecycleState"]) for entry in found}

    def component_state(self, target: str, name: str, version: str) -> str:
        """The state of one of our component versions. Raises NotFoundError."""
        arn = component_arn(target, name, version)
        try:
            answer = self.call(self._greengrass, "describe_component", arn=arn)
        except NotFoundError as error:
            raise NotFoundError(f"{name} {version} is not published in this account and region") from error
        return str(answer["status"]["componentState"])

    def _deployments(self, target: str, which: str) -> Iterator[Any]:
        return self.call.pages(
            self._greengrass, "list_deployments", "deployments", targetArn=target, historyFilter=which, maxResults=100
        )


def component_arn(target: str, name: str, version: str) -> str:
    """The ARN of a component version in the account and region of a thing group's ARN."""
    _, partition, _, region, account, _ = target.split(":", 5)
    return f"arn:{partition}:greengrass:{region}:{account}:components:{name}:versions:{version}"


def _age(entry: dict[str, Any]) -> tuple[int, float]:
    """Sorts newest first."""
    revision = str(entry.get("revisionId", ""))
    return (-int(revision) if revision.isdigit() else 0, -entry["creationTimestamp"].timestamp())
