"""What a device's role and policy cannot do, by the generated documents; and no bare star without a reason."""

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from linewatch_common.errors import InputError

import model_build.devices.policy as device_policies
from model_build.devices.policy import MAX_POLICY_BYTES, Place, check_name, device_policy
from model_build.infrastructure.evaluator import allows
from model_build.infrastructure.services import HEALTH_PREFIX
from model_build.pipelines.plans import CONTAINERS, PIPELINES

TEMPLATE = Path("model_build/infrastructure/template.yaml")
PLACE = Place("123456789012", "eu-central-1")
OWN, OTHER = "plant-a-0007", "plant-a-0008"
IOT = "arn:aws:iot:eu-central-1:123456789012:"
ARNS = {"ComponentBucket": "components", "CaptureBucket": "captures", "FleetBucket": "fleet", "ModelBucket": "models"}


class Loader(yaml.SafeLoader):
    """CloudFormation's short forms: !Sub and !Ref give their text, !GetAtt the resource's ARN."""


def _text(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    assert isinstance(node, yaml.ScalarNode)
    return f"${{{node.value}}}" if suffix in {"Ref", "GetAtt"} else node.value


Loader.add_multi_constructor("!", _text)


@cache
def template() -> dict[str, Any]:
    """The template with its functions left as texts."""
    loaded: dict[str, Any] = yaml.load(TEMPLATE.read_text(), Loader)  # noqa: S506 - a SafeLoader
    return loaded


def resolved(text: str) -> str:
    """A resource of the template as an ARN of PLACE; what AWS fills in at a request stays a variable."""
    text = re.sub(r"\$\{(\w+)\.Arn\}", lambda match: f"arn:aws:s3:::{ARNS.get(match[1], match[1])}", text)
    values = {
        "AWS::Partition": "aws",
        "AWS::Region": PLACE.region,
        "AWS::AccountId": PLACE.account,
        "Prefix": "linewatch",
    }
    text = re.sub(r"\$\{([A-Za-z:]+)\}", lambda match: values.get(match[1], match[1]), text)
    return text.replace("${!", "${")


def role_policies(role: str) -> list[dict[str, Any]]:
    """The role's documents with resolved resources."""
    documents = deepcopy([each["PolicyDocument"] for each in template()["Resources"][role]["Properties"]["Policies"]])
    for document in documents:
        for statement in document["Statement"]:
            resource = statement["Resource"]
            statement["Resource"] = [
                resolved(each) for each in (resource if isinstance(resource, list) else [resource])
            ]
    return documents


def device(thing: str = OWN) -> list[dict[str, Any]]:
    return [json.loads(device_policy(PLACE, thing, "linewatch-token-exchange"))]


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("iot:Connect", "client/{thing}"),
        ("iot:Connect", "client/{thing}#2"),
        ("iot:Publish", "topic/linewatch/fleet/{thing}/health"),
        ("iot:Publish", "topic/$aws/things/{thing}/greengrassv2/health/json"),
        ("iot:Publish", "topic/$aws/things/{thing}/jobs/42/update"),
        ("iot:Receive", "topic/$aws/things/{thing}/jobs/notify-next"),
        ("iot:Receive", "topic/$aws/things/{thing}/shadow/name/AWSManagedGreengrassV2Deployment/update/accepted"),
        ("iot:Subscribe", "topicfilter/$aws/things/{thing}/jobs/notify-next"),
        ("iot:Subscribe", "topicfilter/$aws/things/{thing}/shadow/update/delta"),
        ("iot:GetThingShadow", "thing/{thing}"),
    ],
)
def test_a_device_may_use_its_own_and_no_others(action: str, resource: str) -> None:
    assert allows(device(), action, IOT + resource.format(thing=OWN))
    for other in (OTHER, "+", "#", "*"):
        assert not allows(device(), action, IOT + resource.format(thing=other))


def test_a_device_cannot_hear_all_of_a_kind_or_forge_the_answers_of_the_fleet() -> None:
    for resource in ("topicfilter/#", "topicfilter/$aws/things/+/shadow/#", "topicfilter/linewatch/fleet/+/health"):
        assert not allows(device(), "iot:Subscribe", IOT + resource)
    assert not allows(device(), "iot:UpdateThing", IOT + f"thing/{OWN}")
    assert not allows(device(), "iot:CreateJob", IOT + "job/1")


@pytest.mark.parametrize(
    ("action", "key", "own", "other"),
    [
        ("s3:PutObject", "captures/captures/{thing}/linewatch/model/1.jsonl", True, False),
        ("s3:GetObject", "captures/captures/{thing}/linewatch/model/1.jsonl", False, False),
        ("s3:DeleteObject", "captures/captures/{thing}/linewatch/model/1.jsonl", False, False),
        ("s3:ListBucket", "captures", False, False),
        ("s3:GetObject", "fleet/health/{thing}.json", False, False),
        ("s3:PutObject", "fleet/health/{thing}.json", False, False),
        ("s3:PutObject", "components/com.linewatch.Camera/1.0.0/camera.zip", False, False),
        ("s3:GetObject", "components/com.linewatch.Camera/1.0.0/camera.zip", True, True),
    ],
)
def test_the_token_exchange_role_is_the_devices_own(action: str, key: str, own: bool, other: bool) -> None:
    for thing, expected in ((OWN, own), (OTHER, other), ("", other), (f"{OWN}0", other)):
        variables = {"credentials-iot:ThingName": OWN}
        found = allows(role_policies("TokenExchangeRole"), action, f"arn:aws:s3:::{key.format(thing=thing)}", variables)
        assert found is expected, thing
    if "{thing}" in key:
        assert not allows(role_policies("TokenExchangeRole"), action, f"arn:aws:s3:::{key.format(thing=OWN)}", {})


def test_the_role_that_trains_cannot_approve_and_the_one_that_reports_cannot_deploy() -> None:
    package = "arn:aws:sagemaker:eu-central-1:123456789012:model-package/linewatch-surface-classifier/7"
    assert allows(role_policies("TrainingRole"), "sagemaker:DescribeModelPackage", package)
    assert not allows(role_policies("TrainingRole"), "sagemaker:UpdateModelPackage", package)
    assert not allows(role_policies("ReportRole"), "greengrass:CreateDeployment", "*")


@pytest.mark.parametrize("action", ["CreateJob", "DescribeJob", "UpdateJob", "CancelJob"])
def test_the_deployer_may_do_what_create_deployment_does_in_its_name(action: str) -> None:
    assert allows(role_policies("FleetRole"), f"iot:{action}", IOT + "job/1")
    for shadow in ("DescribeThing", "GetThingShadow", "UpdateThingShadow", "DeleteThingShadow"):
        assert allows(role_policies("FleetRole"), f"iot:{shadow}", IOT + f"thing/{OWN}")


def test_what_a_pipeline_registers_by_default_is_what_an_approval_releases() -> None:
    groups = [plan.group for plan in PIPELINES.values()]
    detail = template()["Resources"]["ApprovedRule"]["Properties"]["EventPattern"]["detail"]
    assert sorted(resolved(name) for name in detail["ModelPackageGroupName"]) == sorted(groups)
    for group in groups:
        arn = f"arn:aws:sagemaker:eu-central-1:123456789012:model-package-group/{group}"
        assert allows(role_policies("TrainingRole"), "sagemaker:CreateModelPackage", arn)


def test_the_key_lets_the_stack_name_it_and_nobody_but_the_job_sign() -> None:
    """What a key's own policy does not hand on to IAM, no role in the account can be given: CreateAlias is asked of the key, too."""
    statements = template()["Resources"]["SigningKey"]["Properties"]["KeyPolicy"]["Statement"]
    account = [{"Statement": [each for each in statements if "root" in each["Principal"]["AWS"]]}]
    for action in ("PutKeyPolicy", "DescribeKey", "CreateAlias", "UpdateAlias", "DeleteAlias", "ScheduleKeyDeletion"):
        assert allows(account, f"kms:{action}", "*"), action
    for action in ("Sign", "CreateGrant"):
        assert not allows(account, f"kms:{action}", "*"), action


def test_what_stays_when_the_stack_goes_does_not_stay_when_it_could_not_be_made() -> None:
    """Else its names are taken, and the next try fails by them."""
    kept = {name: each for name, each in template()["Resources"].items() if "DeletionPolicy" in each}
    assert len(kept) == 8
    assert {each["DeletionPolicy"] for each in kept.values()} == {"RetainExceptOnCreate"}
    assert {each["UpdateReplacePolicy"] for each in kept.values()} == {"Retain"}


def test_the_training_role_may_fetch_the_containers_that_the_pipelines_run_by_default() -> None:
    for name, _, _ in CONTAINERS.values():
        image = f"arn:aws:ecr:eu-central-1:763104351884:repository/{name}-training"
        for action in ("BatchGetImage", "GetDownloadUrlForLayer", "BatchCheckLayerAvailability"):
            assert allows(role_policies("TrainingRole"), f"ecr:{action}", image), name


def test_the_training_role_may_do_what_a_compilation_in_the_pipeline_does() -> None:
    job = "arn:aws:sagemaker:eu-central-1:123456789012:compilation-job/linewatch-0123456789abcdef-linux-x86-64"
    for action in ("CreateCompilationJob", "DescribeCompilationJob", "StopCompilationJob"):
        assert allows(role_policies("TrainingRole"), f"sagemaker:{action}", job), action
    assert allows(role_policies("TrainingRole"), "s3:GetBucketLocation", "arn:aws:s3:::models")


@pytest.mark.parametrize("role", ["TrainingRole", "ReleaseJobRole", "CompilationRole"])
def test_every_job_of_sagemaker_may_log_and_count(role: str) -> None:
    """As the API reference asks of the role that a job is given."""
    group = "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/sagemaker/CompilationJobs"
    for action in ("CreateLogGroup", "CreateLogStream", "PutLogEvents"):
        assert allows(role_policies(role), f"logs:{action}", f"{group}:log-stream:x"), action
    assert allows(role_policies(role), "cloudwatch:PutMetricData", "*")


def test_a_device_makes_log_groups_and_writes_into_its_own_streams_alone() -> None:
    """As aws.greengrass.LogManager does; a group is made, and its streams are listed, without naming a stream."""
    group = "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/greengrass/UserComponent/eu-central-1/com.linewatch.Camera"
    role, variables = role_policies("TokenExchangeRole"), {"credentials-iot:ThingName": OWN}
    for action in ("CreateLogGroup", "DescribeLogStreams"):
        assert allows(role, f"logs:{action}", f"{group}:log-stream:", variables), action
    for action in ("CreateLogStream", "PutLogEvents"):
        assert allows(role, f"logs:{action}", f"{group}:log-stream:/2026/11/27/thing/{OWN}", variables)
        assert not allows(role, f"logs:{action}", f"{group}:log-stream:/2026/11/27/thing/{OTHER}", variables)


@pytest.mark.parametrize(
    ("uri", "taken"),
    [
        ("", True),
        ("s3://linewatch-models-123456789012-eu-central-1/raw", True),
        (
            "s3://linewatch-captures-123456789012-eu-central-1/captures/plant-a-0007/Plant-A/SurfaceInspector-1-0-0",
            True,
        ),
        ("s3://Bucket/raw", False),
        ("/raw", False),
    ],
)
def test_an_alert_may_train_on_whatever_a_pipeline_takes(uri: str, taken: bool) -> None:
    pattern = template()["Parameters"]["RetrainingData"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, uri)) is taken


def test_names_of_one_length_and_a_policy_that_fits() -> None:
    check_name(OWN, [OTHER, "plant-b-0001"])
    for name, reason in (("plant-a-00071", "one length"), ("a", "3 to 40"), ("x" * 41, "3 to 40"), ("A-01", "a-z")):
        with pytest.raises(InputError, match=reason):
            check_name(name, [OTHER])
    long = Place("123456789012", "us-gov-east-1", "aws-us-gov")
    assert len("".join(device_policy(long, "x" * 40, "linewatch-token-exchange").decode().split())) <= MAX_POLICY_BYTES
    assert device_policy(PLACE, OWN, "alias") == device_policy(PLACE, OWN, "alias")
    with pytest.raises(InputError, match="2048"):
        device_policy(PLACE, OWN, "x" * 900)


def test_the_evaluator_denies_first_and_takes_a_variable_literally() -> None:
    allow = {"Effect": "Allow", "Action": "s3:Get*", "Resource": "arn:b/${who}/*"}
    deny = {"Effect": "Deny", "Action": ["s3:*"], "Resource": ["arn:b/a/secret?"]}
    documents = [{"Statement": [allow, deny]}]
    assert allows(documents, "s3:getobject", "arn:b/a/1", {"who": "a"})
    assert not allows(documents, "s3:GetObject", "arn:b/a/secret1", {"who": "a"})
    assert not allows(documents, "s3:GetObject", "arn:b/c/1", {"who": "*"})
    assert not allows(documents, "s3:GetObject", "arn:b//1", {})
    with pytest.raises(ValueError, match="NotAction"):
        allows([{"Statement": [{"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"}]}], "s3:GetObject", "x")


def test_health_is_written_by_the_stream_alone_and_cannot_become_state() -> None:
    report, plan = (
        "arn:aws:s3:::fleet/health/2026/11/22/10/linewatch-health-1-x",
        "arn:aws:s3:::fleet/fleets/plant-a/current.json",
    )
    assert allows(role_policies("HealthStreamRole"), "s3:PutObject", report)
    assert not allows(role_policies("HealthStreamRole"), "s3:PutObject", plan)
    assert not allows(role_policies("HealthStreamRole"), "s3:GetObject", report)
    assert not allows(role_policies("HealthRole"), "s3:PutObject", report)
    for role in ("FleetRole", "WatchRole"):
        assert allows(role_policies(role), "s3:GetObject", report)
        assert not allows(role_policies(role), "s3:PutObject", report)
    assert allows(role_policies("WatchRole"), "s3:PutObject", "arn:aws:s3:::fleet/health/heard.json")
    assert not allows(role_policies("WatchRole"), "s3:PutObject", plan)


def test_the_rule_names_the_device_by_its_topic_and_ends_each_report_with_a_line() -> None:
    resources = template()["Resources"]
    payload = resources["HealthRule"]["Properties"]["TopicRulePayload"]
    assert payload["Sql"] == "SELECT encode(*, 'base64') AS report, topic(3) AS device FROM 'linewatch/fleet/+/health'"
    assert payload["Actions"][0]["Firehose"]["Separator"] == "\n"
    destination = resources["HealthStream"]["Properties"]["ExtendedS3DestinationConfiguration"]
    assert destination["Prefix"] == HEALTH_PREFIX + "!{timestamp:yyyy/MM/dd/HH}/", "what StreamReports lists"
    assert destination["CompressionFormat"] == "UNCOMPRESSED"


def test_no_bare_star_without_a_reason() -> None:
    without = [line for line in bare_stars(TEMPLATE.read_text()) if "#" not in line]
    assert without == []
    source = Path(str(device_policies.__file__)).read_text()
    assert all("# " in line for line in source.splitlines() if re.search(r'"\*"', line))
    assert list(bare_stars('Action: "*"\nResource: ["*"]\n  - "s3:*"\n'))  # the search finds what it looks for


def bare_stars(text: str) -> Iterator[str]:
    """Lines with a `*` of their own in an action or a resource, or with all of a service; a Deny may name everything."""
    for line in re.sub(r'Effect: Deny\n(.*\n){1,3}?\s+Action: "s3:\*"', "", text).splitlines():
        if re.search(r"""(Action|Resource): ?\[?["']\*["']|^\s*- ["']?\*["']?\s*(#|$)|["'][a-z0-9]+:\*["']""", line):
            yield line
