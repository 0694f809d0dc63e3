"""Artefacts to S3: each key once, a large file in parts, an interrupted upload goes on with the parts that arrived."""

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from linewatch_common.files import write_atomically

from model_build.fleet.calls import Caller
from model_build.fleet.errors import ConflictError, FleetInputError, NotFoundError
from model_build.publishing.built import Artifact

# S3 wants at least 5 MiB a part; a part is what an interruption costs.
PART_BYTES = 8 * 1024 * 1024
DIGEST_METADATA = "sha256"


class Uploader:
    """`on_bytes` hears of bytes that are in S3, also of those that were there already."""

    def __init__(self, s3: Any, bucket: str, caller: Caller, on_bytes: Callable[[int], None] = lambda _: None) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._call = caller
        self._on_bytes = on_bytes

    def missing(self, artifact: Artifact) -> bool:
        """Whether it has to be uploaded. Raises ConflictError when other bytes lie at its key."""
        try:
            found = self._call(self._s3, "head_object", **self._at(artifact))
        except NotFoundError:
            return True
        stored = found.get("Metadata", {}).get(DIGEST_METADATA, "")
        if stored == artifact.sha256:
            return False
        raise ConflictError(
            f"s3://{self._bucket}/{artifact.key} exists with other bytes (sha256 {stored or 'unknown'}, not {artifact.sha256}): "
            "a published version is never overwritten; build a new version"
        )

    def upload(self, artifact: Artifact) -> bool:
        """Upload it unless it is there; whether anything was sent. Raises ConflictError, FleetInputError and what calls raise."""
        if not self.missing(artifact):
            self._on_bytes(artifact.size)
            return False
        if artifact.size <= PART_BYTES:
            data = artifact.path.read_bytes()
            if hashlib.sha256(data).hexdigest() != artifact.sha256:
                raise FleetInputError(f"{artifact.path} changed while it was published: run the same command again")
            self._call(
                self._s3,
                "put_object",
                **self._at(artifact),
                Body=data,
                Metadata={DIGEST_METADATA: artifact.sha256},
                ChecksumSHA256=_checksum(data),
                IfNoneMatch="*",
            )
            self._on_bytes(artifact.size)
        else:
            self._in_parts(artifact)
        return True

    def _in_parts(self, artifact: Artifact) -> None:
        upload = self._begun(artifact) or self._begin(artifact)
        at = {**self._at(artifact), "UploadId": upload}
        arrived = self._arrived(at)
        parts = []
        whole = hashlib.sha256()
        with artifact.path.open("rb") as file:
            number = 0
            while data := file.read(PART_BYTES):
                number += 1
                whole.update(data)
                entity = arrived.get(number)
                if entity is None or entity != hashlib.md5(data, usedforsecurity=False).hexdigest():
                    sent = self._call(
                        self._s3, "upload_part", **at, PartNumber=number, Body=data, ChecksumSHA256=_checksum(data)
                    )
                    entity = sent["ETag"].strip('"')
                parts.append({"PartNumber": number, "ETag": f'"{entity}"', "ChecksumSHA256": _checksum(data)})
                self._on_bytes(len(data))
        if whole.hexdigest() != artifact.sha256:
            self._call(self._s3, "abort_multipart_upload", **at)
            raise FleetInputError(f"{artifact.path} changed while it was published: run the same command again")
        self._call(self._s3, "complete_multipart_upload", **at, MultipartUpload={"Parts": parts}, IfNoneMatch="*")
        _note(artifact).unlink(missing_ok=True)

    def _begin(self, artifact: Artifact) -> str:
        answer = self._call(
            self._s3,
            "create_multipart_upload",
            **self._at(artifact),
            Metadata={DIGEST_METADATA: artifact.sha256},
            ChecksumAlgorithm="SHA256",
        )
        upload = str(answer["UploadId"])
        note = {"bucket": self._bucket, "sha256": artifact.sha256, "upload": upload}
        write_atomically(_note(artifact), json.dumps(note).encode())
        return upload

    def _begun(self, artifact: Artifact) -> str:
        """The upload that an interrupted try of these very bytes began and S3 still knows, "" without one."""
        try:
            noted = json.loads(_note(artifact).read_bytes())
            upload = (
                str(noted["upload"]) if (noted["bucket"], noted["sha256"]) == (self._bucket, artifact.sha256) else ""
            )
        except (OSError, ValueError, KeyError, TypeError):
            return ""
        try:
            self._call(self._s3, "list_parts", **self._at(artifact), UploadId=upload, MaxParts=1)
        except NotFoundError:
            return ""
        return upload

    def _arrived(self, at: dict[str, Any]) -> dict[int, str]:
        """Part number to entity tag. Where it is not the MD5 (a bucket under a KMS key), the part is sent again."""
        answer = self._call(self._s3, "list_parts", **at)
        return {int(entry["PartNumber"]): str(entry["ETag"]).strip('"') for entry in answer.get("Parts", [])}

    def _at(self, artifact: Artifact) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": artifact.key}


def _note(artifact: Artifact) -> Path:
    """Where an upload in parts is remembered: beside the file."""
    return artifact.path.with_name(f".{artifact.path.name}.upload")


def _checksum(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()
