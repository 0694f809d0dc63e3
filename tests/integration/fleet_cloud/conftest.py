import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

REGION, ACCOUNT = "eu-central-1", "123456789012"
ALIAS = "linewatch-token-exchange"


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never a person's own."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.delenv("AWS_PROFILE", raising=False)


@pytest.fixture
def aws() -> Iterator[None]:
    """moto in place of AWS."""
    with mock_aws():
        yield


@pytest.fixture
def iot(aws: None) -> Any:
    """AWS IoT with the template's role alias and two thing groups."""
    client = boto3.client("iot")
    role = boto3.client("iam").create_role(RoleName="exchange", AssumeRolePolicyDocument=json.dumps({"Statement": []}))
    client.create_role_alias(roleAlias=ALIAS, roleArn=role["Role"]["Arn"])
    for name in ("canary", "wave-1"):
        client.create_thing_group(thingGroupName=name)
    return client
