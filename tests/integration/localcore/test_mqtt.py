"""IoT Core topics through a real broker."""

import queue
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from localcore.testing import RunningCore, running_core, wait_until
from tests.integration.localcore.bundles import Bundle, connected, token_of

A = "com.example.A"
MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin")
pytestmark = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")


class RunningBroker:
    """A mosquitto on a free port of loopback."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._config = folder / "mosquitto.conf"
        self._config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen([str(MOSQUITTO), "-c", str(self._config)], stderr=subprocess.DEVNULL)
        wait_until(self._answers, what="mosquitto")

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[RunningBroker]:
    running = RunningBroker(tmp_path)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def cloud(broker: RunningBroker) -> Iterator[Any]:
    """A client on the broker's other side; `received` holds (topic, payload)."""
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.received = queue.Queue()
    client.on_message = lambda _client, _data, message: client.received.put((message.topic, bytes(message.payload)))
    client.on_connect = lambda _client, _data, _flags, _reason, _properties: client.subscribe("fleet/up/#", 1)
    ready = queue.Queue[bool]()
    client.on_subscribe = lambda *_arguments: ready.put(True)
    client.reconnect_delay_set(1, 1)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    ready.get(timeout=10)
    yield client
    client.disconnect()
    client.loop_stop()


def wait_connected(core: RunningCore, times: int = 1) -> None:
    wait_until(lambda: core.output().count("connected to the broker") >= times, what="the broker's connection")


def test_messages_pass_both_ways_and_again_after_the_broker_was_away(
    broker: RunningBroker, cloud: Any, bundle: Bundle
) -> None:
    bundle.add(A)
    with running_core(mqtt=f"127.0.0.1:{broker.port}") as core:
        wait_connected(core)
        assert bundle.deploy(core, A).succeeded
        with connected(core, token_of(core, A)) as client:
            received: queue.Queue[Any] = queue.Queue()
            client.subscribe_to_iot_core(topic_name="fleet/down/+", qos="1", on_stream_event=received.put)
            client.publish_to_iot_core(topic_name="fleet/up/health", qos="1", payload=b"\x00up")
            assert cloud.received.get(timeout=10) == ("fleet/up/health", b"\x00up")
            wait_until(lambda: _arrives(cloud, received, b"down"), what="the message from the cloud")

            broker.stop()
            wait_until(lambda: "the broker is not connected" in core.output(), what="the loss")
            client.publish_to_iot_core(topic_name="fleet/up/health", qos="1", payload=b"kept")
            broker.start()
            wait_connected(core, times=2)
            wait_until(lambda: _arrives(cloud, received, b"again"), what="the message after the loss")


def _arrives(cloud: Any, received: "queue.Queue[Any]", payload: bytes) -> bool:
    """Publish once more and see whether it came: the subscription's way to the broker takes a moment."""
    cloud.publish("fleet/down/x", payload, qos=0)
    try:
        message = received.get(timeout=0.2).message
    except queue.Empty:
        return False
    return bool(message.topic_name == "fleet/down/x" and message.payload == payload)


def test_a_core_without_its_broker_comes_up_and_refuses_qos_0(bundle: Bundle) -> None:
    from awsiot.greengrasscoreipc.model import ServiceError

    bundle.add(A)
    with running_core(mqtt="127.0.0.1:9") as core:
        assert bundle.deploy(core, A).succeeded
        with connected(core, token_of(core, A)) as client, pytest.raises(ServiceError):
            client.publish_to_iot_core(topic_name="fleet/up/x", qos="0", payload=b"")
