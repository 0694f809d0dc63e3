"""The state of deployments in S3, below a prefix."""

from typing import Any

from model_build.fleet.calls import Caller
from model_build.fleet.errors import ConflictError, NotFoundError


class S3Store:
    """A StateStore. Conditional writes (If-None-Match, If-Match) keep two deployers apart."""

    def __init__(self, client: Any, bucket: str, prefix: str, caller: Caller) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix.strip("/") + "/" if prefix.strip("/") else ""
        self._call = caller

    @property
    def address(self) -> str:
        """See StateStore."""
        return f"s3://{self._bucket}/{self._prefix}"

    def read(self, key: str) -> tuple[bytes, str] | None:
        """See StateStore."""
        try:
            answer = self._call(self._client, "get_object", **self._at(key))
        except NotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise
            return None
        return answer["Body"].read(), answer["ETag"]

    def write(self, key: str, data: bytes) -> None:
        """See StateStore."""
        self._call(self._client, "put_object", **self._at(key), Body=data)

    def create(self, key: str, data: bytes) -> None:
        """See StateStore."""
        try:
            self._call(self._client, "put_object", **self._at(key), Body=data, IfNoneMatch="*")
        except ConflictError as error:
            raise ConflictError(f"{self.address}{key} exists already") from error

    def replace(self, key: str, data: bytes, tag: str) -> None:
        """See StateStore."""
        try:
            self._call(self._client, "put_object", **self._at(key), Body=data, IfMatch=tag)
        except (ConflictError, NotFoundError) as error:
            raise ConflictError(f"{self.address}{key} was changed by somebody else") from error

    def keys(self, prefix: str) -> list[str]:
        """See StateStore."""
        start = self._prefix + prefix
        found: list[str] = []
        token: dict[str, str] = {}
        while True:
            answer = self._call(self._client, "list_objects_v2", Bucket=self._bucket, Prefix=start, **token)
            found += [entry["Key"].removeprefix(self._prefix) for entry in answer.get("Contents", [])]
            if not answer.get("IsTruncated"):
                return sorted(found)
            token = {"ContinuationToken": answer["NextContinuationToken"]}

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + key}
