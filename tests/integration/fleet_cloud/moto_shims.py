"""What moto's KMS and model registry lack."""

from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from moto.kms.utils import ECDSAPrivateKey
from moto.sagemaker.models import ModelPackage


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """moto would hash what is hashed already (MessageType DIGEST), and forget an approval that an update does not name."""
    monkeypatch.setattr(ECDSAPrivateKey, "sign", _sign_digest)
    change = ModelPackage.set_model_approval_status

    def changed(self: ModelPackage, status: str | None) -> None:
        if status is not None:
            change(self, status)

    monkeypatch.setattr(ModelPackage, "set_model_approval_status", changed)


def _sign_digest(self: Any, message: bytes, signing_algorithm: str) -> bytes:
    assert (len(message), signing_algorithm) == (32, "ECDSA_SHA_256")
    signature: bytes = self.private_key.sign(message, ec.ECDSA(Prehashed(hashes.SHA256())))
    return signature
