"""Keys that sign packages: P-256 (which a device can check with what it has, and AWS KMS can hold) or Ed25519, as PEM files."""

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from linewatch_common.approval import key_id
from linewatch_common.errors import InputError
from linewatch_common.files import write_atomically

from model_build.data.pixels import read_bounded

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
Kind = Literal["p256", "ed25519"]
_MAX_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class TrustedKeys:
    """Public keys by id; see linewatch_common.approval.Keys."""

    keys: Mapping[str, PublicKey]

    def knows(self, key: str) -> bool:
        """See Keys."""
        return key in self.keys

    def is_signed(self, key: str, message: bytes, value: bytes) -> bool:
        """See Keys."""
        public = self.keys.get(key)
        try:
            if isinstance(public, ed25519.Ed25519PublicKey):
                public.verify(value, message)
            elif public is not None:
                public.verify(value, message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return public is not None


def new_key(path: Path, kind: Kind) -> str:
    """Write a new private key (mode 0600) and `<path>.pub` beside it; returns the key id. Raises InputError, StorageError."""
    beside = path.with_name(path.name + ".pub")
    for place in (path, beside):
        if place.exists():
            raise InputError(f"{place}: is there already, a key is never replaced")
    key: PrivateKey = (
        ec.generate_private_key(ec.SECP256R1()) if kind == "p256" else ed25519.Ed25519PrivateKey.generate()
    )
    form = serialization.PrivateFormat.PKCS8
    write_atomically(path, key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    write_atomically(beside, public, 0o644)
    return id_of(key.public_key())


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


def read_trusted(paths: list[Path]) -> TrustedKeys:
    """The public keys in these files. Raises InputError."""
    found: list[PublicKey] = []
    for path in paths:
        try:
            key = serialization.load_pem_public_key(read_bounded(path, _MAX_BYTES))
        except (ValueError, UnsupportedAlgorithm) as error:
            raise InputError(f"{path}: no public key in PEM") from error
        if not (isinstance(key, ed25519.Ed25519PublicKey) or _is_p256(key)):
            raise InputError(f"{path}: neither P-256 nor Ed25519")
        found.append(key)  # type: ignore[arg-type]  # _is_p256 does not narrow
    return trusting(*found)


def id_of(key: PublicKey) -> str:
    """The id under which envelopes and devices know the key."""
    return key_id(_der(key))


def configuration_line(key: PublicKey) -> str:
    """The key as EdgeAgent's TrustedKeys takes it: SubjectPublicKeyInfo, DER, in base64."""
    return base64.b64encode(_der(key)).decode()


def signature(key: PrivateKey, message: bytes) -> bytes:
    """Ed25519, or ECDSA over SHA-256 in DER."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    return key.sign(message, ec.ECDSA(hashes.SHA256()))


def trusting(*keys: PublicKey) -> TrustedKeys:
    """Trust these alone."""
    return TrustedKeys({id_of(key): key for key in keys})


def _der(key: PublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _is_p256(key: object) -> bool:
    return isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey) and isinstance(
        key.curve, ec.SECP256R1
    )
