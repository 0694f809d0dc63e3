"""A pipeline's definition, written offline by the SageMaker SDK: no socket is opened, and the same code gives the same bytes.

Imports sagemaker: `offline.settle` goes before the import.
"""

import json
from typing import Any

import boto3
from sagemaker.core import image_uris
from sagemaker.core.model_metrics import MetricsSource, ModelMetrics
from sagemaker.core.workflow.conditions import ConditionEquals
from sagemaker.core.workflow.functions import Join, JsonGet
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.mlops.workflow.condition_step import ConditionStep
from sagemaker.mlops.workflow.fail_step import FailStep
from sagemaker.mlops.workflow.model_step import ModelStep
from sagemaker.mlops.workflow.pipeline import Pipeline
from sagemaker.serve.model_builder import ModelBuilder

from model_build.jobs.gate import EVALUATION_FILE
from model_build.jobs.places import PACKAGE_FILE, REGISTERED_ARTEFACTS
from model_build.nets.interface import Framework
from model_build.pipelines.parameters import parameters
from model_build.pipelines.plans import CONTAINERS, PipelinePlan, Place
from model_build.pipelines.registered import ARTEFACT_PREFIX, plain_fields
from model_build.pipelines.steps import Jobs

COMPILED_EVALUATION = "EvaluateCompiled"


def definition(plan: PipelinePlan, place: Place, digest: str) -> str:
    """The definition as JSON. `digest`: of the source archive, which lies at `place.code(digest)`."""
    session = _session(place)
    chosen = parameters(plan, place, digest, (_image("torch", place), _image(plan.framework, place)))
    pipeline = Pipeline(
        name=plan.pipeline,
        parameters=chosen.listed(),
        steps=_steps(plan, Jobs(plan, place, digest, session, chosen)),
        sagemaker_session=session,
    )
    return json.dumps(json.loads(pipeline.definition()), indent=1) + "\n"


def _steps(plan: PipelinePlan, jobs: Jobs) -> list[Any]:
    prepared = jobs.prepare()
    trained = jobs.train(prepared)
    evaluated = jobs.evaluate(prepared, trained)
    compiled = jobs.compile(prepared, trained)
    judged = jobs.evaluate_compiled(COMPILED_EVALUATION, prepared, trained, evaluated, compiled)
    packaged = jobs.package(prepared, trained, compiled, judged)
    gate = judged.property_files[0]
    passed = ConditionEquals(left=JsonGet(step_name=judged.name, property_file=gate, json_path="passed"), right=True)
    reason = JsonGet(step_name=judged.name, property_file=gate, json_path="reason")
    refused = FailStep("Refuse", error_message=Join(on=" ", values=[f"The gate refuses {plan.package}:", reason]))
    registered = _register(jobs, packaged, judged)
    condition = ConditionStep("Gate", conditions=[passed], if_steps=[packaged, registered], else_steps=[refused])
    return [prepared, trained, evaluated, compiled, judged, condition]


def _register(jobs: Jobs, packaged: Any, judged: Any) -> ModelStep:
    """The model version in the registry; what it says of itself comes from the package step's own file."""
    document = packaged.property_files[0]
    properties = {
        name: JsonGet(step_name=packaged.name, property_file=document, json_path=path)
        for name, path in _registered_paths().items()
    }
    folder = packaged.properties.ProcessingOutputConfig.Outputs["package"].S3Output.S3Uri
    report = judged.properties.ProcessingOutputConfig.Outputs["evaluation"].S3Output.S3Uri
    statistics = MetricsSource(content_type="application/json", s3_uri=Join(on="/", values=[report, EVALUATION_FILE]))
    model = ModelBuilder(
        s3_model_data_url=Join(on="/", values=[folder, PACKAGE_FILE]),
        image_uri=jobs.parameters.image,
        role_arn=jobs.place.role,
        sagemaker_session=jobs.session,
    )
    arguments = model.register(
        model_package_group_name=jobs.parameters.group,
        content_types=["application/octet-stream"],
        response_types=["application/octet-stream"],
        approval_status="PendingManualApproval",
        model_metrics=ModelMetrics(model_statistics=statistics),
        customer_metadata_properties=properties,
        skip_model_validation="All",  # the package is for devices: no endpoint of SageMaker will ever start it
    )
    return ModelStep("Register", step_args=arguments)


def _registered_paths() -> dict[str, str]:
    """Property to its place in the package step's file."""
    paths = {name: name for name in plain_fields()}
    return paths | {ARTEFACT_PREFIX + name: f"artefacts.{name}" for name in REGISTERED_ARTEFACTS}


def _image(framework: Framework, place: Place) -> str:
    """All steps but the training run in torch's container: they need none of the frameworks, and its lock compiles."""
    name, version, python = CONTAINERS[framework]
    uri: str = image_uris.retrieve(
        name, place.region, version=version, py_version=python, instance_type="ml.m5.xlarge", image_scope="training"
    )
    return uri


def _session(place: Place) -> PipelineSession:
    session = PipelineSession(boto_session=boto3.Session(region_name=place.region), default_bucket=place.bucket)
    session._default_bucket = place.bucket  # else the SDK asks S3 whether the bucket is there
    return session
