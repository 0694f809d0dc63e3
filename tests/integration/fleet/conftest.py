"""A plant for each test, S3 for all."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.fakes.greengrassv2.names import REGION
from tests.integration.fleet.plant import CLIENT, KEYS, Plant, plant

BUCKET = "linewatch-components"


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """moto's S3 on a thread."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_url: str) -> Iterator[Any]:
    """A client, and an empty bucket BUCKET."""
    client = boto3.client("s3", endpoint_url=s3_url, config=CLIENT, **KEYS)
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    yield client
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        for entry in page.get("Contents", []):
            client.delete_object(Bucket=BUCKET, Key=entry["Key"])
    client.delete_bucket(Bucket=BUCKET)
    client.close()


@pytest.fixture
def fleet() -> Iterator[Plant]:
    """A plant with 20 devices in three rings; in memory, because each step is made durable and this is about the steps."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder, plant(Path(folder)) as made:
        yield made


def set_environment(monkeypatch: pytest.MonkeyPatch, greengrass_url: str, s3_url: str) -> None:
    """What a command line needs to reach the fakes."""
    values = {
        "AWS_ENDPOINT_URL_GREENGRASSV2": greengrass_url,
        "AWS_ENDPOINT_URL_IOT": greengrass_url,
        "AWS_ENDPOINT_URL_S3": s3_url,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": KEYS["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": KEYS["aws_secret_access_key"],
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
