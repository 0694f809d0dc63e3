"""The HTTP server. `/_fake` takes JSON commands from a test in another process; everything else is AWS's API."""

import contextlib
import json
import re
import threading
import urllib.parse
from collections.abc import Iterator

from tests.fakes.greengrassv2.backend import Backend
from tests.fakes.greengrassv2.control import control
from tests.fakes.greengrassv2.wire import RefusedError, Request, Wire
from tests.fakes.loopback import LoopbackServer, QuietHandler

_SIGNED = re.compile(r"AWS4-HMAC-SHA256 Credential=[^/,]+/\d{8}/[a-z0-9-]+/(greengrass|iot|execute-api)/aws4_request,")


class Server(LoopbackServer):
    """On 127.0.0.1; port 0 takes a free one."""

    def __init__(self, backend: Backend, port: int = 0) -> None:
        self.backend = backend
        self.wire = Wire.load()
        super().__init__(_Handler, port)


class _Handler(QuietHandler):
    server: Server

    def _serve(self) -> None:
        target = urllib.parse.urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        query = urllib.parse.parse_qs(target.query, keep_blank_values=True)
        request = Request(self.command, target.path, query, dict(self.headers.items()), body)
        error = ""
        if target.path == "/_fake":
            status, answer = 200, json.dumps(control(self.server.backend, json.loads(body))).encode()
        else:
            status, answer, error = self._answer(request)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        if error:
            self.send_header("x-amzn-ErrorType", error)
        self.end_headers()
        self.wfile.write(answer)

    def _answer(self, request: Request) -> tuple[int, bytes, str]:
        wire = self.server.wire
        try:
            _check_signed(request)
            operation, named = wire.find(request)
            parameters = wire.parameters(operation, named, request)
            status, answer = wire.answer(operation, self.server.backend.call(operation.name, parameters))
        except RefusedError as refusal:
            return wire.refusal(refusal)
        return status, answer, ""

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - the base class's names


def _check_signed(request: Request) -> None:
    if not _SIGNED.match(request.headers.get("Authorization", "")):
        raise RefusedError("MissingAuthenticationTokenException", "the request is not signed for this service", 403)


@contextlib.contextmanager
def serving(backend: Backend, port: int = 0) -> Iterator[Server]:
    """A server on a thread."""
    server = Server(backend, port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
