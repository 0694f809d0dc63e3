"""From a drift or disagreement alert to one execution of the model's training pipeline. Alerts come daily, and may come twice.

Record, in the fleet's bucket: `drift/<fleet>/retraining/<model's name>.json`, the last start. The cool-down counts from it.
"""

import hashlib
from datetime import timedelta
from typing import Any

import msgspec
from linewatch_common.errors import InputError

from model_build.fleet.configuration import decode, moment_of, moment_text
from model_build.fleet.errors import ConflictError
from model_build.infrastructure.services import Services
from model_build.pipelines.plans import PIPELINES, PipelinePlan
from model_build.pipelines.registered import from_properties

SOURCE, DETAIL_TYPE = "linewatch.fleet", "linewatch Model Alert"


class Alert(msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag="linewatch.ModelAlert/1"):
    """The event's detail. `model`: the agent's identifier. `kind`: drift or disagreement."""

    fleet: str
    model: str
    kind: str
    day: str
    reason: str
    figures: dict[str, float] = {}

    @property
    def token(self) -> str:
        """The same alert of the same day is the same: SageMaker starts one execution for it."""
        named = [self.fleet, self.model, self.kind, self.day]
        return hashlib.sha256(msgspec.json.encode(named)).hexdigest()[:64]


class Start(msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag="linewatch.RetrainingStart/1"):
    """A pipeline that was, or is about to be, started. `execution` is its ARN once it was."""

    alert: Alert
    at: str
    pipeline: str
    parameters: dict[str, str]
    execution: str = ""


class _Event(msgspec.Struct, kw_only=True):
    detail: Alert


def start(services: Services, event: dict[str, Any]) -> dict[str, Any]:
    """{"started", "pipeline", "reason"}. Raises InputError for an event of another form, FleetError.

    The record comes first, and with it the parameters, so a try that was killed in between is made good by the next delivery with the
    same call. Two alerts at the same moment start one execution: the second finds the first one's record.
    """
    alert = _read(event)
    plan = _plan(alert.model)
    if plan is None:
        return {"started": False, "pipeline": "", "reason": f"no pipeline of ours makes {alert.model}"}
    key = f"retraining/{plan.package}.json"
    found = services.drift.read(key)
    last = None if found is None else decode(found[0], Start, key)
    if last is not None and (last.execution or last.alert.token != alert.token):
        free = moment_of(last.at) + timedelta(days=services.cool_down_days)
        if last.alert.token == alert.token:
            return {"started": False, "pipeline": last.pipeline, "reason": "this alert started it already"}
        if services.clock() < free:
            reason = f"{last.pipeline} was started at {last.at}; it rests until {moment_text(free)}"
            return {"started": False, "pipeline": last.pipeline, "reason": reason}
        last = None
    if last is None:
        parameters = _parameters(services, plan)
        last = Start(alert=alert, at=moment_text(services.clock()), pipeline=plan.pipeline, parameters=parameters)
        try:
            _claim(services, key, last, found)
        except ConflictError:
            return {"started": False, "pipeline": plan.pipeline, "reason": "another alert is starting it"}
    execution = _execute(services, last)
    services.drift.write(key, msgspec.json.encode(msgspec.structs.replace(last, execution=execution)))
    return {"started": True, "pipeline": plan.pipeline, "reason": alert.reason}


def _claim(services: Services, key: str, record: Start, found: tuple[bytes, str] | None) -> None:
    data = msgspec.json.encode(record)
    if found is None:
        services.drift.create(key, data)
    else:
        services.drift.replace(key, data, found[1])


def _execute(services: Services, record: Start) -> str:
    named = [{"Name": name, "Value": value} for name, value in sorted(record.parameters.items())]
    answer = services.call(
        services.client("sagemaker"),
        "start_pipeline_execution",
        PipelineName=record.pipeline,
        PipelineParameters=named,
        PipelineExecutionDescription=f"{record.alert.kind} of {record.alert.model}: {record.alert.reason}"[:3072],
        ClientRequestToken=record.alert.token,
    )
    return str(answer["PipelineExecutionArn"])


def _parameters(services: Services, plan: PipelinePlan) -> dict[str, str]:
    """As `pipeline start` finds them: the model's next number, and the package that its version follows."""
    group = plan.group_in(services.prefix)
    sagemaker = services.client("sagemaker")
    packages = services.call(
        sagemaker,
        "list_model_packages",
        ModelPackageGroupName=group,
        SortBy="CreationTime",
        SortOrder="Descending",
        MaxResults=100,
    )["ModelPackageSummaryList"]
    parameters = {"ModelPackageGroupName": group, "RegistryVersion": "1"}
    if services.training_data:
        parameters["InputData"] = services.training_data
    if packages:
        newest = max(packages, key=lambda package: int(package["ModelPackageVersion"]))
        told = services.call(sagemaker, "describe_model_package", ModelPackageName=newest["ModelPackageArn"])
        parameters["RegistryVersion"] = str(int(newest["ModelPackageVersion"]) + 1)
        parameters["PreviousPackage"] = from_properties(told.get("CustomerMetadataProperties", {})).package_uri
    return parameters


def _plan(model: str) -> PipelinePlan | None:
    """The pipeline that makes this model; one of somebody's own has none."""
    return next((plan for plan in PIPELINES.values() if model.startswith(f"{plan.package}-")), None)


def _read(event: dict[str, Any]) -> Alert:
    try:
        return msgspec.convert(event, _Event).detail
    except msgspec.ValidationError as error:
        raise InputError(f"event {str(event.get('id'))[:40]}: {error}") from error
