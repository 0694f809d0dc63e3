"""Every error of the agent has a status, and every status is documented."""

import grpc
from linewatch_agent import errors
from linewatch_agent.status_codes import STATUS_OF, status_of
from linewatch_common.errors import InputError, PackageError

DOCUMENTED = {
    "NOT_FOUND",
    "INVALID_ARGUMENT",
    "ALREADY_EXISTS",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "OUT_OF_RANGE",
    "INTERNAL",
}


def test_every_refusal_is_in_the_table() -> None:
    assert set(errors.RequestError.__subclasses__()) == set(STATUS_OF) - {InputError}


def test_every_status_is_a_documented_one() -> None:
    assert {status.name for status in STATUS_OF.values()} == DOCUMENTED


def test_an_unknown_error_is_internal_and_an_input_error_is_the_clients() -> None:
    assert status_of(ZeroDivisionError()) is grpc.StatusCode.INTERNAL
    assert status_of(PackageError()) is grpc.StatusCode.INVALID_ARGUMENT
