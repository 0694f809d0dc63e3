"""Unary calls on gRPC's core, answered by the thread that receives them.

grpc.server moves each call from its polling thread to a pool, and each step of the call back and forth between the two: five wake-ups where
one is needed, which on two cores take longer than the call's own work (figures in docs/benchmarks.md). Here one thread waits for the next
request and answers it itself, while another of the threads takes its place. HTTP/2 and all waiting stay gRPC's own.

The only importer of `cygrpc`, the layer below grpc.server. It is no public interface, so gRPC's version is locked, and the agent's contract
tests and tests/unit/agent/test_calls.py hold this module to what grpc.server does.
"""

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc
from google.protobuf.message import DecodeError
from grpc._cython import cygrpc
from linewatch_common.logs import one_line

from linewatch_agent.lead import Lead

log = logging.getLogger(__name__)

_NO_FLAGS = 0
# What an event of the queue means; one whose tag is a call and its method: the request is here.
_NEW_CALL, _ANSWERED, _SHUT_DOWN = object(), object(), object()
# Cancelled calls end at once in gRPC's core; only a prediction that runs can hold a thread for longer.
CANCEL_SECONDS = 1.0

_AT_ONCE = 0.0  # a deadline that has passed


@dataclass(frozen=True, slots=True)
class _Request:
    """`data` None: the client sent no message."""

    call: Any
    method: str
    data: bytes | None


class _AbortedError(Exception):
    """Ends a handler after `CallContext.abort`."""


class CallContext:
    """What a handler may say beside its response; as much of grpc.ServicerContext as the agent uses."""

    def __init__(self) -> None:
        self.code = grpc.StatusCode.OK
        self.details = ""
        self.trailing: tuple[tuple[str, str], ...] = ()

    def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        """End the call with an error."""
        self.code, self.details = code, details
        raise _AbortedError

    def set_trailing_metadata(self, metadata: tuple[tuple[str, str], ...]) -> None:
        """Send `metadata` with the status."""
        self.trailing = metadata


class UnaryServer:
    """In place of grpc.server, for services whose methods all take one message and give one. Not to be started twice."""

    def __init__(self, options: Sequence[tuple[str, int]], threads: int) -> None:
        self._methods: dict[str, Any] = {}
        self._short: set[str] = set()
        self._queue = cygrpc.CompletionQueue()
        self._server = cygrpc.Server(tuple(options), False)
        self._server.register_completion_queue(self._queue)
        self._serving = False
        self._lock = threading.Lock()
        # Had by the thread that waits for events; it alone changes the three below.
        self._lead = Lead()
        self._open_calls = 0
        self._shut_down = False
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, name=f"rpc_{number}", daemon=True) for number in range(threads)
        ]

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Nothing: generated code gives the same handlers again, by name, to `add_registered_method_handlers`."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any], *, short: bool = False) -> None:
        """Serve the methods of `service`. `short`: they take milliseconds, and are answered in the lead where nobody else calls."""
        methods = {f"/{service}/{name}": handler for name, handler in handlers.items()}
        self._methods |= methods
        if short:
            self._short |= methods.keys()

    def add_insecure_port(self, address: str) -> None:
        """Raises RuntimeError when `address` cannot be bound."""
        if not self._server.add_http2_port(address.encode()):
            raise RuntimeError(f"gRPC cannot bind {address}")

    def start(self) -> None:
        """Serve."""
        self._server.start()
        with self._lock:
            self._serving = True
            self._request_call()
        self._lead.start()
        for thread in self._threads:
            thread.start()

    def stop(self, grace: float) -> None:
        """Refuse new calls, give running ones `grace` seconds, cancel what is left."""
        with self._lock:
            if not self._serving:
                return
            self._serving = False
            self._server.shutdown(self._queue, _SHUT_DOWN)
        if not self._ended.wait(grace):
            self._server.cancel_all_calls()
            self._ended.wait(CANCEL_SECONDS)
        self._lead.stop()
        if not self._ended.is_set():
            log.warning("a call does not end; it is left behind")
            return
        for thread in self._threads:
            thread.join(CANCEL_SECONDS)
        self._server.destroy()
        self._queue.shutdown()

    def _request_call(self) -> None:
        self._server.request_call(self._queue, self._queue, _NEW_CALL)

    def _work(self) -> None:
        while not self._ended.is_set():
            lead = self._lead.take()
            request = self._next_request(lead)
            self._lead.pass_on(lead)
            if request is not None:
                self._answer(request)
            del request  # the next turn may come in days

    def _next_request(self, lead: int) -> _Request | None:
        """The next request that is to be answered out of the lead; None after the last event and when the lead was passed on."""
        while not self._ended.is_set() and self._lead.held_by(lead):
            request = self._turn()
            if request is not None and self._short_and_alone(request):
                request = self._answer(request, lead)
            if request is not None:
                return request
        return None

    def _short_and_alone(self, request: _Request) -> bool:
        """Whether to answer it in the lead."""
        if self._open_calls > 1:
            self._lead.share()
            return False
        return request.method in self._short and self._lead.begin()

    def _turn(self, deadline: float | None = None) -> _Request | None:
        """Take one event; the request, if it is one."""
        try:
            # Without a time limit: `stop` makes the last event, and a call that is cancelled makes its own.
            return self._taken(self._queue.poll(deadline))
        except Exception:  # a thread's top: one bad call must not take the lead from the others
            log.exception("a call could not be taken")
            return None

    def _taken(self, event: Any) -> _Request | None:
        """The event must not outlive its turn: it would hold a call that has ended."""
        if event.tag is _NEW_CALL:
            self._begin(event)
        elif event.tag is _ANSWERED:
            self._open_calls -= 1
        elif event.tag is _SHUT_DOWN:
            self._shut_down = True
        elif event.tag is not None:
            call, method = event.tag
            return _Request(call, method, event.batch_operations[0].message())
        if self._shut_down and not self._open_calls:
            self._ended.set()
        return None

    def _begin(self, event: Any) -> None:
        with self._lock:
            if self._serving:
                self._request_call()
        if not event.success:
            return  # the request for a call itself, ended by the shutdown
        self._open_calls += 1
        # Any bytes may stand in a path; what is no text names no method.
        method = event.call_details.method.decode("utf-8", "replace")
        if method in self._methods:
            receive = cygrpc.ReceiveMessageOperation(_NO_FLAGS)
            event.call.start_server_batch((receive,), (event.call, method))
        else:
            _end(event.call, grpc.StatusCode.UNIMPLEMENTED, f"{method[:200]}: there is no such method")

    def _answer(self, request: _Request, lead: int | None = None) -> _Request | None:
        """In the `lead`, look before the answer whether anybody else called; a request that is found is to be answered next."""
        context, found = CallContext(), None
        response = _response(request, self._methods[request.method], context)
        if lead is not None and self._lead.end(lead):
            found = self._looked()
        try:
            _end(request.call, context.code, context.details, context.trailing, response)
        except Exception:  # a thread's top, as above
            log.exception("a call could not be answered")
        return found

    def _looked(self) -> _Request | None:
        found = self._turn(_AT_ONCE)
        if self._open_calls > 1:
            self._lead.share()
        return found


def _response(request: _Request, handler: Any, context: CallContext) -> bytes | None:
    """The serialised response; None with the reason in the context. Raises nothing."""
    name = request.method.rpartition("/")[2]
    try:
        message = _message(request, name, handler, context)
        answered: bytes = handler.response_serializer(handler.unary_unary(message, context))
    except _AbortedError:
        return None
    except BaseException as error:  # SystemExit too: where this thread has the lead, nobody would be answered any more
        log.exception("%s: its handler failed", name)
        context.code, context.details = grpc.StatusCode.UNKNOWN, f"{name} failed: {type(error).__name__}"
        return None
    return answered


def _message(request: _Request, name: str, handler: Any, context: CallContext) -> Any:
    """What the handler takes; aborts the call where there is none, or none that can be read."""
    if request.data is None:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, f'"{request.method}" requires exactly one request message.')
    try:
        return handler.request_deserializer(request.data)
    except DecodeError as error:
        # As the original's server: a request that cannot be read is INTERNAL.
        reason = one_line(error, 200)
        context.abort(grpc.StatusCode.INTERNAL, f"{name}: the bytes sent are no request of this interface: {reason}")


def _end(
    call: Any,
    code: grpc.StatusCode,
    details: str,
    trailing: tuple[tuple[str, str], ...] = (),
    response: bytes | None = None,
) -> None:
    """Everything that goes back, in one batch. A client that is gone is no error."""
    operations = [cygrpc.SendInitialMetadataOperation(None, _NO_FLAGS)]
    if response is not None:
        operations.append(cygrpc.SendMessageOperation(response, _NO_FLAGS))
    operations += [
        cygrpc.SendStatusFromServerOperation(trailing, code.value[0], details.encode(), _NO_FLAGS),
        cygrpc.ReceiveCloseOnServerOperation(_NO_FLAGS),
    ]
    call.start_server_batch(operations, _ANSWERED)
