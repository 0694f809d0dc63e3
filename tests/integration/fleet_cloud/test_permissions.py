"""Every call that functions, jobs and the state machine make in a release is one that the template's role for them admits."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from model_build.infrastructure import retraining
from model_build.infrastructure.evaluator import allows
from model_build.infrastructure.retraining import Alert
from model_build.infrastructure.watch import watch
from tests.fakes.greengrassv2.fleet import Kind, Rule
from tests.integration.fleet_cloud import moto_shims
from tests.integration.fleet_cloud.account import (
    COMPONENT,
    FUNCTIONS,
    Account,
    client,
    functions_client,
    opened,
    register_package,
)
from tests.integration.fleet_cloud.test_retraining import MODEL, make_plant, registered_inspector
from tests.unit.model_build.test_infrastructure_policies import role_policies, template

ROLES = {
    "admit": "AdmitRole",
    "compilation": "CompilationFunctionRole",
    "publish": "PublishRole",
    "fleet": "FleetRole",
    "report": "ReportRole",
}
HERE = "eu-central-1:123456789012"
S3_ACTIONS = {
    "HeadObject": "GetObject",
    "ListObjectsV2": "ListBucket",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "ListParts": "ListMultipartUploadParts",
}
# Calls whose resource is not among their parameters, or that AWS asks of none.
ANY_RESOURCE = {
    "CreateDeployment",
    "ListDeployments",
    "GetDeployment",
    "ListCoreDevices",
    "ListComponents",
    "ListModelPackages",
}

# A call's resource by the parameter that names it.
RESOURCES = {
    "arn": "{}",
    "ModelPackageName": "{}",
    "ModelPackageArn": "{}",
    "coreDeviceThingName": f"arn:aws:greengrass:{HERE}:coreDevices:{{}}",
    "thingGroupName": f"arn:aws:iot:{HERE}:thinggroup/{{}}",
    "thingName": f"arn:aws:iot:{HERE}:thing/{{}}",
    "jobId": f"arn:aws:iot:{HERE}:job/{{}}",
    "PipelineName": f"arn:aws:sagemaker:{HERE}:pipeline/{{}}",
    "ProcessingJobName": f"arn:aws:sagemaker:{HERE}:processing-job/{{}}",
    "CompilationJobName": f"arn:aws:sagemaker:{HERE}:compilation-job/{{}}",
    "TopicArn": "Notices",  # as the policy's text names it
    "KeyId": "*",  # in the key's own policy
}


class Asked(NamedTuple):
    """What IAM is asked about one call."""

    role: str
    action: str
    resource: str


def asked(role: str, service: str, operation: str, given: dict[str, Any]) -> Iterator[Asked]:
    """What AWS asks IAM when `role` makes this call."""
    if service == "s3":
        bucket = f"arn:aws:s3:::{given['Bucket'].removeprefix('linewatch-')}"
        action = S3_ACTIONS.get(operation, operation)
        yield Asked(
            role,
            f"s3:{action}",
            bucket if action.startswith("List") and "Key" not in given else f"{bucket}/{given['Key']}",
        )
        return
    prefix = service.removesuffix("v2")
    yield Asked(role, f"{prefix}:{operation}", resource(prefix, operation, given))
    if "tags" in given:
        kind = "deployments:x" if operation == "CreateDeployment" else "components:x"
        yield Asked(role, f"{prefix}:TagResource", f"arn:aws:{prefix}:{HERE}:{kind}")


def resource(service: str, operation: str, given: dict[str, Any]) -> str:
    """The ARN that a call is about."""
    if operation in ANY_RESOURCE:
        return "*"
    if "inlineRecipe" in given:
        return f"arn:aws:greengrass:{HERE}:components:{json.loads(given['inlineRecipe'])['ComponentName']}"
    [form, value] = next(([form, given[name]] for name, form in RESOURCES.items() if name in given), ["", ""])
    assert form, f"{service} {operation} {sorted(given)} is not known here"
    return form.format(value)


class Watched(Account):
    """Notes what each role is asked for."""

    role = ""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.asked: set[Asked] = set()

    def hear(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        if self.role:
            self.asked |= set(asked(self.role, model.service_model.service_name, model.name, params))

    @contextmanager
    def as_role(self, role: str) -> Iterator[None]:
        before, self.role = self.role, role
        yield
        self.role = before

    def task(self, resource: str, parameters: dict[str, Any]) -> Any:
        if "aws-sdk:sagemaker" in resource:
            operation = resource.rpartition(":")[2]
            self.asked |= set(asked("ReleaseRole", "sagemaker", operation[0].upper() + operation[1:], parameters))
        with self.as_role(ROLES.get(resource, "")):
            return super().task(resource, parameters)

    def run_job(self, application: dict[str, Any]) -> bool:
        with self.as_role("ReleaseJobRole"):
            return super().run_job(application)

    def deliver(self, event: Any) -> dict[str, Any] | None:
        with self.as_role("StarterRole"):
            return super().deliver(event)


@contextmanager
def heard(hear: Callable[..., None], *clients: Any) -> Iterator[None]:
    """`hear` is told of each call of these clients."""
    with ExitStack() as undo:
        for each in clients:
            name = "provide-client-params.*.*"
            each.meta.events.register(name, hear, unique_id="permissions")
            undo.callback(each.meta.events.unregister, name, unique_id="permissions")
        yield


@pytest.fixture
def account(aws: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    moto_shims.install(monkeypatch)
    with opened(Watched) as account:
        shared = [functions_client(name) for name in ("s3", "sagemaker", "sns", "kms")]
        with heard(account.hear, *shared, account.client("greengrassv2"), account.client("iot")):
            yield account


def refused(everything: set[Asked]) -> list[Asked]:
    """What the template's policies do not admit."""
    return sorted(
        each for each in everything if not allows(_documents(each.role, each.action), each.action, each.resource)
    )


def _documents(role: str, action: str) -> list[dict[str, Any]]:
    """The role's own, and for a key its policy, which names the role."""
    if not action.startswith("kms:"):
        return role_policies(role)
    statements = template()["Resources"]["SigningKey"]["Properties"]["KeyPolicy"]["Statement"]
    return [{"Statement": [each for each in statements if role in each["Principal"]["AWS"]]}]


def test_a_release_with_a_compilation_asks_for_nothing_that_its_roles_may_not_do(account: Watched) -> None:
    account.neo_architecture = "X86_64"
    _, outcome = account.release()
    assert outcome["status"] == "deployed"
    assert refused(account.asked) == []
    heard_of = {each.role for each in account.asked}
    assert heard_of == {*(ROLES[name] for name in FUNCTIONS), "StarterRole", "ReleaseJobRole", "ReleaseRole"}
    assert {"kms:Sign", "greengrass:TagResource", "s3:PutObject"} <= {each.action for each in account.asked}


def may(who: str) -> set[str]:
    """The actions that the fleet's page tells a person to be allowed; "greengrass", "iot" and "s3" before the colon."""
    services = {"Greengrass": "greengrass", "AWS IoT": "iot"}
    rows = (line.split("|") for line in Path("docs/fleet.md").read_text().splitlines() if line.startswith(f"| {who} |"))
    return {
        f"{services.get(row[2].strip(), 's3')}:{name}" for row in rows for name in re.findall(r"`([A-Z]\w+)`", row[3])
    }


def test_neither_does_one_that_is_taken_back(account: Watched) -> None:
    first = account.backend.groups["plant-a-canary"][0]
    account.backend.devices[first].rules.append(Rule(Kind.BROKEN, COMPONENT, "1.0.0"))
    _, outcome = account.release()
    assert outcome["status"] == "rolled back"
    assert refused(account.asked) == []
    did = {role: {each.action for each in account.asked if each.role == role} for role in ROLES.values()}
    assert did["FleetRole"] <= may("deploys"), "people do by hand what the function does"
    assert {each for each in did["PublishRole"] if each.startswith("greengrass:")} <= may("publishes")


def test_nor_do_the_daily_looks_and_a_training_that_an_alert_starts(aws: None) -> None:
    plant = make_plant()
    register_package("linewatch-surface-inspector", registered_inspector().to_properties())
    everything: set[Asked] = set()

    def watched(role: str, run: Callable[[], object]) -> None:
        def hear(params: dict[str, Any], model: Any, **_: Any) -> None:
            everything.update(asked(role, model.service_model.service_name, model.name, params))

        with heard(hear, *(client(name) for name in ("s3", "sagemaker", "iot"))):
            run()

    watched("DriftRole", plant.day)
    watched("WatchRole", lambda: watch(plant.services))
    plant.now += timedelta(hours=1)  # the devices fell silent: IoT is asked whether they still exist
    watched("WatchRole", lambda: watch(plant.services))
    alert = Alert(fleet="plant-a", model=MODEL, kind="drift", day="2026-11-27", reason="scores moved")
    watched("RetrainRole", lambda: retraining.start(plant.services, {"detail": msgspec.to_builtins(alert)}))
    assert refused(everything) == []
    assert {"iot:DescribeThing", "sagemaker:StartPipelineExecution", "sagemaker:DescribeModelPackage"} <= {
        each.action for each in everything
    }
    bus = f"arn:aws:events:{HERE}:event-bus/default"
    assert allows(role_policies("DriftRole"), "events:PutEvents", bus)
    [source] = {
        statement["Condition"]["StringEquals"]["events:source"]
        for document in role_policies("DriftRole")
        for statement in document["Statement"]
        if "Condition" in statement
    }
    assert (
        source == retraining.SOURCE == template()["Resources"]["AlertRule"]["Properties"]["EventPattern"]["source"][0]
    )
