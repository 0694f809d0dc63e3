"""boto3 clients as this project wants them, and addresses of stores. Nothing is sent here, but boto3 reads files and the environment."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from model_build.fleet.calls import Caller
from model_build.fleet.errors import FleetInputError
from model_build.fleet.health import FolderReports, HealthReports, S3Reports
from model_build.fleet.health_stream import StreamReports
from model_build.fleet.s3_store import S3Store
from model_build.fleet.store import FolderStore, StateStore

# Caller retries, says so and gives up; boto3's own retries would hide throttling behind it. A dead link answers within these.
_CLIENT = Config(
    connect_timeout=10,
    read_timeout=60,
    retries={"total_max_attempts": 1},
    max_pool_connections=32,
    user_agent_extra="linewatch",
)
S3_SCHEME = "s3://"
STREAM_SCHEME = "stream:"


class Connection:
    """Clients by service, made when they are first wanted. Endpoints follow AWS_ENDPOINT_URL_…, the region the usual settings."""

    def __init__(self, region: str = "", profile: str = "") -> None:
        self._region = region
        self._profile = profile
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        """Raises FleetInputError when the region or the profile is not known."""
        if service not in self._clients:
            try:
                session = boto3.Session(region_name=self._region or None, profile_name=self._profile or None)
                self._clients[service] = session.client(service, config=_CLIENT)
            except (BotoCoreError, ValueError) as error:
                raise FleetInputError(f"AWS: {error}") from error
        return self._clients[service]

    def store(self, address: str, caller: Caller) -> StateStore:
        """The state store at `s3://bucket/prefix` or in a folder."""
        if address.startswith(S3_SCHEME):
            bucket, prefix = split_address(address)
            return S3Store(self.client("s3"), bucket, prefix, caller)
        return FolderStore(Path(address))

    def reports(self, address: str, caller: Caller, clock: Callable[[], datetime]) -> HealthReports:
        """Stored health: an object a device at `s3://bucket/prefix`, a delivery stream's at `stream:s3://…`, or a folder."""
        if address.startswith(STREAM_SCHEME + S3_SCHEME):
            bucket, prefix = split_address(address.removeprefix(STREAM_SCHEME))
            return StreamReports(self.client("s3"), bucket, f"{prefix}/" if prefix else "", caller, clock)
        if address.startswith(S3_SCHEME):
            bucket, prefix = split_address(address)
            return S3Reports(self.client("s3"), bucket, f"{prefix}/" if prefix else "", caller)
        return FolderReports(Path(address))


def split_address(address: str) -> tuple[str, str]:
    """Bucket and prefix (without slashes at its ends) of an S3 address. Raises FleetInputError."""
    bucket, _, prefix = address.removeprefix(S3_SCHEME).partition("/")
    if not bucket:
        raise FleetInputError(f"{address!r} names no bucket: want s3://bucket/prefix")
    return bucket, prefix.strip("/")
