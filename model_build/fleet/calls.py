"""Calls to AWS: patience with throttling, and foreign errors in our words. Every call of the fleet and of publishing goes through here."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from linewatch_common.backoff import Backoff

from model_build.fleet.errors import (
    CloudUnavailableError,
    ConflictError,
    CredentialsError,
    FleetError,
    FleetInputError,
    NotFoundError,
)

# Quotas refill within seconds; a call that is refused for two minutes will not get through by asking on.
PATIENCE_SECONDS = 120.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 20.0
_LATER = frozenset(
    [
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "SlowDown",
        "RequestThrottled",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "InternalFailure",
        "InternalFailureException",
        "InternalError",
        "InternalServerException",
        "RequestTimeout",
        "RequestAlreadyInProgressException",
        "DeleteConflictException",  # AWS IoT: what was detached a moment ago still counts as attached
        "500",
        "502",
        "503",
        "504",
    ]
)
_CREDENTIALS = frozenset(
    [
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "InvalidToken",
        "TokenRefreshRequired",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "RequestExpired",
    ]
)
_REFUSED = frozenset(["AccessDenied", "AccessDeniedException", "UnauthorizedException", "UnauthorizedOperation", "403"])
_MISSING = frozenset(["ResourceNotFoundException", "NoSuchKey", "NoSuchBucket", "NoSuchUpload", "NotFound", "404"])
_CONFLICT = frozenset(
    ["ConflictException", "PreconditionFailed", "ConditionalRequestConflict", "ResourceAlreadyExistsException", "412"]
)
# boto3's credential chain raises these; the rest of BotoCoreError is the network's, or a parameter's.
_CHAIN = ("Credential", "Token", "SSO", "Profile")
_OURS = ("Param", "Serialization", "Unknown", "Invalid", "MissingParameters", "NoRegion")


class Caller:
    """Calls with back-off and jitter, at most `patience` seconds each. `made` counts calls by operation, refused ones too."""

    def __init__(
        self,
        sleep: Callable[[float], None] = time.sleep,
        patience: float = PATIENCE_SECONDS,
        on_wait: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._sleep = sleep
        self._patience = patience
        self._on_wait = on_wait
        self.made: Counter[str] = Counter()
        self._lock = threading.Lock()  # reports are read by several threads

    def __call__(self, client: Any, operation: str, **parameters: Any) -> Any:
        """The answer of `operation` (as boto3 spells it). Raises FleetError's children."""
        backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        waited = 0.0
        what = f"{client.meta.service_model.service_name}:{operation}"
        while True:
            with self._lock:
                self.made[what] += 1
            try:
                return getattr(client, operation)(**parameters)
            except (ClientError, BotoCoreError) as error:
                ours = _translated(what, error)
                if not isinstance(ours, CloudUnavailableError):
                    raise ours from error
                pause = backoff.pause()
                if waited + pause > self._patience:
                    raise CloudUnavailableError(
                        f"{ours}; given up after {waited:.0f} s: run the same command again later, it goes on where it stopped"
                    ) from error
            self._on_wait(f"{ours}; trying again in {pause:.1f} s")
            self._sleep(pause)
            waited += pause

    def pages(self, client: Any, operation: str, field: str, **parameters: Any) -> Iterator[Any]:
        """Every item of `field` over all pages (nextToken)."""
        token: dict[str, Any] = {}
        while True:
            answer = self(client, operation, **parameters, **token)
            yield from answer.get(field, [])
            if not answer.get("nextToken"):
                return
            token = {"nextToken": answer["nextToken"]}


def _translated(what: str, error: ClientError | BotoCoreError) -> FleetError:
    if isinstance(error, ClientError):
        return _of_answer(what, error)
    name = type(error).__name__
    if isinstance(error, NoCredentialsError) or any(part in name for part in _CHAIN):
        return CredentialsError(f"{what}: {error}: log in, then run the same command again")
    if any(part in name for part in _OURS):
        return FleetInputError(f"{what}: {' '.join(str(error).split())}")
    return CloudUnavailableError(f"{what}: {error}")


def _of_answer(what: str, error: ClientError) -> FleetError:
    problem = error.response.get("Error", {})
    code, text = str(problem.get("Code", "")), " ".join(str(problem.get("Message", "")).split())
    line = f"{what}: {code}: {text}"
    if code in _CREDENTIALS:
        return CredentialsError(
            f"{line}: renew the credentials, then run the same command again; it goes on where it stopped"
        )
    if code in _REFUSED:
        return CredentialsError(f"{line}: this role may not do it; docs/fleet.md lists what a deployer needs")
    if code in _MISSING:
        return NotFoundError(line)
    if code in _CONFLICT:
        return ConflictError(line)
    if code in _LATER or error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500:
        return CloudUnavailableError(line)
    return FleetInputError(line)
