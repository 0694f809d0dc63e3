"""A device's key and certificate. The key is made here and never leaves the folder; AWS IoT sees a signing request."""

from pathlib import Path
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from linewatch_common.errors import InputError, StorageError
from linewatch_common.files import write_atomically
from msgspec import Struct

from model_build.devices.account import Account
from model_build.fleet.errors import NotFoundError

KEY_FILE, CERTIFICATE_FILE, IDENTITY_FILE = "private.pem.key", "device.pem.crt", "certificate.json"
_KEY_BITS = 2048  # RSA: both runtimes and every helper component take it


class Identity(Struct, frozen=True, forbid_unknown_fields=True):
    """The certificate that belongs to the key beside it."""

    certificate_id: str
    certificate_arn: str
    pem: str


def identity_of(account: Account, folder: Path, thing: str) -> Identity | None:
    """The device's certificate: the one in `folder`, or a new inactive one for the key there, made when it is missing.

    None in a dry run without one. Each step is kept before the next, so an interrupted run goes on; at worst an inactive
    certificate that belongs to nothing is left behind. Raises InputError, StorageError, FleetError.
    """
    kept = read_identity(folder)
    if kept is not None and _exists(account, kept):
        return kept
    request = "" if account.dry_run else _signing_request(_key(folder / KEY_FILE), thing)
    made = account.change(
        "iot", "create_certificate_from_csr", certificateSigningRequest=request or "(for a new key)", setAsActive=False
    )
    if account.dry_run:
        return None
    identity = Identity(made["certificateId"], made["certificateArn"], made["certificatePem"])
    write_atomically(folder / IDENTITY_FILE, msgspec.json.encode(identity))
    write_atomically(folder / CERTIFICATE_FILE, identity.pem.encode(), 0o644)
    return identity


def read_identity(folder: Path) -> Identity | None:
    """What an earlier run kept. Raises InputError, StorageError."""
    path = folder / IDENTITY_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Identity)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from error


def remove_files(folder: Path, names: tuple[str, ...]) -> None:
    """Delete these files and the folder when it is empty then. Raises StorageError."""
    try:
        for name in names:
            (folder / name).unlink(missing_ok=True)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    except OSError as error:
        raise StorageError(f"{folder}: {error.strerror}") from error


def _exists(account: Account, identity: Identity) -> bool:
    try:
        account.read("iot", "describe_certificate", certificateId=identity.certificate_id)
    except NotFoundError:
        return False
    return True


def _key(path: Path) -> rsa.RSAPrivateKey:
    """The key in the file, made and written (mode 0600) when there is none."""
    if not path.exists():
        form = (
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
        write_atomically(path, rsa.generate_private_key(65537, _KEY_BITS).private_bytes(*form))
    try:
        key: Any = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path}: no private key in PEM") from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise InputError(f"{path}: not an RSA key")
    return key


def _signing_request(key: rsa.RSAPrivateKey, thing: str) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, thing)])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()
