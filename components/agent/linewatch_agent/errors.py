"""Why the agent refuses a request. The servicer's table gives each its gRPC status; a message says what, why and what to do."""

from linewatch_common.errors import InputError


def unforeseen(error: Exception) -> str:
    """What no adapter foresaw, in one line."""
    return f"{type(error).__name__}: {error}"


class RequestError(InputError):
    """Base of every refusal."""


class BadRequestError(RequestError):
    """The request itself is wrong: a name, a tensor, a capture id."""


class UnknownModelError(RequestError):
    """No model of this name is loaded."""


class NothingThereError(RequestError):
    """Nothing lies at the url."""


class ModelExistsError(RequestError):
    """A model of this name is loaded already."""


class NotLoadableError(RequestError):
    """What lies at the url cannot be loaded on this machine."""


class NotReadyError(RequestError):
    """The model is not in the state that the call needs."""


class RuntimeEndedError(RequestError):
    """The process that runs a model is gone. The agent and its other models are not touched."""


class NoMemoryError(RequestError):
    """The model does not fit the memory budget."""


class BusyError(RequestError):
    """Too many models are being loaded, or pictures judged, at once."""


class UnknownCaptureError(RequestError):
    """No capture of this id is known."""


class CaptureExistsError(RequestError):
    """A capture of this id was taken already."""


class CaptureBufferFullError(RequestError):
    """The disk is slower than the captures come, or full."""


class CaptureTooLargeError(CaptureBufferFullError):
    """Larger than all that may wait together: as the agent is configured, it never fits."""


class FutureCaptureError(RequestError):
    """The inference's timestamp lies in the future."""


class NoNetworkError(RequestError):
    """Captured data leaves without a spool, and its destination cannot be reached."""


class NotInstalledError(RequestError):
    """Captured data goes through an extra that is not installed."""
