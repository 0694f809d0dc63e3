"""From the devices' reports to a training pipeline: the daily look, EventBridge's rule, and one start however often it is told."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import yaml
from linewatch_common.errors import InputError
from linewatch_common.messages.fleet import SCORE_BINS, FleetHealth
from linewatch_common.messages.verdicts import ModelUse
from moto.events.models import EventPattern
from moto.s3.models import s3_backends

from model_build.fleet.errors import CloudUnavailableError
from model_build.infrastructure import drifting, retraining
from model_build.infrastructure.services import Services
from model_build.pipelines import registered
from model_build.pipelines.registered import RegisteredModel
from tests.fakes.botocore_checks import check_request
from tests.fakes.greengrassv2.reports import stream_line
from tests.integration.fleet_cloud.account import FLEET, SHA, client, register_package
from tests.unit.model_build.test_drift import MOVED, SHAPE
from tests.unit.model_build.test_infrastructure_policies import Loader, template

PIPELINE = "linewatch-inspector"
MODEL = "SurfaceInspector-1-0-0"
DEVICES = ("plant-a-0001", "plant-a-0002")
DATA = "s3://linewatch-models/raw"


class Events:
    """EventBridge: takes valid entries, and delivers those that the template's rule matches to the function, as often as it is told."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self.refuse = False
        self.meta = client("events").meta

    def put_events(self, **request: Any) -> dict[str, Any]:
        check_request("events", "PutEvents", request)
        if self.refuse:
            return {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalException"}]}
        self.entries += request["Entries"]
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "e"}]}

    def events(self) -> Iterator[dict[str, Any]]:
        """Those that the rule matches, as the function gets them."""
        rule = json.dumps(template()["Resources"]["AlertRule"]["Properties"]["EventPattern"]).replace(
            "${Fleet}", "plant-a"
        )
        pattern = EventPattern.load(rule)
        for entry in self.entries:
            event: Any = {
                "id": "e",
                "source": entry["Source"],
                "detail-type": entry["DetailType"],
                "account": "123456789012",
                "time": "2026-11-27T00:00:00Z",
                "region": "eu-central-1",
                "resources": [],
                "detail": json.loads(entry["Detail"]),
            }
            if pattern.matches_event(event):
                yield event


class SageMaker:
    """moto's, which starts an execution for each call; the service starts one for each token, and so does this."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.fail = False
        self._started: dict[str, dict[str, Any]] = {}

    def start_pipeline_execution(self, **request: Any) -> dict[str, Any]:
        check_request("sagemaker", "StartPipelineExecution", request)
        self.requests.append(request)
        token = request["ClientRequestToken"]
        if token not in self._started:
            self._started[token] = client("sagemaker").start_pipeline_execution(**request)
        if self.fail:
            self.fail = False
            raise CloudUnavailableError("the function was killed here")
        return self._started[token]

    def __getattr__(self, name: str) -> Any:
        return getattr(client("sagemaker"), name)


class Plant:
    """Two devices, and days that pass."""

    def __init__(self) -> None:
        self.now = datetime(2026, 9, 1, 6, 0, tzinfo=UTC)
        self.events = Events()
        self.sagemaker = SageMaker()
        self._rng = np.random.default_rng(11)
        self._scores = {thing: np.zeros(SCORE_BINS, np.int64) for thing in DEVICES}
        self._labels = {thing: {"failed": 0, "false_rejects": 0} for thing in DEVICES}

    @property
    def services(self) -> Services:
        clients = {"events": self.events, "sagemaker": self.sagemaker}
        return Services(
            client=lambda name: clients.get(name) or client(name),
            fleet="plant-a",
            fleet_bucket=FLEET,
            component_bucket="",
            clock=lambda: self.now,
            sleep=lambda _: None,
            training_data=DATA,
        )

    def day(self, shape: Any = SHAPE, *, failed: int = 0, false_rejects: int = 0) -> dict[str, Any]:
        """A day's parts on each device, its newest report, and the look."""
        self.now += timedelta(days=1)
        lines = []
        for thing in DEVICES:
            self._scores[thing] += self._rng.multinomial(3000, self._rng.dirichlet(400 * shape / shape.sum()))
            self._labels[thing]["failed"] += failed
            self._labels[thing]["false_rejects"] += false_rejects
            lines.append(stream_line(thing, msgspec.json.encode(self._report(thing))))
        lines += [stream_line("plant-a-0009", b'{"at": 1}'), stream_line("plant-a-0010", b"\xff")]
        key = f"health/{self.now:%Y/%m/%d/%H}/linewatch-health-1"
        # The store's clock is the machine's; the stream's reader goes by it.
        s3_backends["123456789012"]["aws"].put_object(FLEET, key, b"".join(lines)).last_modified = self.now.replace(
            tzinfo=None
        )
        return drifting.look(self.services)

    def _report(self, thing: str) -> FleetHealth:
        return FleetHealth(
            thing=thing,
            station="s",
            at=self.now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            since="2026-08-31T00:00:00Z",
            sequence=0,
            components={},
            models=[ModelUse(role="inspector", identifier=MODEL, version="1.0.0")],
            scores=[int(count) for count in self._scores[thing]],
            labels=self._labels[thing],
        )

    def deliver(self) -> list[dict[str, Any]]:
        """Everything that the rule lets through, to the function."""
        return [retraining.start(self.services, event) for event in self.events.events()]

    def executions(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = client("sagemaker").list_pipeline_executions(PipelineName=PIPELINE)[
            "PipelineExecutionSummaries"
        ]
        return found


@pytest.fixture
def plant(aws: None) -> Plant:
    return make_plant()


def make_plant() -> Plant:
    """With the fleet's bucket and the pipeline."""
    client("s3").create_bucket(Bucket=FLEET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    client("sagemaker").create_pipeline(
        PipelineName=PIPELINE,
        PipelineDefinition="{}",
        ClientRequestToken="t" * 32,
        RoleArn="arn:aws:iam::123456789012:role/pipelines",
    )
    return Plant()


def _drifted(plant: Plant) -> None:
    for _ in range(15):
        assert plant.day()["raised"] == 0
    for _ in range(7):
        answer = plant.day(MOVED)
    assert answer["raised"] == 1, answer


def test_drift_raises_an_event_that_starts_the_models_pipeline_once(plant: Plant) -> None:
    _drifted(plant)
    [started] = plant.deliver()
    assert (started["started"], started["pipeline"]) == (True, PIPELINE)
    [request] = plant.sagemaker.requests
    assert {each["Name"]: each["Value"] for each in request["PipelineParameters"]} == {
        "InputData": DATA,
        "ModelPackageGroupName": "linewatch-surface-inspector",
        "RegistryVersion": "1",
    }
    assert (
        "drift of SurfaceInspector-1-0-0: scores of 2026-09-17 to 2026-09-23" in request["PipelineExecutionDescription"]
    )
    [again] = plant.deliver()
    assert (again["started"], again["reason"]) == (False, "this alert started it already")
    assert len(plant.executions()) == 1


def test_alerts_of_the_following_days_wait_for_the_cool_down(plant: Plant) -> None:
    _drifted(plant)
    plant.deliver()
    plant.events.entries.clear()
    assert plant.day(MOVED)["raised"] == 1, "an alert a day while it lasts"
    [rests] = plant.deliver()
    assert (rests["started"], "it rests until 2026-10-23T06:00:00Z" in rests["reason"]) == (False, True)
    plant.now += timedelta(days=30)
    assert [answer["started"] for answer in plant.deliver()] == [True]
    assert len(plant.executions()) == 2


def test_a_start_that_was_killed_in_between_is_made_good_with_the_same_token(plant: Plant) -> None:
    _drifted(plant)
    plant.sagemaker.fail = True
    with pytest.raises(CloudUnavailableError):
        plant.deliver()
    plant.now += timedelta(hours=1)
    [answer] = plant.deliver()
    assert answer["started"]
    first, second = plant.sagemaker.requests
    assert first == second
    assert len(plant.executions()) == 1


def test_people_who_overrule_more_often_start_it_too(plant: Plant) -> None:
    for _ in range(15):
        plant.day(failed=10, false_rejects=1)
    for _ in range(7):
        answer = plant.day(failed=10, false_rejects=5)
    assert answer["raised"] == 1
    [entry] = plant.events.entries[-1:]
    assert json.loads(entry["Detail"])["kind"] == "disagreement"
    assert any(answer["started"] for answer in plant.deliver())
    assert len(plant.executions()) == 1


def test_the_new_models_version_follows_the_registrys_newest(plant: Plant) -> None:
    made = registered_inspector()
    register_package("linewatch-surface-inspector", made.to_properties())
    _drifted(plant)
    plant.deliver()
    parameters = {each["Name"]: each["Value"] for each in plant.sagemaker.requests[0]["PipelineParameters"]}
    assert parameters["RegistryVersion"] == "2"
    assert parameters["PreviousPackage"] == made.package_uri


def registered_inspector() -> RegisteredModel:
    """A model that a pipeline registered."""
    return registered.make(
        model="SurfaceInspector",
        component="com.linewatch.model.SurfaceInspector",
        version="1.0.0",
        package_uri="s3://linewatch-models/packages/inspector.tar.gz",
        package_sha256=SHA,
        manifest_digest=f"sha256:{SHA}",
        data_digest=SHA,
        code_digest=SHA,
        report_uri="s3://linewatch-models/report.html",
        artefacts={"model": SHA},
    )


def test_a_second_look_on_one_day_and_a_look_that_broke_count_nothing_twice(plant: Plant) -> None:
    plant.day()
    plant.day()
    life = f"drift/plant-a/lives/{MODEL}.json"
    once = client("s3").get_object(Bucket=FLEET, Key=life)["Body"].read()
    assert drifting.look(plant.services) == {"looked": False, "models": {}, "raised": 0}
    assert client("s3").get_object(Bucket=FLEET, Key=life)["Body"].read() == once
    assert sum(json.loads(once)["days"][0]["scores"]) == 6000
    assert json.loads(once)["days"][0]["devices"] == 2


def test_an_event_that_was_not_taken_is_raised_again(plant: Plant) -> None:
    _drifted(plant)
    plant.events.entries.clear()
    plant.events.refuse = True
    with pytest.raises(CloudUnavailableError, match="EventBridge took no event"):
        plant.day(MOVED)
    plant.events.refuse = False
    assert drifting.look(plant.services)["raised"] == 1
    assert len(plant.events.entries) == 1


def test_strangers_start_nothing(plant: Plant) -> None:
    detail = {
        "schema": "linewatch.ModelAlert/1",
        "fleet": "plant-a",
        "model": "Tiny-1",
        "kind": "drift",
        "day": "d",
        "reason": "",
    }
    assert retraining.start(plant.services, {"detail": detail})["reason"] == "no pipeline of ours makes Tiny-1"
    with pytest.raises(InputError):
        retraining.start(plant.services, {"detail": {"model": MODEL}})
    plant.events.entries.append(
        {
            "Source": "linewatch.fleet",
            "DetailType": "linewatch Model Alert",
            "Detail": json.dumps({**detail, "fleet": "b"}),
        }
    )
    assert plant.deliver() == [], "another fleet's"


def test_the_rule_is_off_unless_it_is_asked_for() -> None:
    loaded = yaml.load(Path("model_build/infrastructure/template.yaml").read_text(), Loader)  # noqa: S506 - a SafeLoader
    assert loaded["Parameters"]["RetrainOnAlert"]["Default"] == "no"
    assert loaded["Resources"]["AlertRule"]["Properties"]["State"] == ["Retrain", "ENABLED", "DISABLED"]


def test_the_figure_for_the_alarm_stands_beside_its_reasons() -> None:
    line = json.loads(drifting.metric_line("plant-a", {"looked": True, "models": {MODEL: []}, "raised": 1}, 1))
    assert (line["ModelsDrifted"], line["findings"]) == (1, {MODEL: []})
    assert line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["Fleet"]]
