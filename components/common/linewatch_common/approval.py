"""The signed envelope beside a package: who approved which bytes, and when. Devices and the command line read it by this code.

`signature.json` lies beside the folder `package`, not in it. It is a DSSE envelope (secure-systems-lab/dsse, protocol.md): what is signed
is the pre-authentication encoding of the payload's bytes, and the payload is looked at only after the signature was found good.
"""

import base64
import binascii
import hashlib
import os
import stat
from pathlib import Path
from typing import Annotated, Literal, Protocol

import msgspec
from msgspec import Meta, Struct

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

SIGNATURE_FILE, PACKAGE_FOLDER = "signature.json", "package"
PAYLOAD_TYPE = "application/vnd.linewatch.approval+json"
MAX_BYTES = 64 * 1024
Moment = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]


class Approval(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The payload. `digest` is the package's identity, `manifest` the SHA-256 of the very bytes of manifest.json.

    `security_floor`: from this approval on, no version of this model below it may be used any more.
    """

    schema: Literal["linewatch.Approval/1"] = "linewatch.Approval/1"
    name: Name
    version: Version
    digest: Text
    manifest: Sha256
    approver: Text
    approved_at: Moment
    security_floor: Version | None = None


class Signature(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One signature in base64."""

    keyid: Text
    sig: Text


class Envelope(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename="camel"):
    """DSSE's JSON form; `payload` in base64."""

    payload: str
    payload_type: str
    signatures: Annotated[tuple[Signature, ...], Meta(min_length=1, max_length=8)]


class Keys(Protocol):
    """The keys that are trusted."""

    def knows(self, key: str) -> bool:
        """Whether the key with that id is trusted."""

    def is_signed(self, key: str, message: bytes, value: bytes) -> bool:
        """Whether `value` is the signature of `message` by the trusted key with that id."""


def encoded(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: the type and both lengths cannot be shifted into the payload."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


def key_id(public: bytes) -> str:
    """The first 32 hex digits of the SHA-256 of the public key (SubjectPublicKeyInfo, DER)."""
    return hashlib.sha256(public).hexdigest()[:32]


def signature_of(folder: Path) -> Path:
    """Where the envelope of the package in `folder` lies, if it has one."""
    return folder.parent / SIGNATURE_FILE


def is_enveloped(folder: Path) -> bool:
    """Whether an envelope lies beside the package: only a folder called `package` can have one."""
    return folder.name == PACKAGE_FOLDER and os.path.lexists(signature_of(folder))


def read_approval(path: Path, keys: Keys) -> Approval:
    """What the envelope at `path` says, once its signature was found good. Raises PackageError with one line."""
    payload = _signed_payload(path, keys)
    try:
        return msgspec.json.decode(payload, type=Approval)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PackageError(f"{path}: signed, but no approval of ours: {error}") from error


def approved(folder: Path, keys: Keys) -> Approval:
    """The approval of the very manifest that lies in the package's `folder`; nothing unsigned is parsed but the envelope.

    Raises PackageError.
    """
    approval = read_approval(signature_of(folder), keys)
    if folder.is_symlink() or file_sha256(folder / MANIFEST_FILE) != approval.manifest:
        raise PackageError(f"{folder}: {MANIFEST_FILE} is not the one that was approved")
    return approval


def verify_approved(folder: Path, approval: Approval) -> Manifest:
    """The manifest, after everything in `folder` was found to be what `approval` says. Raises PackageError."""
    manifest = load_manifest(folder)
    verify_files(folder, manifest)
    if (manifest.name, manifest.version, manifest_digest(folder)) != (approval.name, approval.version, approval.digest):
        raise PackageError(f"{folder}: is not the package {approval.name} {approval.version} that was approved")
    return manifest


def version_key(version: str) -> tuple[int, ...]:
    """For comparing versions."""
    return tuple(int(number) for number in version.split("."))


def _signed_payload(path: Path, keys: Keys) -> bytes:
    try:
        envelope = msgspec.json.decode(_read(path), type=Envelope)
        payload = base64.b64decode(envelope.payload, validate=True)
        values = [(entry.keyid, base64.b64decode(entry.sig, validate=True)) for entry in envelope.signatures]
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, binascii.Error) as error:
        raise PackageError(f"{path}: not an envelope: {error}") from error
    if envelope.payload_type != PAYLOAD_TYPE:
        raise PackageError(f"{path}: signs {envelope.payload_type[:100]!r}, no approval of ours")
    known = [(key, value) for key, value in values if keys.knows(key)]
    if not known:
        raise PackageError(f"{path}: signed by unknown key(s) {', '.join(key for key, _ in values)[:200]}")
    if not any(keys.is_signed(key, encoded(payload), value) for key, value in known):
        raise PackageError(f"{path}: the signature is wrong")
    return payload


def _read(path: Path) -> bytes:
    try:
        # Opening a pipe must not wait for its writer; a link must not lead out.
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as file:
            raw = file.read(MAX_BYTES + 1) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
    except OSError as error:
        raise PackageError(f"{path}: {error.strerror}") from error
    if len(raw) > MAX_BYTES:
        raise PackageError(f"{path}: is over {MAX_BYTES} bytes, too big for an envelope")
    return raw
