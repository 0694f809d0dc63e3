"""The state machine's own steps around a deployment: admit, publish, report."""

from collections.abc import Mapping
from typing import Any

from model_build.fleet.configuration import moment_of, moment_text
from model_build.fleet.errors import FleetError, NotFoundError
from model_build.infrastructure.compiling import job_name
from model_build.infrastructure.records import Admitted, BuiltRecord, Failure, Outcome, Release, read, write
from model_build.infrastructure.rings import reason_of
from model_build.infrastructure.services import Services
from model_build.infrastructure.starter import APPROVED
from model_build.pipelines.registered import from_properties
from model_build.publishing.built import BuiltComponent
from model_build.publishing.publisher import Publisher

# A function has 300 s; the state machine calls it again while Greengrass is not done.
DEPLOYABLE_SECONDS = 200.0
_MAX_SUBJECT = 99  # of a message in SNS, which takes less than 100 characters
_MAX_REASON = 2000
NOTE_PREFIX = "linewatch_"  # of what we write back into the registry


class WithdrawnError(FleetError):
    """The model is not approved any more, or is not what was approved."""


def admit(services: Services, event: Mapping[str, Any]) -> dict[str, Any]:
    """Read what was registered and approved, and keep it; "compile" says whether it is to be compiled first.

    Raises WithdrawnError, InputError, FleetError.
    """
    record = read(services.releases, event["release"], "release.json", Release)
    found = services.call(services.client("sagemaker"), "describe_model_package", ModelPackageName=record.model_package)
    if found.get("ModelApprovalStatus") != APPROVED:
        raise WithdrawnError(f"{record.model_package} is {found.get('ModelApprovalStatus')}, no longer {APPROVED}")
    properties = found.get("CustomerMetadataProperties") or {}
    _check_unchanged(record, properties)
    registered = from_properties(properties)
    by = found.get("LastModifiedBy") or {}
    approver = by.get("UserProfileName") or by.get("IamIdentity", {}).get("Arn") or "model registry"
    admitted = Admitted(
        release=record.release,
        approver=str(approver)[:128],
        approved_at=moment_text_of(record.approved_at),
        registered=registered,
    )
    write(services.releases, record.release, "admitted.json", admitted)
    return {
        "component": registered.component,
        "version": registered.version,
        "job": job_name(record.release),
        "source_job": job_name(record.release, "source"),
        "compile": "yes" if services.neo_architecture else "no",
    }


def publish(services: Services, event: Mapping[str, Any]) -> dict[str, Any]:
    """Create the component version and wait a while for DEPLOYABLE. Raises CloudUnavailableError when that takes longer, FleetError."""
    built = read(services.releases, event["release"], "component.json", BuiltRecord)
    publisher = Publisher(
        services.client("greengrassv2"),
        services.client("s3"),
        services.component_bucket,
        services.call,
        timeout=DEPLOYABLE_SECONDS,
        sleep=services.sleep,
        monotonic=lambda: services.clock().timestamp(),
    )
    done = publisher.publish(BuiltComponent(built.name, built.version, built.recipe.encode(), (), built.content))
    return {"arn": done.arn, "action": done.action}


def report(services: Services, event: Mapping[str, Any]) -> dict[str, Any]:
    """Say in one place how it ended and why: record, message, registry. Returns {"status", "error", "reason"}."""
    state: Mapping[str, Any] = event["state"]
    outcome = _outcome(services, event["status"], state)
    write(services.releases, outcome.release, "outcome.json", outcome)
    named = (
        f"{outcome.component} {outcome.version}".strip() or outcome.release
    )  # refused before anybody knew what it is
    line = f"{named}: {outcome.status}"
    services.call(
        services.client("sns"),
        "publish",
        TopicArn=services.topic,
        Subject=line[:_MAX_SUBJECT],
        Message=f"{line}\n{outcome.reason}\n{outcome.note}\n{services.releases.address}{outcome.release}/outcome.json\n",
    )
    _note(services, outcome)
    return {"status": outcome.status, "error": outcome.error or outcome.status, "reason": outcome.reason}


def _outcome(services: Services, status: str, state: Mapping[str, Any]) -> Outcome:
    error = state.get("error") or {}
    rolled = state.get("rollback") or {}
    if status == "rolled back" and rolled.get("status"):
        status = str(rolled["status"])
    admitted = state.get("admitted") or {}
    step = state.get("step") or {}
    reason = rolled.get("reason") or reason_of(error.get("Cause", "")) or "; ".join(step.get("reasons", []))
    return Outcome(
        release=state["release"],
        model_package=state["model_package"],
        status=status,
        ended=moment_text(services.clock()),
        reason=(_refusal(services, state["release"]) if status == "refused" else "") or reason[:_MAX_REASON],
        error=error.get("Error", ""),
        component=admitted.get("component", ""),
        version=admitted.get("version", ""),
        plan=(state.get("fleet") or {}).get("plan", ""),
        ring=state.get("ring", ""),
        note=str((state.get("compile") or {}).get("note", ""))[:_MAX_REASON],
        rings=[{key: str(value) for key, value in row.items()} for row in rolled.get("rings", [])],
    )


def moment_text_of(text: str) -> str:
    """An event's time to the second, as approvals have it."""
    return moment_text(moment_of(text))


def _refusal(services: Services, release: str) -> str:
    try:
        return read(services.releases, release, "failure.json", Failure).reason
    except NotFoundError:
        return ""


def _check_unchanged(record: Release, properties: Mapping[str, str]) -> None:
    """What the registry says now is what it said when a person approved."""
    if record.properties is None:
        return
    names = sorted(name for name in {*record.properties, *properties} if not name.startswith(NOTE_PREFIX))
    changed = [name for name in names if record.properties.get(name) != properties.get(name)]
    if changed:
        raise WithdrawnError(f"{record.model_package}: {changed[0]} was changed after the approval; approve it again")


def _note(services: Services, outcome: Outcome) -> None:
    """Lineage: the registry knows where the model went. This update names no approval, so it starts nothing."""
    client = services.client("sagemaker")
    found = services.call(client, "describe_model_package", ModelPackageName=outcome.model_package)
    notes = {"release": outcome.release, "outcome": outcome.status, "ended": outcome.ended}
    services.call(
        client,
        "update_model_package",
        ModelPackageArn=outcome.model_package,
        CustomerMetadataProperties={
            **(found.get("CustomerMetadataProperties") or {}),
            **{NOTE_PREFIX + name: value for name, value in notes.items()},
        },
    )
