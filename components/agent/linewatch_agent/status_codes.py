"""The one table of errors and gRPC statuses. Every status is one that the original documents for its calls."""

import grpc
from linewatch_common.errors import InputError

from linewatch_agent import errors

STATUS_OF: dict[type[InputError], grpc.StatusCode] = {
    errors.BadRequestError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.UnknownModelError: grpc.StatusCode.NOT_FOUND,
    errors.NothingThereError: grpc.StatusCode.NOT_FOUND,
    errors.ModelExistsError: grpc.StatusCode.ALREADY_EXISTS,
    errors.NotLoadableError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.NotReadyError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.RuntimeEndedError: grpc.StatusCode.INTERNAL,
    errors.NoMemoryError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.BusyError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.UnknownCaptureError: grpc.StatusCode.NOT_FOUND,
    errors.CaptureExistsError: grpc.StatusCode.ALREADY_EXISTS,
    errors.CaptureBufferFullError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.NoNetworkError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.NotInstalledError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.FutureCaptureError: grpc.StatusCode.OUT_OF_RANGE,
    # What the wire's own types refuse, before the data plane sees it.
    InputError: grpc.StatusCode.INVALID_ARGUMENT,
}


def status_of(error: Exception) -> grpc.StatusCode:
    """The status of an error: of its nearest class in the table; INTERNAL when there is none, which is a defect of ours."""
    for kind in type(error).__mro__:
        if kind in STATUS_OF:
            return STATUS_OF[kind]
    return grpc.StatusCode.INTERNAL
