"""CreateLocalDeployment, GetLocalDeploymentStatus, ListLocalDeployments."""

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from localcore.deployments.model import DO_NOTHING, ROLLBACK, DeploymentRequest, read_change
from localcore.deployments.service import DeploymentService
from localcore.errors import (
    InvalidArgumentsError,
    InvalidArtifactsDirectoryError,
    InvalidRecipeDirectoryError,
    RequirementError,
)
from localcore.operations.fields import mapping, optional_text, strings, text
from localcore.requirements import Version, check_component_name
from localcore.rpc import Handler, Reply, Stream
from localcore.state import DeploymentRecord


class DeploymentOperations:
    """Local deployments."""

    def __init__(self, service: DeploymentService) -> None:
        self._service = service

    def handlers(self) -> dict[str, Handler]:
        """Operations by name."""
        return {
            "CreateLocalDeployment": self.create,
            "GetLocalDeploymentStatus": self.status,
            "ListLocalDeployments": self.list_deployments,
        }

    def create(self, _stream: Stream, request: Mapping[str, Any]) -> Reply:
        """Queue a deployment; its id."""
        deployment = _read(request)
        self._service.submit(deployment)
        return Reply({"deploymentId": deployment.deployment_id})

    def status(self, _stream: Stream, request: Mapping[str, Any]) -> Reply:
        """One deployment."""
        return Reply({"deployment": _describe(self._service.record(text(request, "deploymentId")))})

    def list_deployments(self, _stream: Stream, _request: Mapping[str, Any]) -> Reply:
        """All, newest first."""
        return Reply({"localDeployments": [_describe(record) for record in reversed(self._service.records())]})


def _describe(record: DeploymentRecord) -> dict[str, Any]:
    described: dict[str, Any] = {
        "deploymentId": record.deployment_id,
        "status": record.status,
        "createdOn": record.created_on,
    }
    if record.status in ("SUCCEEDED", "FAILED"):
        described["deploymentStatusDetails"] = {
            "detailedDeploymentStatus": record.detailed_status,
            "deploymentErrorStack": record.error_types,
            "deploymentErrorTypes": record.error_types,
            "deploymentFailureCause": record.cause,
        }
    return described


def _read(request: Mapping[str, Any]) -> DeploymentRequest:
    changes = mapping(request, "componentToConfiguration")
    policy = optional_text(request, "failureHandlingPolicy", ROLLBACK)
    if policy not in (ROLLBACK, DO_NOTHING):
        raise InvalidArgumentsError(f"failureHandlingPolicy {policy!r} is neither ROLLBACK nor DO_NOTHING")
    return DeploymentRequest(
        deployment_id=str(uuid.uuid4()),
        add=_read_versions(mapping(request, "rootComponentVersionsToAdd")),
        remove=strings(request, "rootComponentsToRemove"),
        changes={name: read_change(name, value) for name, value in changes.items()},
        recipe_folder=_folder(request, "recipeDirectoryPath", InvalidRecipeDirectoryError),
        artifact_folder=_folder(request, "artifactsDirectoryPath", InvalidArtifactsDirectoryError),
        failure_policy=policy,
    )


def _read_versions(section: Mapping[str, Any]) -> dict[str, str]:
    try:
        for name, version in section.items():
            check_component_name(name)
            Version.parse(str(version))
    except RequirementError as error:
        raise InvalidArgumentsError(str(error)) from error
    return {name: str(version) for name, version in section.items()}


def _folder(
    request: Mapping[str, Any], field: str, error: type[InvalidRecipeDirectoryError | InvalidArtifactsDirectoryError]
) -> Path | None:
    value = optional_text(request, field, "")
    if not value:
        return None
    path = Path(value)
    if "\0" in value or not path.is_absolute() or not path.is_dir():
        raise error(f"{field}: {value!r} is not a folder with an absolute path")
    return path
