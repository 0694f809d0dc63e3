"""The bridge to a broker that does what no broker should."""

import asyncio
import socket
import struct
import threading

from localcore.mqtt import MqttIotCore

CONNACK = b"\x20\x02\x00\x00"


def published(topic: bytes) -> bytes:
    body = struct.pack(">H", len(topic)) + topic + b"payload"
    return bytes([0x30, len(body)]) + body


def test_a_topic_that_is_no_text_does_not_end_the_bridge() -> None:
    heard: list[str] = []

    async def bridged(port: int) -> None:
        bridge, came = MqttIotCore("127.0.0.1", port, client_id="test"), asyncio.Event()
        bridge.start()

        def on_message(topic: str, _payload: bytes) -> None:
            heard.append(topic)
            came.set()

        bridge.subscribe("a/#", 0, on_message)
        try:
            async with asyncio.timeout(10):
                await came.wait()
        finally:
            bridge.stop()

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def broker() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(CONNACK + published(b"a/\xff") + published(b"a/b"))
                while connection.recv(4096):
                    pass

        thread = threading.Thread(target=broker, daemon=True)
        thread.start()
        asyncio.run(bridged(listener.getsockname()[1]))
        thread.join(5)
    assert heard == ["a/b"]
