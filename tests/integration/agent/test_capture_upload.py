"""Captured data to a real S3 server, by the agent as a process: outages, a kill, credentials, periodic upload."""

import json
import os
import re
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest
from botocore.config import Config
from linewatch_agent.captures.cloud import DeviceCertificate
from linewatch_agent.captures.s3 import S3Store
from linewatch_agent_api import agent_pb2 as wire
from linewatch_common.errors import UnavailableError
from linewatch_common.logs import set_up_logging

from tests.unit.agent.support import short_folder
from tools.capture_rig import (
    BUCKET,
    REGION,
    TENSOR,
    AgentProcess,
    Link,
    S3Server,
    TokenExchange,
    credentials,
    wait_until,
)

CLOUD = {
    "sagemaker_edge_core_device_fleet_name": "fleet",
    "sagemaker_edge_core_region": REGION,
    "sagemaker_edge_core_capture_data_destination": "Cloud",
    "sagemaker_edge_core_capture_data_push_period_seconds": 1,
    "sagemaker_edge_provider_s3_bucket_name": BUCKET,
}


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    running = S3Server()
    yield running
    running.close()


@pytest.fixture
def exchange() -> Iterator[TokenExchange]:
    running = TokenExchange()
    yield running
    running.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as made:
        yield made


@pytest.fixture
def link(server: S3Server) -> Iterator[Link]:
    made = Link(server.port)
    yield made
    made.cut()


def _delivered(agent: AgentProcess, *capture_ids: str) -> None:
    wait_until(lambda: all(agent.status(each) == wire.SUCCESS for each in capture_ids), 60, "SUCCESS")


def test_captures_survive_a_kill_without_a_network_and_arrive_once(
    server: S3Server, exchange: TokenExchange, folder: Path, link: Link
) -> None:
    agent = AgentProcess(folder, {"AWS_ENDPOINT_URL_S3": link.url, **exchange.environment}, **CLOUD)
    agent.start()
    try:
        for number in range(12):
            agent.capture(f"a{number}")
        agent.kill()
        agent.start()
        assert {agent.status(f"a{number}") for number in range(12)} == {wire.IN_PROGRESS}
        with pytest.raises(grpc.RpcError, match="ALREADY_EXISTS"):
            agent.capture("a0")
        link.restore()
        _delivered(agent, *(f"a{number}" for number in range(12)))
    finally:
        agent.stop()
    assert {name: count for name, count in server.captured().items() if name.startswith("a")} == {
        f"a{number}": 1 for number in range(12)
    }
    assert exchange.asked >= 1
    _as_the_original(server)


def _as_the_original(server: S3Server) -> None:
    """Keys and what lines refer to."""
    hour = r"sme-capture/fleet/score/\d{4}/\d\d/\d\d/\d\d"
    keys = server.keys()
    for key in keys:
        assert re.fullmatch(rf"{hour}/([0-9a-f]{{32}}\.jsonl|raw-data/input-tensors/[0-9a-f]{{32}}-\d+\.bin)", key)
    [entry] = server.lines()[0]["deviceFleetInputs"]
    assert server.get(entry["data-ref"].removeprefix(f"s3://{BUCKET}/")) == TENSOR.tobytes()


def test_files_on_disk_are_uploaded_periodically_and_leave_the_disk(
    server: S3Server, exchange: TokenExchange, folder: Path
) -> None:
    disk = {
        **CLOUD,
        "sagemaker_edge_core_capture_data_destination": "Disk",
        "sagemaker_edge_core_capture_data_periodic_upload": "true",
        "sagemaker_edge_core_capture_data_periodic_upload_period_seconds": 1,
        "sagemaker_edge_core_capture_data_disk_path": str(folder / "data"),
        "sagemaker_edge_core_folder_prefix": "plant=a/line 1",  # quoted in a file's uri, but not in S3
    }
    agent = AgentProcess(folder, {"AWS_ENDPOINT_URL_S3": server.url, **exchange.environment}, **disk)
    agent.start()
    try:
        agent.capture("p0")
        wait_until(lambda: server.captured()["p0"] == 1, 60, "the upload")
        wait_until(lambda: not list((folder / "data").rglob("*.jsonl")), 60, "the removal")
    finally:
        agent.stop()
    [line] = [line for line in server.lines() if line["eventMetadata"]["eventId"] == "p0"]
    reference = line["deviceFleetInputs"][0]["data-ref"]
    assert server.get(reference.removeprefix(f"s3://{BUCKET}/")) == TENSOR.tobytes()


def test_without_spool_and_network_a_capture_is_refused(exchange: TokenExchange, folder: Path, link: Link) -> None:
    settings = {**CLOUD, "linewatch_capture_spool": False}
    agent = AgentProcess(folder, {"AWS_ENDPOINT_URL_S3": link.url, **exchange.environment}, **settings)
    agent.start()
    try:
        with pytest.raises(grpc.RpcError, match="FAILED_PRECONDITION"):
            agent.capture("n0")
    finally:
        agent.stop()


@pytest.fixture
def certificate(folder: Path) -> Iterator[DeviceCertificate]:
    """A credential endpoint that wants a client certificate."""
    names = {name: str(folder / name) for name in ("key.pem", "cert.pem")}
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *subject]
    subprocess.run([*command, "-keyout", names["key.pem"], "-out", names["cert.pem"]], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(names["cert.pem"], names["key.pem"])
    context.load_verify_locations(names["cert.pem"])
    context.verify_mode = ssl.CERT_REQUIRED

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path == "/role-aliases/edge/credentials" and self.headers["x-amzn-iot-thingname"] == "thing"
            given = credentials("accessKeyId", "secretAccessKey", "sessionToken", "expiration")
            body = json.dumps({"credentials": given}).encode()
            self.send_response(200 if known else 403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    endpoint = HTTPServer(("127.0.0.1", 0), Handler)
    endpoint.socket = context.wrap_socket(endpoint.socket, server_side=True)
    threading.Thread(target=endpoint.serve_forever, daemon=True).start()
    url = f"https://localhost:{endpoint.server_address[1]}/role-aliases/edge/credentials"
    yield DeviceCertificate(url, names["cert.pem"], names["cert.pem"], names["key.pem"], "thing")
    endpoint.shutdown()
    endpoint.server_close()


@pytest.mark.usefixtures("own_logging")
def test_credentials_by_the_devices_certificate(
    server: S3Server,
    certificate: DeviceCertificate,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
    S3Store(BUCKET, REGION, certificate).put("certificate/object", b"content")
    assert server.get("certificate/object") == b"content"
    server.client.delete_object(Bucket=BUCKET, Key="certificate/object")
    stranger = DeviceCertificate(
        certificate.endpoint, certificate.ca_file, certificate.certificate_file, certificate.key_file, "stranger"
    )
    set_up_logging()
    with pytest.raises(UnavailableError, match="HTTP 403"):
        S3Store(BUCKET, REGION, stranger).put("certificate/object", b"content")
    assert "Traceback" not in capsys.readouterr().out, "an outage is told in one line, by whoever tries"


def test_the_region_of_greengrass_is_taken_where_none_is_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """boto3 alone looks for AWS_DEFAULT_REGION, and without one goes to us-east-1."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    for name, value in {"REGION": REGION, "ACCESS_KEY_ID": "rig", "SECRET_ACCESS_KEY": "rig"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    assert S3Store(BUCKET, "", None)._client("put", Config()).meta.region_name == REGION
    assert S3Store(BUCKET, "eu-north-1", None)._client("put", Config()).meta.region_name == "eu-north-1"


def test_credentials_that_come_late_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a boot the store of credentials may start, or the network come, after the agent's first try."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    store = S3Store(BUCKET, REGION, None)
    with pytest.raises(UnavailableError, match="Unable to locate credentials"):
        store.put("key", b"")
    (tmp_path / "credentials").write_text("[default]\naws_access_key_id = rig\naws_secret_access_key = rig\n")
    with pytest.raises(UnavailableError, match="Could not connect"):
        store.put("key", b"")
