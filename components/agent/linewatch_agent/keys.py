"""The public keys of the configuration.

P-256 is checked by awscrt, which every artefact has. awscrt can make Ed25519 keys, but not check signatures with them.
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from linewatch_common.approval import Keys, key_id
from linewatch_common.errors import ConfigError

# A SubjectPublicKeyInfo of either kind is these bytes and the key; anything else is no key that we know.
_P256 = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
_P256_LENGTH = len(_P256) + 65
_ED25519 = bytes.fromhex("302a300506032b6570032100")
_ED25519_LENGTH = len(_ED25519) + 32


class Key(Protocol):
    """One public key."""

    def is_signed(self, message: bytes, value: bytes) -> bool:
        """Whether `value` is this key's signature of `message`."""


@dataclass(frozen=True, slots=True)
class ConfiguredKeys:
    """By id; see linewatch_common.approval.Keys."""

    keys: Mapping[str, Key]

    def knows(self, key: str) -> bool:
        """See Keys."""
        return key in self.keys

    def is_signed(self, key: str, message: bytes, value: bytes) -> bool:
        """See Keys."""
        found = self.keys.get(key)
        return found is not None and found.is_signed(message, value)


def read_keys(texts: Sequence[str]) -> Keys:
    """Each text is a SubjectPublicKeyInfo in base64, or the same as PEM. Raises ConfigError with one line."""
    return ConfiguredKeys(dict(_key(text) for text in texts))


def _key(text: str) -> tuple[str, Key]:
    lines = [line.strip() for line in text.replace("\\n", "\n").splitlines() if "-----" not in line]
    try:
        der = base64.b64decode("".join(lines), validate=True)
    except binascii.Error as error:
        raise ConfigError(f"TrustedKeys: {text[:40]!r}… is not base64: {error}") from error
    if der.startswith(_P256) and len(der) == _P256_LENGTH:
        return key_id(der), _P256Key(_opened(der, text))
    if der.startswith(_ED25519) and len(der) == _ED25519_LENGTH:
        return key_id(der), _Ed25519Key(_opened_ed25519(der))
    raise ConfigError(
        f"TrustedKeys: {text[:40]!r}… is no public key, P-256 or Ed25519 (the line that `model_build key` prints)"
    )


def _opened(der: bytes, text: str) -> Any:
    from awscrt.crypto import EC  # noqa: PLC0415 - only who trusts a key needs it: the standalone agent loads no AWS library

    try:
        return EC.new_key_from_der_data(der)
    except (RuntimeError, ValueError) as error:
        raise ConfigError(f"TrustedKeys: {text[:40]!r}… is no point of P-256") from error


def _opened_ed25519(der: bytes) -> Any:
    try:
        from cryptography.hazmat.primitives.serialization import load_der_public_key  # noqa: PLC0415 - rarely there
    except ImportError as error:
        raise ConfigError(
            "TrustedKeys: an Ed25519 key needs the package cryptography, which is not in the artefact; sign with a P-256 key"
        ) from error
    return load_der_public_key(der)


@dataclass(frozen=True, slots=True)
class _P256Key:
    key: Any

    def is_signed(self, message: bytes, value: bytes) -> bool:
        return bool(self.key.verify(hashlib.sha256(message).digest(), value))


@dataclass(frozen=True, slots=True)
class _Ed25519Key:
    key: Any

    def is_signed(self, message: bytes, value: bytes) -> bool:
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - as above

        try:
            self.key.verify(value, message)
        except InvalidSignature:
            return False
        return True
