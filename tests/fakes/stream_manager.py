"""A Stream Manager on a real socket, by hand from what the public SDK reads and writes; it shares no code with the SDK.

A connection begins with a version byte each way. Then frames: length (4 bytes, big-endian, of what follows), operation (1 byte), a CBOR
map. Streams outlive `stop` and `start`, as they outlive a restart of the component.
"""

import contextlib
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import Any

import cbor2

VERSION = b"\x01"
PROTOCOLS = {"1.1.0"}
CONNECT, CREATE, APPEND, READ, CONNECTED, DESCRIBE, UPDATE = 1, 2, 4, 5, 6, 13, 15
ANSWER_OF = {CREATE: 7, APPEND: 9, READ: 10, DESCRIBE: 14, UPDATE: 16}
OK, UNKNOWN_FAILURE, UNAUTHORIZED, INVALID, TOO_LARGE, NOT_FOUND = 0, 1, 2, 3, 4, 5
UNSUPPORTED_VERSION, NOT_ENOUGH, UPDATE_NOT_ALLOWED = 10, 13, 17
REJECT, OVERWRITE = 0, 1


@dataclass
class Stream:
    """Messages by sequence number: the first of `messages` has `oldest`."""

    definition: dict[str, Any]
    messages: list[bytes] = field(default_factory=list)
    oldest: int = 0

    @property
    def size(self) -> int:
        return sum(len(message) for message in self.messages)


class StreamManagerServer:
    """`mute`: it takes connections and reads nothing. `cut_after`: so many appends from now on the connection ends before the answer."""

    def __init__(self, token: str = "token") -> None:  # noqa: S107 - a test's
        self._token = token
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._listener: socket.socket | None = None
        self.port = 0
        self.streams: dict[str, Stream] = {}
        self.mute = False
        self.cut_after: int | None = None
        self.largest = 64 * 1024 * 1024
        self.updatable = True
        self.connections = 0

    def start(self) -> None:
        """Listen, on the same port as before."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def stop(self) -> None:
        """End, and every connection with it."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self.cut()

    def cut(self) -> None:
        """End every connection."""
        with self._lock:
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            self._open.clear()

    def messages(self, stream: str = "linewatch-captures") -> list[bytes]:
        """What a stream holds."""
        with self._lock:
            return list(self.streams[stream].messages) if stream in self.streams else []

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with self._lock:
                    self._open.append(connection)
                    self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError), connection:
            if self.mute:
                _wait_for_the_end(connection)
                return
            assert _exactly(connection, 1) == VERSION
            operation, request = _frame(connection)
            assert operation == CONNECT
            status = self._admitted(request)
            answer = {"requestId": request["requestId"], "status": status, "serverVersion": "2.1.0"}
            connection.sendall(VERSION)
            _send(connection, CONNECTED, {**answer, "protocolVersion": "1.1.0"})
            while status == OK:
                operation, request = _frame(connection)
                if self.mute:
                    _wait_for_the_end(connection)
                    return
                with self._lock:
                    result = self._carry_out(operation, request)
                    if self._to_be_cut(operation):
                        return
                _send(connection, ANSWER_OF[operation], {"requestId": request["requestId"], **result})

    def _admitted(self, request: dict[str, Any]) -> int:
        if request.get("authToken") != self._token:
            return UNAUTHORIZED
        offered = {request["protocolVersion"], *request.get("otherSupportedProtocolVersions", [])}
        return OK if offered & PROTOCOLS else UNSUPPORTED_VERSION

    def _to_be_cut(self, operation: int) -> bool:
        if operation != APPEND or self.cut_after is None:
            return False
        self.cut_after -= 1
        if self.cut_after > 0:
            return False
        self.cut_after = None
        return True

    def _carry_out(self, operation: int, request: dict[str, Any]) -> dict[str, Any]:
        if operation in (CREATE, UPDATE):
            return self._define(operation, request["definition"])
        stream = self.streams.get(request["streamName"] if operation == READ else request["name"])
        if stream is None:
            return {"status": NOT_FOUND, "errorMessage": "no such stream"}
        if operation == APPEND:
            return self._append(stream, request["payload"])
        if operation == READ:
            return _read(stream, request["readMessagesOptions"])
        newest = stream.oldest + len(stream.messages) - 1
        sizes = {"oldestSequenceNumber": stream.oldest, "newestSequenceNumber": newest, "totalBytes": stream.size}
        info = {"definition": stream.definition, "storageStatus": sizes, "exportStatuses": []}
        return {"status": OK, "messageStreamInfo": info}

    def _define(self, operation: int, definition: dict[str, Any]) -> dict[str, Any]:
        known = self.streams.get(definition["name"])
        if operation == CREATE and known is None:
            self.streams[definition["name"]] = Stream(definition)
            return {"status": OK}
        if operation == CREATE or known is None:
            return {"status": INVALID, "errorMessage": "it exists, or does not"}
        if not self.updatable:
            return {"status": UPDATE_NOT_ALLOWED, "errorMessage": "persistence cannot be changed"}
        known.definition = definition
        return {"status": OK}

    def _append(self, stream: Stream, payload: bytes) -> dict[str, Any]:
        if len(payload) > self.largest:
            return {"status": TOO_LARGE, "errorMessage": "too large"}
        limit = stream.definition["maxSize"]
        while stream.size + len(payload) > limit:
            if stream.definition["strategyOnFull"] == REJECT or not stream.messages:
                return {"status": UNKNOWN_FAILURE, "errorMessage": "the stream is full"}
            stream.messages.pop(0)
            stream.oldest += 1
        stream.messages.append(payload)
        return {"status": OK, "sequenceNumber": stream.oldest + len(stream.messages) - 1}


def _read(stream: Stream, options: dict[str, Any]) -> dict[str, Any]:
    start = max(options["desiredStartSequenceNumber"] - stream.oldest, 0)
    found = stream.messages[start : start + options["maxMessageCount"]]
    if len(found) < options["minMessageCount"]:
        return {"status": NOT_ENOUGH, "errorMessage": "not enough messages"}
    name = stream.definition["name"]
    messages = [
        {"streamName": name, "sequenceNumber": stream.oldest + start + place, "ingestTime": 0, "payload": payload}
        for place, payload in enumerate(found)
    ]
    return {"status": OK, "messages": messages}


def _frame(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    [length] = struct.unpack(">i", _exactly(connection, 4))
    body = _exactly(connection, length)
    return body[0], cbor2.loads(body[1:])


def _send(connection: socket.socket, operation: int, content: dict[str, Any]) -> None:
    payload = cbor2.dumps(content)
    connection.sendall(struct.pack(">ib", len(payload) + 1, operation) + payload)


def _exactly(connection: socket.socket, length: int) -> bytes:
    parts = bytearray()
    while len(parts) < length:
        part = connection.recv(min(length - len(parts), 1 << 20))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)


def _wait_for_the_end(connection: socket.socket) -> None:
    """Until somebody shuts it down; nothing is read meanwhile."""
    held = threading.Event()
    while not held.wait(0.05):
        if connection.fileno() < 0 or connection.recv(1, socket.MSG_PEEK) == b"":
            return
