"""AWS credentials for captured data: Greengrass's token exchange, or a device certificate as the original took it."""

import json
from typing import Any

import botocore.session
import urllib3
from botocore.credentials import CredentialProvider, DeferredRefreshableCredentials
from botocore.exceptions import CredentialRetrievalError

from linewatch_agent.captures.cloud import DeviceCertificate

# The endpoint answers within a second; a cable that is out must not hold an upload for long.
TIMEOUT = urllib3.Timeout(connect=5.0, read=10.0)
_METHOD = "iot-certificate"


class CertificateProvider(CredentialProvider):  # type: ignore[misc]  # botocore ships no types
    """Credentials from AWS IoT's credential endpoint, renewed before they expire. Asks nothing before they are needed."""

    METHOD = _METHOD
    CANONICAL_NAME = _METHOD

    def __init__(self, certificate: DeviceCertificate) -> None:
        super().__init__()
        self._certificate = certificate

    def load(self) -> Any:
        """botocore's contract."""
        return DeferredRefreshableCredentials(self._fetch, _METHOD)

    def _fetch(self) -> dict[str, str]:
        given = self._certificate
        headers = {"x-amzn-iot-thingname": given.thing} if given.thing else {}
        try:
            with urllib3.PoolManager(
                cert_file=given.certificate_file,
                key_file=given.key_file,
                ca_certs=given.ca_file or None,
                timeout=TIMEOUT,
                retries=False,
            ) as pool:
                answer = pool.request("GET", given.endpoint, headers=headers)
                body = answer.data
            if answer.status != 200:
                raise CredentialRetrievalError(provider=_METHOD, error_msg=f"HTTP {answer.status}: {body[:200]!r}")
            found = json.loads(body)["credentials"]
            return {
                "access_key": found["accessKeyId"],
                "secret_key": found["secretAccessKey"],
                "token": found["sessionToken"],
                "expiry_time": found["expiration"],
            }
        except (urllib3.exceptions.HTTPError, OSError, ValueError, KeyError, TypeError) as error:
            raise CredentialRetrievalError(provider=_METHOD, error_msg=f"{given.endpoint}: {error}") from error


def session_with(certificate: DeviceCertificate | None) -> Any:
    """A botocore session; without a certificate botocore itself finds the variables, among them Greengrass's token exchange."""
    session = botocore.session.get_session()
    if certificate is not None:
        provider = CertificateProvider(certificate)
        session.get_component("credential_provider").insert_before("env", provider)
    return session
