"""A device out of the fleet: everything that `adding` made is gone; what is gone already is passed over."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from model_build.devices.account import Account
from model_build.devices.adding import policy_name
from model_build.devices.certificate import CERTIFICATE_FILE, IDENTITY_FILE, KEY_FILE, read_identity, remove_files
from model_build.devices.installer import CONFIGURATION_FILES
from model_build.fleet.errors import NotFoundError


def remove(account: Account, thing: str, folder: Path) -> None:
    """Cut the certificate first, so the device is out from that moment. Raises InputError, StorageError, FleetError."""
    for arn in _certificates(account, thing, folder):
        _remove_certificate(account, thing, arn)
    _remove_policy(account, policy_name(thing))
    for group in _listed(lambda: account.read("iot", "list_thing_groups_for_thing", thingName=thing)["thingGroups"]):
        account.change("iot", "remove_thing_from_thing_group", thingName=thing, thingGroupName=group["groupName"])
    _quietly(lambda: account.change("greengrassv2", "delete_core_device", coreDeviceThingName=thing))
    if _listed(lambda: [account.read("iot", "describe_thing", thingName=thing)["thingName"]]):
        account.change("iot", "delete_thing", thingName=thing)
    if not account.dry_run:
        remove_files(folder, (KEY_FILE, CERTIFICATE_FILE, *CONFIGURATION_FILES.values(), IDENTITY_FILE))


def _certificates(account: Account, thing: str, folder: Path) -> list[str]:
    """Those of the thing, and the one that an interrupted run left in `folder`."""
    found = _listed(lambda: account.read("iot", "list_thing_principals", thingName=thing)["principals"])
    kept = read_identity(folder)
    if kept is not None and kept.certificate_arn not in found:
        found.append(kept.certificate_arn)
    return found


def _remove_certificate(account: Account, thing: str, arn: str) -> None:
    identifier = arn.rpartition("/")[2]
    try:
        account.read("iot", "describe_certificate", certificateId=identifier)
    except NotFoundError:
        return
    account.change("iot", "update_certificate", certificateId=identifier, newStatus="INACTIVE")
    for policy in account.read("iot", "list_attached_policies", target=arn)["policies"]:
        account.change("iot", "detach_policy", policyName=policy["policyName"], target=arn)
    _quietly(lambda: account.change("iot", "detach_thing_principal", thingName=thing, principal=arn))
    account.change("iot", "delete_certificate", certificateId=identifier)


def _remove_policy(account: Account, name: str) -> None:
    for version in _listed(lambda: account.read("iot", "list_policy_versions", policyName=name)["policyVersions"]):
        if not version["isDefaultVersion"]:
            account.change("iot", "delete_policy_version", policyName=name, policyVersionId=version["versionId"])
    if _listed(lambda: [account.read("iot", "get_policy", policyName=name)["policyName"]]):
        account.change("iot", "delete_policy", policyName=name)


def _listed(ask: Callable[[], list[Any]]) -> list[Any]:
    try:
        return list(ask())
    except NotFoundError:
        return []


def _quietly(change: Callable[[], object]) -> None:
    try:
        change()
    except NotFoundError:
        return
