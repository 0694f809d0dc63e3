"""Signing a package, and the check that a device does too (linewatch_common.approval holds the format and the checks)."""

import base64
from pathlib import Path

import msgspec
from linewatch_common.approval import (
    PACKAGE_FOLDER,
    PAYLOAD_TYPE,
    Approval,
    Envelope,
    Keys,
    Signature,
    approved,
    encoded,
    verify_approved,
    version_key,
)
from linewatch_common.errors import PackageError
from linewatch_common.manifest import MANIFEST_FILE, Manifest, file_sha256, load_manifest, manifest_digest, verify_files

from model_build.packaging.keys import PrivateKey, id_of, signature


def approve(folder: Path, approver: str, approved_at: str, security_floor: str | None = None) -> Approval:
    """What is to be signed for the package in `folder`. Raises PackageError when the package is not whole."""
    manifest = load_manifest(folder)
    verify_files(folder, manifest)
    if security_floor is not None and version_key(security_floor) > version_key(manifest.version):
        raise PackageError(f"{folder}: version {manifest.version} lies below its own security floor {security_floor}")
    return msgspec.convert(
        {
            "name": manifest.name,
            "version": manifest.version,
            "digest": manifest_digest(folder),
            "manifest": file_sha256(folder / MANIFEST_FILE),
            "approver": approver,
            "approved_at": approved_at,
            "security_floor": security_floor,
        },
        Approval,
    )


def sign(approval: Approval, key: PrivateKey) -> bytes:
    """The envelope's bytes."""
    payload = msgspec.json.encode(approval, order="sorted")
    value = base64.b64encode(signature(key, encoded(payload))).decode()
    signed = (Signature(keyid=id_of(key.public_key()), sig=value),)
    envelope = Envelope(payload=base64.b64encode(payload).decode(), payload_type=PAYLOAD_TYPE, signatures=signed)
    return msgspec.json.format(msgspec.json.encode(envelope), indent=1) + b"\n"


def verify(
    place: Path, trusted: Keys, name: str | None = None, not_before: str | None = None
) -> tuple[Approval, Manifest]:
    """Check signature, then the manifest's bytes, then all files. `not_before`: a lower version is refused.

    Raises PackageError with one line. Nothing unsigned is parsed but the envelope itself.
    """
    folder = place / PACKAGE_FOLDER
    approval = approved(folder, trusted)
    manifest = verify_approved(folder, approval)
    if name is not None and approval.name != name:
        raise PackageError(f"{folder}: holds {approval.name}, expected {name}")
    if not_before is not None and version_key(approval.version) < version_key(not_before):
        raise PackageError(f"{folder}: version {approval.version} is older than {not_before}")
    return approval, manifest
