"""A device joins and leaves, on moto's AWS IoT; every call that changes something can be the last before a kill."""

import json
import subprocess
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from linewatch_common.errors import InputError

from model_build.devices.account import Account
from model_build.devices.adding import THING_TYPE, add, policy_name
from model_build.devices.certificate import CERTIFICATE_FILE, KEY_FILE
from model_build.devices.installer import CONFIGURATION_FILES, commands
from model_build.devices.removing import remove
from model_build.fleet.calls import Caller
from model_build.fleet.errors import ConflictError, NotFoundError
from tests.fakes.botocore_checks import check_request
from tests.integration.fleet_cloud.conftest import ALIAS

THING = "plant-a-0007"


class Killed(BaseException):
    """The process ends here."""


class CoreDevices:
    """Greengrass's delete_core_device, which moto does not have."""

    class meta:  # noqa: N801 - as boto3 has it
        class service_model:  # noqa: N801
            service_name = "greengrassv2"

    def delete_core_device(self, coreDeviceThingName: str) -> dict[str, Any]:  # noqa: N803 - boto3's word
        return {}


@cache
def client(service: str) -> Any:
    """A client takes half a second to make."""
    return boto3.client(service)


class Line:
    """What the command says; the kill comes before its nth change."""

    def __init__(self, kill_at: int = 0) -> None:
        self.said: list[str] = []
        self.kill_at = kill_at

    def account(self, *, dry_run: bool = False, caller: Caller | None = None) -> Account:
        clients = {"iot": client("iot"), "sts": client("sts"), "greengrassv2": CoreDevices()}
        return Account(clients, caller or Caller(), self.say, dry_run=dry_run)

    def say(self, text: str) -> None:
        service, operation, parameters = text.removeprefix("would ").removeprefix("call ").split(" ", 2)
        if text.startswith("call "):  # a dry run cannot know the id of a certificate that it did not make
            check_request(service, "".join(part.capitalize() for part in operation.split("_")), json.loads(parameters))
        self.said.append(operation)
        if self.kill_at and len(self.said) == self.kill_at:
            raise Killed


def joined(tmp_path: Path, line: Line | None = None, **changed: str) -> Path:
    folder = tmp_path / changed.get("thing", THING)
    wanted = {"thing": THING, "group": "canary", "role_alias": ALIAS} | changed
    add((line or Line()).account(), folder=folder, **wanted)
    return folder


def principals(iot: Any, thing: str = THING) -> list[str]:
    found: list[str] = iot.list_thing_principals(thingName=thing)["principals"]
    return found


def assert_in_the_fleet(iot: Any, folder: Path) -> None:
    (arn,) = principals(iot)
    assert (
        iot.describe_certificate(certificateId=arn.rpartition("/")[2])["certificateDescription"]["status"] == "ACTIVE"
    )
    assert [each["policyName"] for each in iot.list_attached_policies(target=arn)["policies"]] == [policy_name(THING)]
    groups = iot.list_thing_groups_for_thing(thingName=THING)["thingGroups"]
    assert [group["groupName"] for group in groups] == ["canary"]
    assert (folder / KEY_FILE).stat().st_mode & 0o077 == 0
    certificate = x509.load_pem_x509_certificate((folder / CERTIFICATE_FILE).read_bytes())
    assert certificate is not None
    serialization.load_pem_private_key((folder / KEY_FILE).read_bytes(), password=None)


def assert_gone(iot: Any, folder: Path) -> None:
    assert iot.list_things()["things"] == []
    assert iot.list_policies()["policies"] == []
    assert [each for each in iot.list_certificates()["certificates"] if each["status"] == "ACTIVE"] == []
    assert iot.list_things_in_thing_group(thingGroupName="canary")["things"] == []
    assert not folder.exists()


def test_a_device_joins_twice_and_leaves_twice(iot: Any, tmp_path: Path) -> None:
    folder = joined(tmp_path)
    assert_in_the_fleet(iot, folder)
    before = (folder / KEY_FILE).read_bytes(), principals(iot)
    joined(tmp_path)
    assert ((folder / KEY_FILE).read_bytes(), principals(iot)) == before
    remove(Line().account(), THING, folder)
    assert_gone(iot, folder)
    assert iot.list_certificates()["certificates"] == []
    again = Line()
    remove(again.account(), THING, folder)
    assert again.said == ["delete_core_device"]


def test_what_iot_still_counts_as_attached_is_deleted_a_little_later(iot: Any, tmp_path: Path) -> None:
    """Detaching is asynchronous there: seconds for a certificate, minutes for a policy."""
    folder = joined(tmp_path)
    waits: list[float] = []
    left = {"DeleteCertificate": 2, "DeletePolicy": 3}

    def attached(model: Any, **_: Any) -> tuple[Any, dict[str, Any]] | None:
        left[model.name] -= 1
        error = {"Code": "DeleteConflictException", "Message": "it is attached"}
        return (SimpleNamespace(status_code=409), {"Error": error}) if left[model.name] >= 0 else None

    with ExitStack() as undo:
        for operation in left:
            name = f"before-call.iot.{operation}"
            client("iot").meta.events.register(name, attached, unique_id=name)
            undo.callback(client("iot").meta.events.unregister, name, unique_id=name)
        remove(Line().account(caller=Caller(sleep=waits.append)), THING, folder)
    assert len(waits) == 5
    assert_gone(iot, folder)


def test_a_kill_before_any_change_is_made_good_by_the_same_command(iot: Any, tmp_path: Path) -> None:
    for at in range(2, 9):
        with pytest.raises(Killed):
            joined(tmp_path, Line(kill_at=at))
        assert_in_the_fleet(iot, joined(tmp_path))
        assert len(iot.list_certificates()["certificates"]) == 1
        with pytest.raises(Killed):
            remove(Line(kill_at=at).account(), THING, tmp_path / THING)
        remove(Line().account(), THING, tmp_path / THING)
        assert_gone(iot, tmp_path / THING)
        iot.deprecate_thing_type(thingTypeName=THING_TYPE)
        iot.delete_thing_type(thingTypeName=THING_TYPE)


def test_a_dry_run_shows_the_calls_and_makes_none(iot: Any, tmp_path: Path) -> None:
    line = Line()
    add(line.account(dry_run=True), THING, "canary", ALIAS, tmp_path / THING)
    assert line.said == [
        "create_thing_type",
        "create_thing",
        "create_certificate_from_csr",
        "create_policy",
        "attach_policy",
        "attach_thing_principal",
        "add_thing_to_thing_group",
        "update_certificate",
    ]
    assert_gone(iot, tmp_path / THING)
    folder = joined(tmp_path)
    leaving = Line()
    remove(leaving.account(dry_run=True), THING, folder)
    assert leaving.said[0] == "update_certificate"
    assert_in_the_fleet(iot, folder)


def test_names_of_another_length_are_refused(iot: Any, tmp_path: Path) -> None:
    joined(tmp_path)
    with pytest.raises(InputError, match="Pad the number with zeros"):
        joined(tmp_path, thing="plant-a-00071")
    with pytest.raises(InputError, match="3 to 40"):
        joined(tmp_path, thing="Plant A")
    joined(tmp_path, thing="plant-a-0008")


def test_what_is_missing_or_elsewhere_is_named(iot: Any, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no thing group nowhere"):
        joined(tmp_path, group="nowhere")
    with pytest.raises(NotFoundError, match="deploy the template first"):
        joined(tmp_path, role_alias="other")
    joined(tmp_path)
    with pytest.raises(ConflictError, match="is in canary"):
        joined(tmp_path, group="wave-1")
    with pytest.raises(ConflictError, match="whose key is not in"):
        joined(tmp_path / "elsewhere")


def test_a_changed_policy_becomes_a_new_version_and_old_ones_make_room(iot: Any, tmp_path: Path) -> None:
    joined(tmp_path)
    name = policy_name(THING)
    wanted = iot.get_policy(policyName=name)["policyDocument"]
    for number in range(4):
        iot.create_policy_version(policyName=name, policyDocument=json.dumps({"old": number}), setAsDefault=True)
    joined(tmp_path)
    assert iot.get_policy(policyName=name)["policyDocument"] == wanted
    assert len(iot.list_policy_versions(policyName=name)["policyVersions"]) == 5


def test_the_printed_lines_are_shell_and_the_configurations_yaml(iot: Any, tmp_path: Path) -> None:
    import yaml

    folder = joined(tmp_path)
    for runtime, name in CONFIGURATION_FILES.items():
        configured = yaml.safe_load((folder / name).read_text())
        assert configured["system"]["thingName"] == THING
        (nucleus,) = configured["services"].values()
        assert nucleus["configuration"]["iotRoleAlias"] == ALIAS
        assert name in commands(runtime, THING, folder)
        subprocess.run(["bash", "-n"], input=commands(runtime, THING, folder).encode(), check=True)
