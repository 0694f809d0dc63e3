"""Pipelines created, updated and started in a registry that moto plays."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from linewatch_common.errors import InputError, UnavailableError
from moto import mock_aws

from model_build.__main__ import main
from model_build.pipelines.cloud import Cloud
from model_build.pipelines.offline import emitted
from model_build.pipelines.plans import EXAMPLE, PIPELINES
from model_build.pipelines.registered import make

PLAN = PIPELINES["inspector"]
DEFINITION = '{"Version": "2020-12-01", "Parameters": [], "Steps": []}'


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any]]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        yield boto3.client("sagemaker", region_name="eu-central-1"), boto3.client("s3", region_name="eu-central-1")


def test_a_pipeline_is_created_then_updated_then_started(clients: tuple[Any, Any]) -> None:
    cloud = Cloud(*clients)
    arn = cloud.upsert(PLAN, EXAMPLE, DEFINITION)
    changed = DEFINITION.replace('"Parameters": []', '"Parameters": [], "Metadata": {}')
    assert cloud.upsert(PLAN, EXAMPLE, changed) == arn
    assert clients[0].describe_pipeline(PipelineName=PLAN.pipeline)["PipelineDefinition"] == changed
    execution = cloud.start(PLAN, {"TrainingEpochs": "3"})
    assert arn in execution or PLAN.pipeline in execution


def test_the_registry_tells_the_next_version_and_the_last_package(clients: tuple[Any, Any]) -> None:
    cloud = Cloud(*clients)
    cloud.upsert(PLAN, EXAMPLE, DEFINITION)
    assert cloud.latest(PLAN.group) == (0, None)
    model = make(
        model=PLAN.package,
        component=PLAN.component,
        version="1.1.0",
        package_uri="s3://models/run/package.tar.gz",
        package_sha256="1" * 64,
        manifest_digest="sha256:" + "2" * 64,
        data_digest="3" * 64,
        code_digest="4" * 64,
        report_uri="s3://models/run/evaluation.json",
        artefacts={"float": "5" * 64},
    )
    clients[0].create_model_package(ModelPackageGroupName=PLAN.group, CustomerMetadataProperties=model.to_properties())
    assert cloud.latest(PLAN.group) == (1, model)


def test_no_network_is_one_line_in_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # nobody listens
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    cloud = Cloud.connected("eu-central-1")
    for call in (
        lambda: cloud.put("s3://models/key", b""),
        lambda: cloud.upsert(PLAN, EXAMPLE, DEFINITION),
        lambda: cloud.start(PLAN, {}),
        lambda: cloud.latest(PLAN.group),
    ):
        with pytest.raises(UnavailableError, match=r"^[^\n]+$"):
            call()


def test_what_a_person_mistypes_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    upsert = ["pipeline", "upsert", "inspector", "--bucket", "models", "--role", EXAMPLE.role]
    assert main([*upsert, "--definition", str(tmp_path / "missing.json")]) == 1
    (tmp_path / "other.json").write_bytes(b"\xff{}")
    assert main([*upsert, "--definition", str(tmp_path / "other.json")]) == 1
    assert main(["pipeline", "start", "inspector", "--region", "eu central 1"]) == 1
    missing, other, region = capsys.readouterr().err.splitlines()
    assert "missing.json: No such file" in missing
    assert "is of other code" in other
    assert "region" in region


def test_an_sdk_that_does_not_end_is_one_line() -> None:
    with pytest.raises(InputError, match=r"the SageMaker SDK gave none within 0\.001 s"):
        emitted([PLAN], EXAMPLE, "0" * 64, {}, timeout_s=0.001)


def test_a_missing_bucket_or_pipeline_is_one_line(clients: tuple[Any, Any]) -> None:
    cloud = Cloud(*clients)
    with pytest.raises(InputError, match="s3://nowhere/key"):
        cloud.put("s3://nowhere/key", b"")
    with pytest.raises(InputError, match=PLAN.pipeline):
        cloud.start(PIPELINES["inspector"], {})
