"""Signing an approval by a key that never leaves AWS KMS: the same envelope as with a key in a file."""

import base64
import hashlib
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from linewatch_common.approval import PAYLOAD_TYPE, Approval, Envelope, Signature, encoded
from linewatch_common.errors import InputError

from model_build.fleet.calls import Caller
from model_build.packaging.keys import TrustedKeys, id_of, trusting

ALGORITHM = "ECDSA_SHA_256"


class KmsKey:
    """A P-256 key in KMS, by id, ARN or alias."""

    def __init__(self, kms: Any, key: str, call: Caller) -> None:
        self._kms = kms
        self._key = key
        self._call = call

    def public(self) -> ec.EllipticCurvePublicKey:
        """Its public half. Raises InputError for another kind of key, FleetError."""
        found = serialization.load_der_public_key(self._call(self._kms, "get_public_key", KeyId=self._key)["PublicKey"])
        if not isinstance(found, ec.EllipticCurvePublicKey) or not isinstance(found.curve, ec.SECP256R1):
            raise InputError(f"{self._key}: is no P-256 key")
        return found

    def trusted(self) -> TrustedKeys:
        """Trust this key alone."""
        return trusting(self.public())

    def sign(self, approval: Approval) -> bytes:
        """The envelope's bytes. KMS signs RAW messages up to 4,096 bytes only, so it gets the digest. Raises FleetError."""
        payload = msgspec.json.encode(approval, order="sorted")
        answer = self._call(
            self._kms,
            "sign",
            KeyId=self._key,
            Message=hashlib.sha256(encoded(payload)).digest(),
            MessageType="DIGEST",
            SigningAlgorithm=ALGORITHM,
        )
        value = base64.b64encode(answer["Signature"]).decode()
        signed = (Signature(keyid=id_of(self.public()), sig=value),)
        envelope = Envelope(payload=base64.b64encode(payload).decode(), payload_type=PAYLOAD_TYPE, signatures=signed)
        return msgspec.json.format(msgspec.json.encode(envelope), indent=1) + b"\n"


def write_public(key: ec.EllipticCurvePublicKey, path: Path) -> None:
    """As PEM, for commands that take a file."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    path.write_bytes(key.public_bytes(serialization.Encoding.PEM, form))
