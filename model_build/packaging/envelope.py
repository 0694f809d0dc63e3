"""The signed envelope beside a package: who approved which bytes, and when.

`signature.json` lies beside the folder `package`, not in it. Its payload is signed as bytes and looked at only after the signature
was found good. What is signed is DSSE's pre-authentication encoding (secure-systems-lab/dsse, protocol.md) of these bytes.
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from linewatch_common.errors import PackageError
from linewatch_common.manifest import (
    MANIFEST_FILE,
    Manifest,
    Name,
    Sha256,
    Text,
    Version,
    file_sha256,
    load_manifest,
    manifest_digest,
    verify_files,
)
from msgspec import Meta, Struct

from model_build.data.pixels import read_bounded
from model_build.packaging.keys import PrivateKey, PublicKey, is_signed, key_id, signature

SIGNATURE_FILE, PACKAGE_FOLDER = "signature.json", "package"
PAYLOAD_TYPE = "application/vnd.linewatch.approval+json"
Moment = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
_MAX_BYTES = 64 * 1024


class Approval(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The payload. `digest` is the package's identity, `manifest` the SHA-256 of the very bytes of manifest.json."""

    schema: Literal["linewatch.Approval/1"] = "linewatch.Approval/1"
    name: Name
    version: Version
    digest: Text
    manifest: Sha256
    approver: Text
    approved_at: Moment


class Signature(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One signature in base64."""

    keyid: Text
    sig: Text


class Envelope(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename="camel"):
    """DSSE's JSON form; `payload` in base64."""

    payload: str
    payload_type: str
    signatures: Annotated[tuple[Signature, ...], Meta(min_length=1, max_length=8)]


def encoded(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: the type and both lengths cannot be shifted into the payload."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


def approve(folder: Path, approver: str, approved_at: str) -> Approval:
    """What is to be signed for the package in `folder`. Raises PackageError when the package is not whole."""
    manifest = load_manifest(folder)
    verify_files(folder, manifest)
    return msgspec.convert(
        {
            "name": manifest.name,
            "version": manifest.version,
            "digest": manifest_digest(folder),
            "manifest": file_sha256(folder / MANIFEST_FILE),
            "approver": approver,
            "approved_at": approved_at,
        },
        Approval,
    )


def sign(approval: Approval, key: PrivateKey) -> bytes:
    """The envelope's bytes."""
    payload = msgspec.json.encode(approval, order="sorted")
    value = base64.b64encode(signature(key, encoded(payload))).decode()
    signed = (Signature(keyid=key_id(key.public_key()), sig=value),)
    envelope = Envelope(payload=base64.b64encode(payload).decode(), payload_type=PAYLOAD_TYPE, signatures=signed)
    return msgspec.json.format(msgspec.json.encode(envelope), indent=1) + b"\n"


def payload_digest(approval: Approval) -> str:
    """Hex SHA-256 of what is signed, without the signature."""
    return hashlib.sha256(msgspec.json.encode(approval, order="sorted")).hexdigest()


def verify(
    place: Path, trusted: Mapping[str, PublicKey], name: str | None = None, not_before: str | None = None
) -> tuple[Approval, Manifest]:
    """Check signature, then the manifest's bytes, then all files. `not_before`: a lower version is refused.

    Raises PackageError with one line. Nothing unsigned is parsed but the envelope itself.
    """
    payload = _signed_payload(place / SIGNATURE_FILE, trusted)
    try:
        approval = msgspec.json.decode(payload, type=Approval)
    except msgspec.DecodeError as error:
        raise PackageError(f"{place / SIGNATURE_FILE}: signed, but no approval of ours: {error}") from error
    folder = place / PACKAGE_FOLDER
    if folder.is_symlink() or file_sha256(folder / MANIFEST_FILE) != approval.manifest:
        raise PackageError(f"{folder}: {MANIFEST_FILE} is not the one that was approved")
    manifest = load_manifest(folder)
    verify_files(folder, manifest)
    if (manifest.name, manifest.version, manifest_digest(folder)) != (approval.name, approval.version, approval.digest):
        raise PackageError(f"{folder}: is not the package {approval.name} {approval.version} that was approved")
    if name is not None and approval.name != name:
        raise PackageError(f"{folder}: holds {approval.name}, expected {name}")
    if not_before is not None and version_key(approval.version) < version_key(not_before):
        raise PackageError(f"{folder}: version {approval.version} is older than {not_before}")
    return approval, manifest


def version_key(version: str) -> tuple[int, ...]:
    """For comparing versions."""
    return tuple(int(number) for number in version.split("."))


def _signed_payload(path: Path, trusted: Mapping[str, PublicKey]) -> bytes:
    try:
        envelope = msgspec.json.decode(read_bounded(path, _MAX_BYTES), type=Envelope)
        payload = base64.b64decode(envelope.payload, validate=True)
        values = [(entry.keyid, base64.b64decode(entry.sig, validate=True)) for entry in envelope.signatures]
    except (msgspec.DecodeError, UnicodeDecodeError, binascii.Error) as error:
        raise PackageError(f"{path}: not an envelope: {error}") from error
    known = [(key, value) for key, value in values if key in trusted]
    if envelope.payload_type != PAYLOAD_TYPE or not known:
        keys = ", ".join(key for key, _ in values)
        raise PackageError(f"{path}: signed by unknown key(s) {keys[:200]}")
    if not any(is_signed(trusted, key, encoded(payload), value) for key, value in known):
        raise PackageError(f"{path}: the signature is wrong")
    return payload
