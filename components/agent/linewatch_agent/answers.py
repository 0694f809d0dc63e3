"""What becomes of an error in a call: its status, one line for the client, one for the log."""

import functools
import itertools
import logging
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import grpc
from linewatch_agent_api.errors import NEVER, RETRY_KEY
from linewatch_common.logs import capped

from linewatch_agent.errors import CaptureTooLargeError, RequestError
from linewatch_agent.refusals import RefusalLog
from linewatch_agent.status_codes import status_of

log = logging.getLogger(__name__)

# Under this key a failed call's trailing metadata names its log line.
REQUEST_KEY = "linewatch-request"
# Status messages travel in a header, three bytes for each that is not plain ASCII. Clients refuse headers from 8 KB on, now and then.
_MESSAGE_BYTES = 2000
_numbers = itertools.count(1)
Rpc = TypeVar("Rpc", bound=Callable[..., Any])


class Servicer(Protocol):
    """What `answered` needs of the class whose methods it wraps."""

    refusals: RefusalLog


def answered(rpc: Rpc) -> Rpc:
    """Give every error its status; a defect of ours is logged with its traceback under a number that the client gets too.

    A call that went well has a line and a number only in a verbose log.
    """

    @functools.wraps(rpc)
    def wrapped(self: Servicer, request: Any, context: grpc.ServicerContext) -> Any:
        start = time.perf_counter()
        try:
            answer = rpc(self, request, context)
            if log.isEnabledFor(logging.DEBUG):
                took = (time.perf_counter() - start) * 1000
                log.debug("request %d: %s answered in %.1f ms", next(_numbers), rpc.__name__, took)
            return answer
        except Exception as error:
            # One line of text: names of files in it may be neither.
            status, message, number = status_of(error), _message(error), next(_numbers)
            hint = ((RETRY_KEY, NEVER),) if isinstance(error, CaptureTooLargeError) else ()
            if status is grpc.StatusCode.INTERNAL and not isinstance(error, RequestError):
                log.exception("request %d: %s: internal error", number, rpc.__name__)
                message = f"internal error in {rpc.__name__} ({type(error).__name__}); see request {number} in the agent's log"
            else:
                self.refusals.note(number, rpc.__name__, status.name, message)
        context.set_trailing_metadata(((REQUEST_KEY, str(number)), *hint))
        context.abort(status, message)
        return None

    return wrapped  # type: ignore[return-value]  # same signature as the wrapped


def _message(error: Exception) -> str:
    """What the error says, as much of it as a status holds."""
    text = capped(str(error), _MESSAGE_BYTES)
    content = text.encode()
    return text if len(content) <= _MESSAGE_BYTES else content[:_MESSAGE_BYTES].decode(errors="ignore") + "…"
