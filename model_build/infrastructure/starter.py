"""From an event to one execution. Events may come twice, late, or for changes that are no approval."""

from datetime import timedelta
from typing import Any

import msgspec
from linewatch_common.errors import InputError
from msgspec import Struct

from model_build.fleet.configuration import moment_of
from model_build.fleet.errors import ConflictError, FleetInputError
from model_build.infrastructure.records import Release, read, release_of
from model_build.infrastructure.services import Services

APPROVED, FIELD = "Approved", "ModelApprovalStatus"
# EventBridge gives up after an hour, a person's redrive of a dead letter may come days later; a year-old echo starts nothing.
MAX_AGE = timedelta(days=14)


class _Detail(Struct, kw_only=True, rename="pascal"):
    model_package_arn: str
    model_approval_status: str
    updated_model_package_fields: list[str] = []
    customer_metadata_properties: dict[str, str] | None = None


class _Event(Struct, kw_only=True):
    time: str
    detail: _Detail


def start(services: Services, event: dict[str, Any]) -> dict[str, Any]:
    """Start the release of an approved model: {"started", "release", "reason"}.

    The record comes first and the execution's name follows from it, so a kill in between is made good by the next delivery, and a
    second delivery starts nothing. Raises InputError for an event of another form, FleetError.
    """
    wanted = _read(event)
    detail = wanted.detail
    if detail.model_approval_status != APPROVED or FIELD not in detail.updated_model_package_fields:
        return {"started": False, "release": "", "reason": "no approval: another field was updated"}
    release = release_of(detail.model_package_arn)
    record = Release(
        release=release,
        model_package=detail.model_package_arn,
        approved_at=wanted.time,
        properties=detail.customer_metadata_properties,
    )
    try:
        services.releases.create(f"{release}/release.json", msgspec.json.encode(record))
    except ConflictError:
        record = read(services.releases, release, "release.json", Release)
        if services.clock() - moment_of(record.approved_at) > MAX_AGE:
            return {"started": False, "release": release, "reason": f"it was approved at {record.approved_at}"}
    return {"started": _execute(services, record), "release": release, "reason": ""}


def _execute(services: Services, record: Release) -> bool:
    """Whether it runs now. The same name with the same input is the same execution, also when it has ended."""
    wanted = {"release": record.release, "model_package": record.model_package, "approved_at": record.approved_at}
    try:
        services.call(
            services.client("stepfunctions"),
            "start_execution",
            stateMachineArn=services.state_machine,
            name=record.release,
            input=msgspec.json.encode({**wanted, "count": {"chapter": 1, "n": 0}}, order="sorted").decode(),
        )
    except FleetInputError as error:
        if "ExecutionAlreadyExists" not in str(error):
            raise
        return False
    return True


def _read(event: dict[str, Any]) -> _Event:
    try:
        found = msgspec.convert(event, _Event)
        moment_of(found.time)
    except (msgspec.ValidationError, ValueError) as error:
        raise InputError(f"event {str(event.get('id'))[:40]}: {error}") from error
    return found
