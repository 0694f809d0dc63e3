"""Foreign errors in our words: what may be tried again is, what may not is said at once."""

from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    UnauthorizedSSOTokenError,
)

from model_build.fleet.calls import PATIENCE_SECONDS, Caller
from model_build.fleet.errors import (
    CloudUnavailableError,
    ConflictError,
    CredentialsError,
    FleetError,
    FleetInputError,
    NotFoundError,
)


class Service:
    """A client whose operation fails as it is told, then succeeds."""

    meta = SimpleNamespace(service_model=SimpleNamespace(service_name="greengrassv2"))

    def __init__(self, error: Exception, times: int = 1_000_000) -> None:
        self._error = error
        self._left = times

    def act(self, **_: Any) -> str:
        if self._left:
            self._left -= 1
            raise self._error
        return "done"


def _answer(code: str, status: int = 400) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": "why\nso"}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Act"
    )


LATER: list[Exception] = [
    _answer("ThrottlingException", 429),
    _answer("SlowDown", 503),
    _answer("SomethingNew", 500),
    _answer("DeleteConflictException", 409),
    EndpointConnectionError(endpoint_url="x"),
    ConnectTimeoutError(endpoint_url="x"),
]


@pytest.mark.parametrize("error", LATER)
def test_what_passes_is_tried_again_with_growing_pauses_and_given_up_in_the_end(error: Exception) -> None:
    pauses: list[float] = []
    caller = Caller(sleep=pauses.append)
    assert caller(Service(error, 4), "act") == "done"
    assert len(pauses) == 4
    assert caller.made["greengrassv2:act"] == 5
    assert all(0.5 * 0.5 * 2**number <= pause <= 0.5 * 2**number for number, pause in enumerate(pauses))
    pauses.clear()
    with pytest.raises(CloudUnavailableError, match="given up after"):
        caller(Service(error), "act")
    assert PATIENCE_SECONDS - 21 < sum(pauses) <= PATIENCE_SECONDS


NOW: list[tuple[BotoCoreError | ClientError, type[FleetError]]] = [
    (_answer("ExpiredTokenException", 403), CredentialsError),
    (_answer("ExpiredToken"), CredentialsError),
    (_answer("UnrecognizedClientException"), CredentialsError),
    (_answer("AccessDeniedException", 403), CredentialsError),
    (NoCredentialsError(), CredentialsError),
    (UnauthorizedSSOTokenError(), CredentialsError),
    (_answer("ResourceNotFoundException", 404), NotFoundError),
    (_answer("NoSuchKey", 404), NotFoundError),
    (_answer("ConflictException", 409), ConflictError),
    (_answer("PreconditionFailed", 412), ConflictError),
    (_answer("ValidationException"), FleetInputError),
    (ParamValidationError(report="wrong"), FleetInputError),
]


@pytest.mark.parametrize(("error", "ours"), NOW)
def test_what_does_not_pass_is_said_at_once_in_one_line(error: Exception, ours: type[FleetError]) -> None:
    pauses: list[float] = []
    with pytest.raises(ours) as refused:
        Caller(sleep=pauses.append)(Service(error), "act")
    assert not pauses
    assert str(refused.value).startswith("greengrassv2:act: ")
    assert "\n" not in str(refused.value)
