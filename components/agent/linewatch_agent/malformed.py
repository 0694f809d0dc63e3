"""Requests whose bytes are no message of the interface.

gRPC's own way with these (1.85) logs a traceback for each and never frees the call: 16 KB a request. So we parse, and refuse.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError


@dataclass(frozen=True, slots=True)
class Malformed:
    """What stands for a request that cannot be read."""

    reason: str


class MalformedRequests(grpc.ServerInterceptor):  # type: ignore[misc]  # grpc is untyped here
    """Answers them with INTERNAL, as the original's server did; no servicer sees one."""

    def __init__(self) -> None:
        self._guarded: dict[str, grpc.RpcMethodHandler] = {}

    def intercept_service(
        self, continuation: Callable[[Any], grpc.RpcMethodHandler | None], handler_call_details: Any
    ) -> grpc.RpcMethodHandler | None:
        """See grpc.ServerInterceptor; called for every request, so a method's handler is made once."""
        method = handler_call_details.method
        known = self._guarded.get(method)
        if known is not None:
            return known
        handler = continuation(handler_call_details)
        if handler is not None:
            handler = self._guarded[method] = _guarded(method.rpartition("/")[2], handler)
        return handler


def _guarded(name: str, handler: Any) -> grpc.RpcMethodHandler:
    def parse(data: bytes) -> Any:
        try:
            return handler.request_deserializer(data)
        except DecodeError as error:
            return Malformed(" ".join(str(error).split())[:200])

    def answer(request: Any, context: grpc.ServicerContext) -> Any:
        if isinstance(request, Malformed):
            context.abort(
                grpc.StatusCode.INTERNAL, f"{name}: the bytes sent are no request of this interface: {request.reason}"
            )
        return handler.unary_unary(request, context)

    return grpc.unary_unary_rpc_method_handler(answer, parse, handler.response_serializer)
