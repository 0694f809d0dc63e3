"""The fake is strict: what botocore's models forbid is refused, also where boto3 itself does not look."""

import subprocess
import sys
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.fakes.greengrassv2.backend import Backend
from tests.fakes.greengrassv2.names import REGION
from tests.fakes.greengrassv2.server import Server, serving
from tests.integration.fleet.plant import CLIENT, KEYS, MODEL, NEW, OLD, Plant

TARGET = "arn:aws:iot:eu-central-1:123456789012:thinggroup/plant-a-canary"
COMPONENTS = {MODEL: {"componentVersion": "1.1.0"}}
ABORT = {"failureType": "ALL", "action": "CANCEL", "thresholdPercentage": 20.0, "minNumberOfExecutedThings": 5}


def _refused(client: Any, operation: str, **parameters: Any) -> str:
    with pytest.raises(ClientError) as refused:
        getattr(client, operation)(**parameters)
    return f"{refused.value.response['Error']['Code']}: {refused.value.response['Error']['Message']}"


def test_what_the_model_forbids_is_refused(fleet: Plant) -> None:
    unchecked = boto3.client(
        "greengrassv2", endpoint_url=fleet.url, config=CLIENT.merge(Config(parameter_validation=False)), **KEYS
    )
    cases: list[tuple[dict[str, Any], str]] = [
        ({"targetArn": "thinggroup/x"}, "does not match"),
        ({"deploymentPolicies": {"failureHandlingPolicy": "UNDO"}}, "is none of ROLLBACK, DO_NOTHING"),
        ({"iotJobConfiguration": {"abortConfig": {"criteriaList": [{**ABORT, "action": "STOP"}]}}}, "none of CANCEL"),
        ({"iotJobConfiguration": {"abortConfig": {"criteriaList": [{**ABORT, "thresholdPercentage": 101}]}}}, "out of"),
        ({"clientToken": "no spaces"}, "does not match"),
        ({"deploymentName": "n" * 257}, "257 characters"),
        (
            {"components": {MODEL: {"componentVersion": "1.1.0", "configurationUpdate": {"merge": "{"}}}},
            "merge is not JSON",
        ),
    ]
    for change, reason in cases:
        line = _refused(unchecked, "create_deployment", **{"targetArn": TARGET, "components": COMPONENTS, **change})
        assert line.startswith("ValidationException: ")
        assert reason in line
    assert len(fleet.backend.deployments) == 3


def test_unsigned_and_unknown_requests_are_refused(fleet: Plant) -> None:
    for path in ("/greengrass/v2/deployments", "/greengrass/v2/nothing"):
        answer = httpx.get(fleet.url + path)
        assert (answer.status_code, answer.headers["x-amzn-ErrorType"]) == (403, "MissingAuthenticationTokenException")


def test_a_new_deployment_replaces_the_whole_set_and_a_token_is_answered_once(fleet: Plant) -> None:
    client = fleet.greengrass
    request = {"targetArn": TARGET, "components": COMPONENTS, "clientToken": "t-1"}
    first = client.create_deployment(**request)
    assert client.create_deployment(**request)["deploymentId"] == first["deploymentId"]
    assert _refused(client, "create_deployment", **{**request, "deploymentName": "other"}).startswith(
        "ConflictException"
    )
    assert fleet.versions("canary") == NEW
    fleet.sleep(600)
    rows = client.list_deployments(targetArn=TARGET, historyFilter="ALL")["deployments"]
    assert [(row["revisionId"], row["isLatestForTarget"]) for row in rows] == [("1", False), ("2", True)]
    installed = client.list_installed_components(coreDeviceThingName="line-000")["installedComponents"]
    assert {row["componentName"] for row in installed} == set(NEW)


def test_missing_things_are_named(fleet: Plant) -> None:
    missing = TARGET.replace("canary", "nowhere")
    assert "ResourceNotFound" in _refused(
        fleet.greengrass, "create_deployment", targetArn=missing, components=COMPONENTS
    )
    unknown = {MODEL: {"componentVersion": "7.0.0"}}
    assert "ResourceNotFound" in _refused(fleet.greengrass, "create_deployment", targetArn=TARGET, components=unknown)
    assert "ResourceNotFound" in _refused(fleet.client("iot"), "describe_job", jobId="none")


def test_pages_are_complete_and_a_foreign_token_is_refused(fleet: Plant) -> None:
    pages = fleet.greengrass.get_paginator("list_core_devices").paginate(PaginationConfig={"PageSize": 7})
    assert sorted(row["coreDeviceThingName"] for page in pages for row in page["coreDevices"]) == sorted(
        fleet.backend.devices
    )
    token = fleet.greengrass.list_core_devices(maxResults=7)["nextToken"]
    assert "nextToken" in _refused(fleet.greengrass, "list_deployments", nextToken=token)


def test_it_runs_as_a_process_of_its_own_and_ends_with_its_parent() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.greengrassv2", "--port", "0"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        _tell(url, do="components", versions=[*OLD.items()])
        assert _tell(url, do="devices", group="g", count=300, prefix="core-", base=OLD) == {"devices": 300}
        client = boto3.client("greengrassv2", endpoint_url=url, config=CLIENT, **KEYS)
        _tell(url, do="throttle", operation="ListCoreDevices", times=1)
        assert "Throttling" in _refused(client, "list_core_devices")
        pages = client.get_paginator("list_core_devices").paginate()
        assert sum(len(page["coreDevices"]) for page in pages) == 300
        assert _tell(url, do="calls")["ListCoreDevices"] >= 4
    finally:
        process.stdin.close()
        process.wait(20)
        process.stdout.close()
    assert process.returncode == 0


def test_rates_are_refused_as_a_quota_would() -> None:
    backend = Backend()
    with serving(backend) as server:
        backend.limit("ListComponents", rate=0.001, burst=3)
        client = _client(server)
        for _ in range(3):
            client.list_components()
        assert "ThrottlingException" in _refused(client, "list_components")


def _client(server: Server) -> Any:
    return boto3.client(
        "greengrassv2", endpoint_url=server.url, config=CLIENT.merge(Config(region_name=REGION)), **KEYS
    )


def _tell(url: str, **command: Any) -> dict[str, Any]:
    answer: dict[str, Any] = httpx.post(f"{url}/_fake", json=command, timeout=60).json()
    return answer
