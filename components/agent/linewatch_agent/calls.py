"""Unary calls on gRPC's core, answered by the thread that receives them.

grpc.server moves each call from its polling thread to a pool, and each step of the call back and forth between the two: five wake-ups where
one is needed, which on two cores take longer than the call's own work (figures in docs/benchmarks.md). Here one thread waits for the next
request and answers it itself, while another of the threads takes its place. HTTP/2 and all waiting stay gRPC's own.

The only importer of `cygrpc`, the layer below grpc.server. It is no public interface, so gRPC's version is locked, and the agent's contract
tests and tests/unit/agent/test_calls.py hold this module to what grpc.server does.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NoReturn

import grpc
from google.protobuf.message import DecodeError
from grpc._cython import cygrpc

from linewatch_agent.turns import WarmLock

log = logging.getLogger(__name__)

_NO_FLAGS = 0
# What an event of the queue means; one whose tag is a call and its method: the request is here.
_NEW_CALL, _ANSWERED, _SHUT_DOWN = object(), object(), object()
# Cancelled calls end at once in gRPC's core; only a prediction that runs can hold a thread for longer.
CANCEL_SECONDS = 1.0

_Step = Callable[[], None]


class _AbortedError(Exception):
    """Ends a handler after `CallContext.abort`."""


class CallContext:
    """What a handler may say beside its response; as much of grpc.ServicerContext as the agent uses."""

    def __init__(self) -> None:
        self.code = grpc.StatusCode.OK
        self.details = ""
        self.trailing: tuple[tuple[str, str], ...] = ()
        self.callbacks: list[Callable[[], None]] = []

    def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        """End the call with an error."""
        self.code, self.details = code, details
        raise _AbortedError

    def set_trailing_metadata(self, metadata: tuple[tuple[str, str], ...]) -> None:
        """Send `metadata` with the status."""
        self.trailing = metadata

    def add_callback(self, callback: Callable[[], None]) -> bool:
        """Call it when the answer is on its way: what the client need not wait for."""
        self.callbacks.append(callback)
        return True


class UnaryServer:
    """In place of grpc.server, for services whose methods all take one message and give one. Not to be started twice."""

    def __init__(self, options: Sequence[tuple[str, int]], threads: int) -> None:
        self._methods: dict[str, Any] = {}
        self._queue = cygrpc.CompletionQueue()
        self._server = cygrpc.Server(tuple(options), False)
        self._server.register_completion_queue(self._queue)
        self._serving = False
        self._lock = threading.Lock()
        # Held by the thread that waits for events; it alone changes the three below.
        self._leading = WarmLock()
        self._open_calls = 0
        self._shut_down = False
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, name=f"rpc_{number}", daemon=True) for number in range(threads)
        ]

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Nothing: generated code gives the same handlers again, by name, to `add_registered_method_handlers`."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Serve the methods of `service`."""
        self._methods |= {f"/{service}/{name}": handler for name, handler in handlers.items()}

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
            if not self._ended.wait(CANCEL_SECONDS):
                log.warning("a call does not end; it is left behind")
                return
        for thread in self._threads:
            thread.join(CANCEL_SECONDS)
        self._server.destroy()
        self._queue.shutdown()

    def _request_call(self) -> None:
        self._server.request_call(self._queue, self._queue, _NEW_CALL)

    def _work(self) -> None:
        while True:
            with self._leading:
                answer = self._next_request()
            if answer is None:
                return
            try:
                answer()
            except Exception:  # a thread's top: one bad call must not take a thread from the others
                log.exception("a call failed outside its handler")
            del answer  # it holds the request, and the next turn may come in days

    def _next_request(self) -> _Step | None:
        """Take events until one is a request that has come; what answers it, or None after the last event."""
        while not self._ended.is_set():
            try:
                answer = self._turn()
            except Exception:  # as above
                log.exception("a call could not be taken")
                continue
            if answer is not None:
                return answer
        return None

    def _turn(self) -> _Step | None:
        """Take one event. It must not outlive the turn: it would hold a call that has ended."""
        # Without a time limit: `stop` makes the last event, and a call that is cancelled makes its own.
        event = self._queue.poll()
        if event.tag is _NEW_CALL:
            self._begin(event)
        elif event.tag is _ANSWERED:
            self._open_calls -= 1
        elif event.tag is _SHUT_DOWN:
            self._shut_down = True
        else:
            call, method = event.tag
            return partial(self._answer, call, method, event.batch_operations[0].message())
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

    def _answer(self, call: Any, method: str, data: bytes | None) -> None:
        if data is None:
            _end(call, grpc.StatusCode.UNIMPLEMENTED, f'"{method}" requires exactly one request message.')
            return
        context = CallContext()
        response = _response(method, self._methods[method], data, context)
        try:
            _end(call, context.code, context.details, context.trailing, response)
        finally:
            for callback in context.callbacks:
                callback()


def _response(method: str, handler: Any, data: bytes, context: CallContext) -> bytes | None:
    """The serialised response; None with the reason in the context."""
    name = method.rpartition("/")[2]
    try:
        request = handler.request_deserializer(data)
    except DecodeError as error:
        # As the original's server: a request that cannot be read is INTERNAL.
        reason = " ".join(str(error).split())[:200]
        context.code = grpc.StatusCode.INTERNAL
        context.details = f"{name}: the bytes sent are no request of this interface: {reason}"
        return None
    try:
        answered: bytes = handler.response_serializer(handler.unary_unary(request, context))
    except _AbortedError:
        return None
    except Exception as error:
        log.exception("%s: its handler failed", name)
        context.code, context.details = grpc.StatusCode.UNKNOWN, f"{name} failed: {type(error).__name__}"
        return None
    return answered


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
