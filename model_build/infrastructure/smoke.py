"""What no fake can prove, on a real account: a few calls of each service, and everything taken away again.

`LINEWATCH_AWS_SMOKE=yes make aws-smoke`, with credentials of an account for trying: one without devices of a fleet. It says first what
it makes and what that costs.
"""

import json
import os
import re
import secrets
import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from linewatch_common.approval import PACKAGE_FOLDER, SIGNATURE_FILE
from linewatch_common.errors import LinewatchError

from model_build.devices.account import Account
from model_build.devices.adding import add
from model_build.devices.removing import remove
from model_build.fleet.calls import Caller
from model_build.fleet.errors import ConflictError, FleetError
from model_build.fleet.s3_store import S3Store
from model_build.infrastructure.machine import text
from model_build.infrastructure.signing import KmsKey
from model_build.packaging.envelope import approve, verify
from model_build.publishing.built import BuiltComponent
from model_build.publishing.publisher import Publisher

SWITCH = "LINEWATCH_AWS_SMOKE"
COST = """\
aws-smoke makes, in the account and region of your credentials, and takes away again:
  one KMS key (P-256)           1 USD a month by the list of 2026, deleted after seven days: about 0.25 USD. Seven days is AWS's least
  one bucket, two objects       under 0.01 USD
  one IoT thing, certificate, policy, thing group, role and role alias     nothing
  one Greengrass component version without artefacts                       nothing
If it is killed, everything that is left has this name in its own: """
MODEL = Path(__file__).parents[2] / "components" / "models" / "SurfaceClassifier"


def main(environ: Mapping[str, str] = os.environ, client: Callable[[str], Any] | None = None) -> int:
    """0 when everything held, 1 when something did not, 2 without the switch."""
    if environ.get(SWITCH) != "yes":
        print(
            f"aws-smoke makes things in a real account, which cost money: set {SWITCH}=yes to mean it", file=sys.stderr
        )
        return 2
    if client is None:
        import boto3  # noqa: PLC0415 - refusing needs no AWS

        client = boto3.client
    name = f"linewatch-smoke-{secrets.token_hex(3)}"
    print(COST + name)
    failed = 0
    for check in (kms, s3, device, component, state_machine):
        with ExitStack() as undo:
            try:
                check(client, name, undo)
                print(f"ok      {check.__name__}: {check.__doc__}")
            except (LinewatchError, AssertionError) as error:
                failed += 1
                print(f"FAILED  {check.__name__}: {error}")
    return 1 if failed else 0


def kms(client: Callable[[str], Any], name: str, undo: ExitStack) -> None:
    """a key in KMS signs a package as a key in a file does (DIGEST)"""
    call, service = Caller(), client("kms")
    made = call(service, "create_key", KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY", Description=name)
    key = made["KeyMetadata"]["KeyId"]
    undo.callback(call, service, "schedule_key_deletion", KeyId=key, PendingWindowInDays=7)
    with TemporaryDirectory() as work:
        place = Path(work)
        shutil.copytree(MODEL, place / PACKAGE_FOLDER)
        held = KmsKey(service, key, call)
        approval = approve(place / PACKAGE_FOLDER, name, "2026-11-22T10:00:00Z")
        (place / SIGNATURE_FILE).write_bytes(held.sign(approval))
        verify(place, held.trusted())


def s3(client: Callable[[str], Any], name: str, undo: ExitStack) -> None:
    """S3 makes an object once and changes it only for who read it last"""
    call, service = Caller(), client("s3")
    bucket = f"{name}-{secrets.token_hex(4)}"
    where = {"LocationConstraint": service.meta.region_name}
    place = {} if service.meta.region_name == "us-east-1" else {"CreateBucketConfiguration": where}
    call(service, "create_bucket", Bucket=bucket, **place)
    undo.callback(call, service, "delete_bucket", Bucket=bucket)
    store = S3Store(service, bucket, "smoke", call)
    undo.callback(call, service, "delete_object", Bucket=bucket, Key="smoke/one")
    store.create("one", b"1")
    _refused(lambda: store.create("one", b"2"))
    found = store.read("one")
    assert found is not None  # noqa: S101 - a check of the account
    store.replace("one", b"3", found[1])
    _refused(lambda: store.replace("one", b"4", found[1]))


def device(client: Callable[[str], Any], name: str, undo: ExitStack) -> None:
    """a device joins, and leaves without a trace"""
    call, iot, iam = Caller(), client("iot"), client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": "credentials.iot.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = call(iam, "create_role", RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    undo.callback(call, iam, "delete_role", RoleName=name)
    call(iot, "create_role_alias", roleAlias=name, roleArn=role)
    undo.callback(call, iot, "delete_role_alias", roleAlias=name)
    call(iot, "create_thing_group", thingGroupName=name)
    undo.callback(call, iot, "delete_thing_group", thingGroupName=name)
    clients = {service: client(service) for service in ("iot", "sts", "greengrassv2")}
    account = Account(clients, call, lambda _: None, dry_run=False)
    with TemporaryDirectory() as work:
        undo.callback(remove, account, name, Path(work) / name)
        add(account, name, name, name, Path(work) / name)
        remove(account, name, Path(work) / name)


def component(client: Callable[[str], Any], name: str, undo: ExitStack) -> None:
    """a component version becomes DEPLOYABLE, and is not made twice"""
    call, service = Caller(), client("greengrassv2")
    component_name = f"com.{name.replace('-', '.')}"
    recipe = {
        "RecipeFormatVersion": "2020-01-25",
        "ComponentName": component_name,
        "ComponentVersion": "1.0.0",
        "Manifests": [
            {"Platform": {"os": "linux", "runtime": "*"}, "Lifecycle": {"run": {"Script": "true"}}, "Artifacts": []}
        ],
    }
    built = BuiltComponent(component_name, "1.0.0", json.dumps(recipe).encode(), (), f"sha256:{'0' * 64}")
    publisher = Publisher(service, None, "", call)
    made = publisher.publish(built)
    undo.callback(call, service, "delete_component", arn=made.arn)
    again = publisher.publish(built)
    assert (made.action, again.action) == ("published", "unchanged"), again  # noqa: S101 - a check of the account


def state_machine(client: Callable[[str], Any], _name: str, _undo: ExitStack) -> None:
    """Step Functions takes the state machine"""
    service = client("stepfunctions")
    filled = _filled(text().decode(), service.meta.partition)
    found = Caller()(service, "validate_state_machine_definition", definition=filled)
    assert found["result"] == "OK", found["diagnostics"]  # noqa: S101 - a check of the account


def _filled(definition: str, partition: str) -> str:
    functions = r"arn:${Partition}:lambda:eu-central-1:123456789012:function:\1"
    return re.sub(r"\$\{(\w+)Function\}", functions, definition).replace("${Partition}", partition)


def _refused(call: Callable[[], object]) -> None:
    try:
        call()
    except ConflictError:
        return
    raise FleetError("S3 let a second writer through")


if __name__ == "__main__":
    sys.exit(main())
