"""SageMaker and S3 as the pipelines need them: the adapter over boto3's clients."""

import uuid
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError
from linewatch_common.errors import InputError, UnavailableError

from model_build.pipelines.plans import PipelinePlan, Place
from model_build.pipelines.registered import RegisteredModel, from_properties

T = TypeVar("T")
_AWAY = {"ThrottlingException", "ServiceUnavailable", "SlowDown", "InternalFailure", "InternalError", "RequestTimeout"}


class Cloud:
    """`sagemaker` and `s3` are boto3 clients. Every method raises InputError (refused) or UnavailableError (try again)."""

    def __init__(self, sagemaker: Any, s3: Any) -> None:
        self._sagemaker, self._s3 = sagemaker, s3

    @classmethod
    def connected(cls, region: str) -> "Cloud":
        """With the credentials that boto3 finds."""
        import boto3  # noqa: PLC0415 - writing a definition does without

        return cls(*(_called(region, partial(boto3.client, name, region_name=region)) for name in ("sagemaker", "s3")))

    def put(self, uri: str, content: bytes) -> None:
        """Upload one object."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        _called(uri, lambda: self._s3.put_object(Bucket=bucket, Key=key, Body=content))

    def upsert(self, plan: PipelinePlan, place: Place, definition: str) -> str:
        """Create the pipeline and its model package group, or update the pipeline; its ARN."""
        self._ensure_group(plan)
        request = {"PipelineName": plan.pipeline, "PipelineDefinition": definition, "RoleArn": place.role}
        if self._has(plan.pipeline):
            made = _called(plan.pipeline, lambda: self._sagemaker.update_pipeline(**request))
        else:
            token = str(uuid.uuid4())
            made = _called(plan.pipeline, lambda: self._sagemaker.create_pipeline(**request, ClientRequestToken=token))
        return str(made["PipelineArn"])

    def start(self, plan: PipelinePlan, parameters: Mapping[str, str], token: str | None = None) -> str:
        """Start an execution; its ARN. The same `token` (32 characters or more) starts it once."""
        named = [{"Name": name, "Value": value} for name, value in sorted(parameters.items())]
        started = _called(
            plan.pipeline,
            lambda: self._sagemaker.start_pipeline_execution(
                PipelineName=plan.pipeline, PipelineParameters=named, ClientRequestToken=token or str(uuid.uuid4())
            ),
        )
        return str(started["PipelineExecutionArn"])

    def latest(self, group: str) -> tuple[int, RegisteredModel | None]:
        """The highest version in the model package group, 0 without one, and what it says of its model."""
        found = _called(
            group,
            lambda: self._sagemaker.list_model_packages(
                ModelPackageGroupName=group, SortBy="CreationTime", SortOrder="Descending", MaxResults=100
            ),
        )["ModelPackageSummaryList"]
        if not found:
            return 0, None
        newest = max(found, key=lambda package: int(package["ModelPackageVersion"]))
        arn = newest["ModelPackageArn"]
        told = _called(arn, lambda: self._sagemaker.describe_model_package(ModelPackageName=arn))
        return int(newest["ModelPackageVersion"]), from_properties(told.get("CustomerMetadataProperties", {}))

    def _has(self, name: str) -> bool:
        """Asked by listing: services and stand-ins name a missing pipeline differently."""
        found = _called(name, lambda: self._sagemaker.list_pipelines(PipelineNamePrefix=name, MaxResults=100))
        return any(pipeline["PipelineName"] == name for pipeline in found["PipelineSummaries"])

    def _ensure_group(self, plan: PipelinePlan) -> None:
        try:
            self._sagemaker.create_model_package_group(
                ModelPackageGroupName=plan.group, ModelPackageGroupDescription=f"Models for {plan.component}"
            )
        except (BotoCoreError, ClientError) as error:
            if "already exists" not in str(error):
                raise _translated(plan.group, error) from error


def _called(what: str, call: Callable[[], T]) -> T:
    try:
        return call()
    except (BotoCoreError, ClientError) as error:
        raise _translated(what, error) from error


def _translated(what: str, error: BotoCoreError | ClientError) -> InputError | UnavailableError:
    refused = isinstance(error, ClientError) and _code(error) not in _AWAY
    return (InputError if refused else UnavailableError)(f"{what}: {error}")


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
