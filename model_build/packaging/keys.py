"""Keys that sign packages: P-256 (which a device can check with what it has, and AWS KMS can hold) or Ed25519, as PEM files."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from linewatch_common.errors import InputError
from linewatch_common.files import write_atomically

from model_build.data.pixels import read_bounded

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
Kind = Literal["p256", "ed25519"]
_MAX_BYTES = 64 * 1024


def new_key(path: Path, kind: Kind) -> str:
    """Write a new private key (mode 0600) and `<path>.pub` beside it; returns the key id. Raises InputError, StorageError."""
    if path.exists():
        raise InputError(f"{path}: is there already, a key is never replaced")
    key: PrivateKey = (
        ec.generate_private_key(ec.SECP256R1()) if kind == "p256" else ed25519.Ed25519PrivateKey.generate()
    )
    form = serialization.PrivateFormat.PKCS8
    write_atomically(path, key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    write_atomically(path.with_name(path.name + ".pub"), public, 0o644)
    return key_id(key.public_key())


def read_private(path: Path) -> PrivateKey:
    """Raises InputError for a file that others may read, and for a key of another kind."""
    data = read_bounded(path, _MAX_BYTES)
    if os.stat(path).st_mode & 0o077:  # noqa: PTH116 - follows a link, as the read does
        raise InputError(f"{path}: others may read this private key, 'chmod 600' it")
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InputError(f"{path}: no private key without a passphrase in PEM") from error
    if isinstance(key, ed25519.Ed25519PrivateKey) or _is_p256(key):
        return key  # type: ignore[return-value]  # _is_p256 does not narrow
    raise InputError(f"{path}: neither P-256 nor Ed25519")


def read_trusted(paths: list[Path]) -> dict[str, PublicKey]:
    """Public keys by id. Raises InputError."""
    found: dict[str, PublicKey] = {}
    for path in paths:
        try:
            key = serialization.load_pem_public_key(read_bounded(path, _MAX_BYTES))
        except (ValueError, UnsupportedAlgorithm) as error:
            raise InputError(f"{path}: no public key in PEM") from error
        if not (isinstance(key, ed25519.Ed25519PublicKey) or _is_p256(key)):
            raise InputError(f"{path}: neither P-256 nor Ed25519")
        found[key_id(key)] = key  # type: ignore[arg-type,assignment]  # _is_p256 does not narrow
    return found


def key_id(key: PublicKey) -> str:
    """The first 32 hex digits of the SHA-256 of the public key (SubjectPublicKeyInfo, DER)."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(key.public_bytes(serialization.Encoding.DER, form)).hexdigest()[:32]


def signature(key: PrivateKey, message: bytes) -> bytes:
    """Ed25519, or ECDSA over SHA-256 in DER."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    return key.sign(message, ec.ECDSA(hashes.SHA256()))


def is_signed(trusted: Mapping[str, PublicKey], key: str, message: bytes, value: bytes) -> bool:
    """Whether `value` is the signature of the trusted key with that id."""
    public = trusted.get(key)
    try:
        if isinstance(public, ed25519.Ed25519PublicKey):
            public.verify(value, message)
        elif public is not None:
            public.verify(value, message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return public is not None


def _is_p256(key: object) -> bool:
    return isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey) and isinstance(
        key.curve, ec.SECP256R1
    )
