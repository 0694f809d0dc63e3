"""An account in moto and the greengrassv2 fake, with a fleet of simulated devices, the template's parts, and a registered model."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import boto3
import yaml
from botocore.config import Config
from linewatch_common.manifest import load_manifest, manifest_digest
from moto.events.models import EventPattern
from moto.s3.models import s3_backends

from model_build.fleet.calls import Caller
from model_build.infrastructure import compiling, releasing, rings, starter
from model_build.infrastructure.job import ReleaseJob, arguments, explained
from model_build.infrastructure.machine import MAX_TURNS
from model_build.infrastructure.services import Services
from model_build.infrastructure.signing import KmsKey
from model_build.packaging.draft import write_manifest
from model_build.packaging.tarball import pack, unpack
from model_build.pipelines import registered
from tests.fakes.botocore_checks import check_request
from tests.fakes.greengrassv2.backend import Backend
from tests.fakes.greengrassv2.fleet import Device
from tests.fakes.greengrassv2.names import group_arn
from tests.fakes.greengrassv2.reports import send_reports, stream_line
from tests.fakes.greengrassv2.server import serving
from tests.fakes.greengrassv2.state import SimulatedClock
from tests.fakes.state_machines import Execution, StateMachines, TaskFailed
from tests.unit.model_build.test_infrastructure_policies import Loader

PACKAGE = Path("components/models/SurfaceClassifier")
NEO = Path("tests/data/models/neo/net")
COMPONENT, OLD = "com.linewatch.model.SurfaceClassifier", "0.9.0"
GROUP = "linewatch-surface-classifier"
OTHERS = {"com.linewatch.Inspector": "1.0.0", "com.plant.Conveyor": "3.1.0"}
RINGS = {"canary": 5, "wave-1": 15, "wave-2": 30}
COMPONENTS, MODELS, FLEET = "linewatch-components", "linewatch-models", "linewatch-fleet"
FUNCTIONS = {
    "admit": releasing.admit,
    "compilation": compiling.request,
    "publish": releasing.publish,
    "fleet": rings.step,
    "report": releasing.report,
}
SHA = "a" * 64
IMAGE = f"123456789012.dkr.ecr.eu-central-1.amazonaws.com/linewatch-jobs@sha256:{SHA}"
STATE_MACHINE = "arn:aws:states:eu-central-1:123456789012:stateMachine:linewatch-release"


@cache
def client(service: str) -> Any:
    """The test's own; a client takes half a second to make."""
    return boto3.client(service)


@cache
def functions_client(service: str) -> Any:
    """What our functions and jobs get."""
    made = boto3.client(service)
    return checked(made)


def checked(made: Any) -> Any:
    """The client, each of whose requests must be what botocore's model admits, enums and patterns too."""

    def check(params: dict[str, Any], model: Any, **_: Any) -> None:
        check_request(model.service_model.service_name, model.name, params)

    made.meta.events.register("provide-client-params.*.*", check)
    return made


@cache
def rule_pattern() -> str:
    """The rule's event pattern as the template has it."""
    rule = yaml.load(Path("model_build/infrastructure/template.yaml").read_text(), Loader)["Resources"]["ApprovedRule"]  # noqa: S506
    return json.dumps(rule["Properties"]["EventPattern"]).replace("${Prefix}", "linewatch")


class Neo:
    """Compilation jobs: the input is read, and after some looks a result of DLR's layout lies where it was asked for."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.looks: dict[str, int] = {}
        self.ends = "COMPLETED"
        self.takes = 3

    def create(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["CompilationJobName"] in self.jobs:
            raise TaskFailed("SageMaker.ResourceInUseException", "the job exists")
        bucket, _, key = request["InputConfig"]["S3Uri"].removeprefix("s3://").partition("/")
        with TemporaryDirectory() as work:
            Path(work, "in.tar.gz").write_bytes(client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())
            unpack(Path(work, "in.tar.gz"), Path(work, "in"))
            [model] = Path(work, "in").iterdir()
            assert model.read_bytes() == (PACKAGE / "model.onnx").read_bytes()
        self.jobs[request["CompilationJobName"]] = request
        self.looks[request["CompilationJobName"]] = 0
        return {}

    def describe(self, name: str) -> dict[str, Any]:
        self.looks[name] += 1
        if self.looks[name] < self.takes:
            return {"CompilationJobStatus": "INPROGRESS"}
        if self.ends != "COMPLETED":
            return {"CompilationJobStatus": self.ends, "FailureReason": "opset 17 is not supported"}
        output = self.jobs[name]["OutputConfig"]["S3OutputLocation"] + "source-LINUX_X86_64.tar.gz"
        bucket, _, key = output.removeprefix("s3://").partition("/")
        with TemporaryDirectory() as work:
            pack(NEO, Path(work, "out.tar.gz"))
            client("s3").put_object(Bucket=bucket, Key=key, Body=Path(work, "out.tar.gz").read_bytes())
        return {"CompilationJobStatus": "COMPLETED", "ModelArtifacts": {"S3ModelArtifacts": output}}


class Account:
    """`backend` is Greengrass with the fleet; `clock` is everybody's."""

    def __init__(self, backend: Backend, clock: SimulatedClock, url: str) -> None:
        self.backend = backend
        self.clock = clock
        self.key = client("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
        self.topic = client("sns").create_topic(Name="linewatch-notices")["TopicArn"]
        for bucket in (COMPONENTS, MODELS, FLEET):
            client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        self.greengrass = boto3.client("greengrassv2", endpoint_url=url)
        once = Config(retries={"total_max_attempts": 1})  # botocore's own retries sleep for real
        self._clients = {name: boto3.client(name, endpoint_url=url, config=once) for name in ("greengrassv2", "iot")}
        self.state_machine = ""
        self.finished: dict[str, bool] = {}
        self.on_sleep: Callable[[], None] = lambda: None
        self.jobs: list[dict[str, Any]] = []
        self.package = TemporaryDirectory()
        self.neo = Neo()
        self.neo_architecture = ""
        self.refusals: list[str] = []

    def client(self, service: str) -> Any:
        if service == "stepfunctions":
            return self.machines
        return self._clients.get(service) or functions_client(service)

    @property
    def services(self) -> Services:
        return Services(
            client=self.client,
            fleet="plant-a",
            fleet_bucket=FLEET,
            component_bucket=COMPONENTS,
            clock=self.clock,
            sleep=self.sleep,
            topic=self.topic,
            state_machine=self.state_machine,
            neo_architecture=self.neo_architecture,
        )

    def sleep(self, seconds: float) -> None:
        """Time passes; devices report meanwhile."""
        self.on_sleep()
        self.clock.advance(seconds)
        if seconds >= 10:
            self.report()

    def report(self) -> None:
        """What the IoT rule and the delivery stream make of each device's newest report."""
        lines = []
        send_reports(self.backend, lambda thing, data: lines.append(stream_line(thing, data)))
        key = f"health/{self.clock():%Y/%m/%d/%H}/linewatch-health-1"
        s3_backends["123456789012"]["aws"].put_object(FLEET, key, b"".join(lines))

    def put(self, key: str, data: bytes, bucket: str = FLEET) -> None:
        client("s3").put_object(Bucket=bucket, Key=key, Body=data)

    def get(self, key: str) -> Any:
        return json.loads(client("s3").get_object(Bucket=FLEET, Key=key)["Body"].read())

    def keys(self, prefix: str) -> list[str]:
        return [entry["Key"] for entry in client("s3").list_objects_v2(Bucket=FLEET, Prefix=prefix).get("Contents", [])]

    # The fleet.

    def make_fleet(self) -> None:
        """Three rings, each with a deployment that somebody made before, and its configuration in the bucket."""
        for name, version in {COMPONENT: OLD, **OTHERS}.items():
            self.backend.add_component(name, version)
        number = 0
        for ring, count in RINGS.items():
            for _ in range(count):
                number += 1
                born = self.clock() - timedelta(days=1)
                self.backend.add_device(
                    Device(f"plant-a-{number:04d}", born, {COMPONENT: OLD, **OTHERS}), f"plant-a-{ring}"
                )
            self.deploy(ring)
        self.clock.advance(3600)
        self.configure({})
        self.report()

    def configure(self, gate: dict[str, Any]) -> None:
        """The fleet's rings, with a quick gate."""
        rows = [{"name": ring, "thing_group": f"plant-a-{ring}"} for ring in RINGS]
        wanted = {"watch_minutes": 2, "report_minutes": 10, "hold_minutes": 60, "minimum_parts": 100, **gate}
        self.put(
            "fleets/plant-a/fleet.json",
            json.dumps(
                {"schema": "linewatch.Fleet/1", "name": "plant-a", "rings": rows, "gate": wanted, "install_minutes": 10}
            ).encode(),
        )

    def deploy(self, ring: str, version: str = OLD) -> str:
        """As a person does by hand."""
        components = {name: {"componentVersion": number} for name, number in {COMPONENT: version, **OTHERS}.items()}
        components[COMPONENT]["configurationUpdate"] = {"merge": '{"Station":"line7"}'}  # type: ignore[assignment]  # as the API nests
        made = self.greengrass.create_deployment(
            targetArn=group_arn(f"plant-a-{ring}"), deploymentName=f"by hand {ring}", components=components
        )
        identifier: str = made["deploymentId"]
        return identifier

    def standing(self, ring: str) -> dict[str, Any]:
        """The ring's latest deployment."""
        (latest,) = self.greengrass.list_deployments(targetArn=group_arn(f"plant-a-{ring}"))["deployments"]
        found: dict[str, Any] = self.greengrass.get_deployment(deploymentId=latest["deploymentId"])
        return found

    def versions(self, ring: str) -> set[str]:
        """Of the component, on the ring's devices now."""
        running = (
            self.backend.devices[thing].running(self.clock())[0] for thing in self.backend.groups[f"plant-a-{ring}"]
        )
        return {components[COMPONENT] for components in running}

    # The model.

    def register(self, *, metrics: bool = True, **changed: str) -> str:
        """A model package that waits for approval; returns its ARN. Without `metrics` nobody evaluated its model."""
        place = Path(self.package.name)
        if not (place / "package").exists():
            shutil.copytree(PACKAGE, place / "package")
            if not metrics:
                fields = json.loads((PACKAGE / "manifest.json").read_text())
                write_manifest(place / "package", {**fields, "metrics": {}})
            pack(place, place / "package.tar.gz")
        archive = (place / "package.tar.gz").read_bytes()
        self.put("packages/classifier.tar.gz", archive, MODELS)
        manifest = load_manifest(PACKAGE)
        wanted = {
            "model": manifest.name,
            "component": COMPONENT,
            "version": manifest.version,
            "package_uri": f"s3://{MODELS}/packages/classifier.tar.gz",
            "package_sha256": hashlib.sha256(archive).hexdigest(),
            "manifest_digest": manifest_digest(place / "package"),
            "data_digest": SHA,
            "code_digest": SHA,
            "report_uri": f"s3://{MODELS}/report.html",
        }
        properties = registered.make(**{**wanted, **changed}, artefacts={"model": SHA}).to_properties()
        return register_package(GROUP, properties)

    def approve(self, arn: str) -> dict[str, Any]:
        """A person's approval: the registry's change, and EventBridge's event about it."""
        found = client("sagemaker").describe_model_package(ModelPackageName=arn)
        client("sagemaker").update_model_package(
            ModelPackageArn=arn,
            ModelApprovalStatus="Approved",
            CustomerMetadataProperties=found["CustomerMetadataProperties"],
        )
        return self.event(arn, ["ModelApprovalStatus"])

    def event(self, arn: str, fields: list[str]) -> dict[str, Any]:
        """As EventBridge delivers a change of the model package."""
        found = client("sagemaker").describe_model_package(ModelPackageName=arn)
        return {
            "id": "844e2571-85d4-695f-b930-0153b71dcb42",
            "source": "aws.sagemaker",
            "detail-type": "SageMaker Model Package State Change",
            "time": self.clock().strftime("%Y-%m-%dT%H:%M:%SZ"),
            "account": "123456789012",
            "region": "eu-central-1",
            "resources": [arn],
            "detail": {
                "ModelPackageGroupName": GROUP,
                "ModelPackageArn": arn,
                "ModelApprovalStatus": found["ModelApprovalStatus"],
                "UpdatedModelPackageFields": fields,
                "CustomerMetadataProperties": found["CustomerMetadataProperties"],
            },
        }

    def deliver(self, event: Any) -> dict[str, Any] | None:
        """The rule, then the starter; None when the rule does not match."""
        if not EventPattern.load(rule_pattern()).matches_event(event):
            return None
        return starter.start(self.services, event)

    # The state machine.

    def make_state_machine(self, turns: int = MAX_TURNS) -> None:
        values = {f"{name.capitalize()}Function": name for name in FUNCTIONS}
        values |= {"JobImage": IMAGE, "SigningKey": self.key, "JobRole": "arn:aws:iam::123456789012:role/job"}
        values |= {"ComponentBucket": COMPONENTS, "FleetBucket": FLEET, "NeoArchitecture": "X86_64"}
        values |= {"CompilationRole": "arn:aws:iam::123456789012:role/compilation"}
        values |= {"Partition": "aws", "Region": "eu-central-1"}
        text = Path("model_build/infrastructure/release.asl.json").read_text()
        for variable, value in values.items():
            text = text.replace(f"${{{variable}}}", value)
        text = text.replace(f'"NumericGreaterThanEquals": {MAX_TURNS}', f'"NumericGreaterThanEquals": {turns}')
        self.state_machine = STATE_MACHINE
        self.machines = StateMachines(json.loads(text), STATE_MACHINE, self.task, self.sleep)

    def task(self, resource: str, parameters: dict[str, Any]) -> Any:
        """What Step Functions calls: our functions, and AWS's services in its own casing."""
        if resource in FUNCTIONS:
            try:
                return json.loads(json.dumps(FUNCTIONS[resource](self.services, json.loads(json.dumps(parameters)))))
            except Exception as error:  # as Lambda does with any error of a function
                raise TaskFailed(type(error).__name__, json.dumps({"errorMessage": str(error)})) from error
        if resource == "arn:aws:states:::states:startExecution":
            return self.machines.start_execution(STATE_MACHINE, parameters["Name"], json.dumps(parameters["Input"]))
        operation = resource.removeprefix("arn:aws:states:::aws-sdk:sagemaker:")
        check_request("sagemaker", operation[0].upper() + operation[1:], parameters)
        if operation == "createCompilationJob":
            return self.neo.create(parameters)
        if operation == "describeCompilationJob":
            return self.neo.describe(parameters["CompilationJobName"])
        if operation == "createProcessingJob":
            if parameters["ProcessingJobName"] in self.finished:
                raise TaskFailed("SageMaker.ResourceInUseException", "the job exists")
            self.finished[parameters["ProcessingJobName"]] = self.run_job(parameters["AppSpecification"])
            return {}
        return {"ProcessingJobStatus": "Completed" if self.finished[parameters["ProcessingJobName"]] else "Failed"}

    def run_job(self, application: dict[str, Any]) -> bool:
        """The processing job, in this process, with a builder that needs no wheels."""
        self.jobs.append(application)
        options = arguments(application["ContainerArguments"])
        call, s3 = Caller(self.sleep), functions_client("s3")
        job = ReleaseJob(
            s3=s3,
            key=KmsKey(functions_client("kms"), self.key, call),
            releases=self.services.releases,
            bucket=COMPONENTS,
            call=call,
            build=small_build,
            evaluate=lambda library, _model, _work: self.refusals if library.is_file() else ["no library"],
        )
        with TemporaryDirectory() as work:
            return explained(job, self.services.releases, options, Path(work), Path(work, "none", "message")) == 0

    def release(self, arn: str | None = None) -> tuple[Execution, dict[str, Any]]:
        """Approve, deliver, run: the last execution and the record of how it ended."""
        started = self.deliver(self.approve(arn or self.register()))
        assert started is not None
        assert started["started"]
        return self.machines.run(), self.get(f"releases/{started['release']}/outcome.json")


def register_package(group: str, properties: dict[str, str]) -> str:
    """A model package that waits for approval, and its group where there is none; the package's ARN."""
    sagemaker = client("sagemaker")
    groups = sagemaker.list_model_package_groups()["ModelPackageGroupSummaryList"]
    if group not in [each["ModelPackageGroupName"] for each in groups]:
        sagemaker.create_model_package_group(ModelPackageGroupName=group)
    made = sagemaker.create_model_package(
        ModelPackageGroupName=group,
        ModelApprovalStatus="PendingManualApproval",
        CustomerMetadataProperties=properties,
        InferenceSpecification={
            "Containers": [{"Image": "none", "ModelDataUrl": properties["package_uri"]}],
            "SupportedContentTypes": ["image/png"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
    )
    arn: str = made["ModelPackageArn"]
    return arn


def small_build(place: Path, public_key: Path, out: Path) -> None:
    """A recipe, and the package with its signature as the artefact."""
    manifest = load_manifest(place / "package")
    name = f"com.linewatch.model.{manifest.name}"
    recipe = json.loads(Path(f"recipes/{name}.json").read_text())
    recipe["ComponentVersion"] = manifest.version
    uri = f"s3://BUCKET_NAME/{name}/{manifest.version}/model.tar.gz"
    recipe["Manifests"] = [{**recipe["Manifests"][0], "Artifacts": [{"Uri": uri}]}]
    artefact = out / "artifacts" / name / manifest.version / "model.tar.gz"
    for folder in (out / "recipes", artefact.parent):
        folder.mkdir(parents=True)
    (out / "recipes" / f"{name}-{manifest.version}.json").write_text(json.dumps(recipe))
    pack(place, artefact)


A = TypeVar("A", bound=Account)


@contextmanager
def opened(kind: type[A]) -> Iterator[A]:
    """Inside moto. Every state of the machine runs; functions and jobs run in this process, time is simulated."""
    clock = SimulatedClock()
    backend = Backend(clock)
    with serving(backend) as server:
        account = kind(backend, clock, server.url)
        account.make_state_machine()
        account.make_fleet()
        yield account
        account.package.cleanup()


def open_account() -> AbstractContextManager[Account]:
    """As most tests want it."""
    return opened(Account)
