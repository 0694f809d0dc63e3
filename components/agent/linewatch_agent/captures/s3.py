"""S3 by boto3."""

import os
import threading
import time
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from linewatch_common.errors import UnavailableError

from linewatch_agent.captures.cloud import DeviceCertificate
from linewatch_agent.captures.credentials import session_with

# We try again ourselves, and later: a thread that hangs on a dead link helps nobody.
_CLIENT = Config(
    connect_timeout=5,
    read_timeout=60,
    retries={"total_max_attempts": 1},
    max_pool_connections=2,
    tcp_keepalive=True,
    user_agent_extra="linewatch",
)
# For the question whether there is a network, which a client waits for.
_PROBE = _CLIENT.merge(Config(connect_timeout=2, read_timeout=2))
PROBED_SECONDS = 5.0


class S3Store:
    """An ObjectStore. The endpoint follows AWS_ENDPOINT_URL_S3, the region AWS_REGION when `region` is empty."""

    def __init__(self, bucket: str, region: str, certificate: DeviceCertificate | None) -> None:
        self.bucket = bucket
        self._region = region
        self._certificate = certificate
        self._lock = threading.Lock()
        self._clients: dict[str, Any] = {}
        self._reached = (0.0, True)

    def put(self, key: str, data: bytes) -> None:
        """See ObjectStore."""
        try:
            self._client("put", _CLIENT).put_object(Bucket=self.bucket, Key=key, Body=data)
        except (BotoCoreError, ClientError, OSError) as error:
            raise UnavailableError(f"s3://{self.bucket}/{key}: {error}") from error

    def reachable(self) -> bool:
        """See ObjectStore; asked at most every PROBED_SECONDS."""
        with self._lock:
            asked, answer = self._reached
        if time.monotonic() - asked < PROBED_SECONDS and asked:
            return answer
        try:
            self._client("probe", _PROBE).head_bucket(Bucket=self.bucket)
            answer = True
        except ClientError:
            answer = True  # it answers, whatever it says
        except (BotoCoreError, OSError):
            answer = False
        with self._lock:
            self._reached = (time.monotonic(), answer)
        return answer

    def _client(self, purpose: str, config: Config) -> Any:
        """Made at the first use: it reads files and the environment. Raises BotoCoreError."""
        with self._lock:
            if purpose not in self._clients:
                # boto3 itself looks for AWS_DEFAULT_REGION only.
                region = self._region or os.environ.get("AWS_REGION") or None
                session = boto3.Session(botocore_session=session_with(self._certificate), region_name=region)
                if session.get_credentials() is None:
                    raise NoCredentialsError  # a client made without any would never look for them again
                self._clients[purpose] = session.client("s3", config=config)
            return self._clients[purpose]
