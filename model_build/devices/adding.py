"""A device in the fleet: thing, certificate, policy, thing group, each made when it is missing; the certificate becomes active last."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from linewatch_common.files import make_private_folder, write_atomically

from model_build.devices.account import Account
from model_build.devices.certificate import Identity, identity_of, read_identity
from model_build.devices.installer import CONFIGURATION_FILES, Endpoints, configuration
from model_build.devices.policy import Place, check_name, device_policy
from model_build.fleet.errors import ConflictError, NotFoundError

THING_TYPE = "linewatch-device"
RING_ATTRIBUTE = "linewatch_group"
_MAX_POLICY_VERSIONS = 5  # AWS IoT keeps so many versions of a policy


def policy_name(thing: str) -> str:
    """The name of a device's own policy."""
    return f"linewatch-{thing}"


def add(account: Account, thing: str, group: str, role_alias: str, folder: Path) -> None:
    """Make what is missing and leave what is right, so the same command goes on after an interruption.

    `folder` gets key, certificate and the configurations of both runtimes. Raises InputError, StorageError, FleetError.
    """
    place = _place(account)
    check_name(thing, _others(account, thing))
    policy = device_policy(place, thing, role_alias)
    _check_there(account, group, role_alias)
    _check_membership(account, thing, group, folder)
    endpoints = _endpoints(account)
    if not account.dry_run:
        make_private_folder(folder)
    _make_thing(account, thing, group)
    identity = identity_of(account, folder, thing)
    _make_policy(account, policy_name(thing), policy.decode())
    _join(account, thing, group, identity)
    if not account.dry_run:
        for runtime, name in CONFIGURATION_FILES.items():
            text = configuration(runtime, thing=thing, region=place.region, role_alias=role_alias, endpoints=endpoints)
            write_atomically(folder / name, text.encode(), 0o644)


def _place(account: Account) -> Place:
    """Where the credentials lead."""
    parts = account.read("sts", "get_caller_identity")["Arn"].split(":")
    return Place(parts[4], account.region("iot"), parts[1])


def _others(account: Account, thing: str) -> list[str]:
    things = account.pages("iot", "list_things", "things", thingTypeName=THING_TYPE, maxResults=250)
    return [entry["thingName"] for entry in things if entry["thingName"] != thing]


def _check_there(account: Account, group: str, role_alias: str) -> None:
    try:
        account.read("iot", "describe_role_alias", roleAlias=role_alias)
    except NotFoundError as error:
        raise NotFoundError(
            f"there is no role alias {role_alias}: deploy the template first (docs/infrastructure.md)"
        ) from error
    try:
        account.read("iot", "describe_thing_group", thingGroupName=group)
    except NotFoundError as error:
        raise NotFoundError(
            f"there is no thing group {group}: 'aws iot create-thing-group --thing-group-name {group}' makes it"
        ) from error


def _check_membership(account: Account, thing: str, group: str, folder: Path) -> None:
    """One linewatch group for each device, and no certificate whose key lies elsewhere."""
    try:
        found: Mapping[str, Any] = account.read("iot", "describe_thing", thingName=thing)
    except NotFoundError:
        return
    other = found.get("attributes", {}).get(RING_ATTRIBUTE, group)
    if other != group:
        raise ConflictError(
            f"{thing} is in {other}: a device is in one linewatch group. 'device remove {thing}' first, or name that group"
        )
    principals = account.read("iot", "list_thing_principals", thingName=thing)["principals"]
    kept = read_identity(folder)
    foreign = [arn for arn in principals if kept is None or arn != kept.certificate_arn]
    if foreign:
        raise ConflictError(
            f"{thing} has the certificate {foreign[0].rpartition('/')[2][:12]}…, whose key is not in {folder}: "
            f"give the folder that has it, or 'device remove {thing}' first"
        )


def _endpoints(account: Account) -> Endpoints:
    kinds = ("iot:Data-ATS", "iot:CredentialProvider")
    data, credentials = (
        account.read("iot", "describe_endpoint", endpointType=kind)["endpointAddress"] for kind in kinds
    )
    return Endpoints(data, credentials)


def _make_thing(account: Account, thing: str, group: str) -> None:
    """Both calls give back what is there when it is the same."""
    _unless(
        account,
        "describe_thing_type",
        {"thingTypeName": THING_TYPE},
        "create_thing_type",
        {"thingTypeName": THING_TYPE},
    )
    wanted = {
        "thingName": thing,
        "thingTypeName": THING_TYPE,
        "attributePayload": {"attributes": {RING_ATTRIBUTE: group}},
    }
    _unless(account, "describe_thing", {"thingName": thing}, "create_thing", wanted)
    found = {} if account.dry_run else account.read("iot", "describe_thing", thingName=thing)
    if found and (found.get("thingTypeName"), found["attributes"].get(RING_ATTRIBUTE)) != (THING_TYPE, group):
        wanted["attributePayload"] = {"attributes": {RING_ATTRIBUTE: group}, "merge": True}
        account.change("iot", "update_thing", **wanted)


def _make_policy(account: Account, name: str, document: str) -> None:
    try:
        found = account.read("iot", "get_policy", policyName=name)
    except NotFoundError:
        account.change("iot", "create_policy", policyName=name, policyDocument=document)
        return
    if found["policyDocument"] == document:
        return
    versions = account.read("iot", "list_policy_versions", policyName=name)["policyVersions"]
    if len(versions) >= _MAX_POLICY_VERSIONS:
        oldest = min(
            (each for each in versions if not each["isDefaultVersion"]), key=lambda each: int(each["versionId"])
        )
        account.change("iot", "delete_policy_version", policyName=name, policyVersionId=oldest["versionId"])
    account.change("iot", "create_policy_version", policyName=name, policyDocument=document, setAsDefault=True)


def _join(account: Account, thing: str, group: str, identity: Identity | None) -> None:
    """These calls do nothing when it is done already."""
    arn = identity.certificate_arn if identity else "(of the new certificate)"
    account.change("iot", "attach_policy", policyName=policy_name(thing), target=arn)
    account.change("iot", "attach_thing_principal", thingName=thing, principal=arn)
    account.change("iot", "add_thing_to_thing_group", thingName=thing, thingGroupName=group)
    certificate = identity.certificate_id if identity else "(of the new certificate)"
    account.change("iot", "update_certificate", certificateId=certificate, newStatus="ACTIVE")


def _unless(account: Account, look: str, at: dict[str, Any], make: str, wanted: dict[str, Any]) -> None:
    try:
        account.read("iot", look, **at)
    except NotFoundError:
        account.change("iot", make, **wanted)
