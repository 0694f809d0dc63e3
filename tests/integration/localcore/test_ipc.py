"""The IPC socket with the real awsiot client, and with peers that do not keep to the protocol."""

import contextlib
import json
import queue
import socket
import stat
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from awsiot.greengrasscoreipc import model
from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2

from localcore.eventstream import Decoder, Frame, encode
from localcore.testing import RunningCore, running_core, wait_until
from tests.integration.localcore.bundles import Bundle, connected, token_of

A, B = "com.example.A", "com.example.B"
Received = queue.Queue[tuple[str, bytes]]


@pytest.fixture(scope="module", params=["lite", "classic"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCore]:
    with running_core(like=request.param) as core:
        _deploy_two(core, tmp_path_factory.mktemp("bundle"))
        yield core


@pytest.fixture(scope="module")
def on_lite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCore]:
    with running_core(like="lite") as core:
        _deploy_two(core, tmp_path_factory.mktemp("bundle"))
        yield core


def _deploy_two(core: RunningCore, folder: Path) -> None:
    bundle = Bundle(folder)
    bundle.add(A, configuration={"rate": 5, "deep": {"on": True, "names": ["x"]}})
    bundle.add(B)
    assert bundle.deploy(core, A, B).succeeded


def subscribe(client: GreengrassCoreIPCClientV2, topic: str) -> Received:
    """Received messages as (topic, payload)."""
    received: Received = queue.Queue()

    def on_event(event: Any) -> None:
        if event.binary_message is not None:
            received.put((event.binary_message.context.topic, event.binary_message.message))
        else:
            received.put((event.json_message.context.topic, json.dumps(event.json_message.message).encode()))

    client.subscribe_to_topic(topic=topic, on_stream_event=on_event, on_stream_error=lambda _error: True)
    return received


def publish(client: GreengrassCoreIPCClientV2, topic: str, payload: bytes) -> None:
    message = model.PublishMessage(binary_message=model.BinaryMessage(message=payload))
    client.publish_to_topic(topic=topic, publish_message=message)


def publish_json(client: GreengrassCoreIPCClientV2, topic: str, document: dict[str, Any]) -> None:
    client.publish_to_topic(
        topic=topic, publish_message=model.PublishMessage(json_message=model.JsonMessage(message=document))
    )


def test_messages_reach_other_components_and_oneself(both: RunningCore) -> None:
    with connected(both, token_of(both, A)) as a, connected(both, token_of(both, B)) as b:
        at_a, at_b = subscribe(a, "lab/x"), subscribe(b, "lab/x")
        publish(a, "lab/x", b"\x00\xff binary")
        assert at_b.get(timeout=5) == ("lab/x", b"\x00\xff binary")
        assert at_a.get(timeout=5) == ("lab/x", b"\x00\xff binary")
        publish_json(b, "lab/x", {"n": 1})
        assert at_a.get(timeout=5) == ("lab/x", b'{"n": 1}')


def test_wildcards_and_order(both: RunningCore) -> None:
    with connected(both, token_of(both, A)) as a:
        plus, rest = subscribe(a, "lab/+/v"), subscribe(a, "lab/#")
        for number in range(20):
            publish(a, f"lab/s{number}/v", b"%d" % number)
        publish(a, "lab/s/v/deeper", b"no")
        assert [plus.get(timeout=5) for _ in range(20)] == [(f"lab/s{n}/v", b"%d" % n) for n in range(20)]
        assert [rest.get(timeout=5)[1] for _ in range(21)][-1] == b"no"
        assert plus.empty()


def test_a_closed_subscription_gets_nothing_more(both: RunningCore) -> None:
    with connected(both, token_of(both, A)) as a:
        events: queue.Queue[object] = queue.Queue()
        _, operation = a.subscribe_to_topic(topic="lab/closing", on_stream_event=events.put)
        operation.close()
        kept = subscribe(a, "lab/closing")
        publish(a, "lab/closing", b"x")
        assert kept.get(timeout=5)[1] == b"x"
        assert events.empty()


def test_access_control_is_enforced(both: RunningCore) -> None:
    with connected(both, token_of(both, A)) as a:
        with pytest.raises(model.UnauthorizedError):
            publish(a, "elsewhere/x", b"")
        with pytest.raises(model.UnauthorizedError):
            subscribe(a, "elsewhere/#")
        with pytest.raises(model.UnauthorizedError):
            a.publish_to_iot_core(topic_name="elsewhere", qos="0", payload=b"")


def test_iot_core_without_a_broker_comes_back(both: RunningCore) -> None:
    with connected(both, token_of(both, A)) as a:
        received: queue.Queue[Any] = queue.Queue()
        a.subscribe_to_iot_core(topic_name="fleet/+/health", qos="1", on_stream_event=received.put)
        a.publish_to_iot_core(topic_name="fleet/t1/health", qos="1", payload=b"\x01ok")
        message = received.get(timeout=5).message
        assert (message.topic_name, message.payload) == ("fleet/t1/health", b"\x01ok")


def test_configuration_is_read_changed_and_announced(both: RunningCore) -> None:
    with connected(both, token_of(both, A)) as a, connected(both, token_of(both, B)) as b:
        assert a.get_configuration(key_path=["rate"]).value == {"rate": 5}
        assert a.get_configuration(key_path=["deep"]).value == {"on": True, "names": ["x"]}
        assert b.get_configuration(component_name=A, key_path=["deep", "names"]).value == {"names": ["x"]}
        with pytest.raises(model.ResourceNotFoundError):
            a.get_configuration(key_path=["deep", "none"])
        events: queue.Queue[Any] = queue.Queue()
        b.subscribe_to_configuration_update(component_name=A, key_path=["deep"], on_stream_event=events.put)
        now = datetime.now(UTC)
        a.update_configuration(key_path=["deep"], timestamp=now, value_to_merge={"on": False})
        event = events.get(timeout=5).configuration_update_event
        assert (event.component_name, event.key_path) == (A, ["deep", "on"])
        with pytest.raises(model.FailedUpdateConditionCheckError):
            a.update_configuration(key_path=["deep"], timestamp=now - timedelta(seconds=1), value_to_merge={"on": True})
        assert a.get_configuration(key_path=["deep"]).value == {"on": False, "names": ["x"]}
        with pytest.raises(model.InvalidArgumentsError):
            a.update_configuration(key_path=[], timestamp=now, value_to_merge={"accessControl": {}})


def test_a_single_value_is_updated_on_lite_only(both: RunningCore) -> None:
    with connected(both, token_of(both, A)) as a:
        request: Any = {"key_path": ["rate"], "timestamp": datetime.now(UTC), "value_to_merge": 6}
        if both.client.about()["like"] == "classic":
            with pytest.raises(model.InvalidArgumentsError):
                a.update_configuration(**request)
        else:
            a.update_configuration(**request)
            assert a.get_configuration(key_path=["rate"]).value == {"rate": 6}
            a.update_configuration(key_path=[], timestamp=datetime.now(UTC), value_to_merge={"rate": 5})


def test_lite_serves_components_less_than_classic(both: RunningCore) -> None:
    with connected(both, token_of(both, A)) as a:
        a.update_state(state=model.ReportedLifecycleState.RUNNING)
        for call in (a.list_components, lambda: a.get_component_details(component_name=B)):
            if both.client.about()["like"] == "lite":
                with pytest.raises(model.ServiceError):
                    call()
            else:
                call()
        for refused in (a.subscribe_to_component_updates, a.get_secret_value):
            with pytest.raises(model.ServiceError):
                refused()
        if both.client.about()["like"] == "classic":
            details = a.get_component_details(component_name=B).component_details
            assert (details.component_name, details.version, details.state) == (B, "1.0.0", "RUNNING")
            with pytest.raises(model.ComponentNotFoundError):
                a.get_component_details(component_name="none")


def test_classic_refuses_to_publish_on_a_wildcard(both: RunningCore) -> None:
    with connected(both, token_of(both, A)) as a:
        if both.client.about()["like"] == "classic":
            with pytest.raises(model.InvalidArgumentsError):
                publish(a, "lab/#", b"")
        else:
            publish(a, "lab/#", b"")


def test_an_oversize_message_closes_the_connection_on_lite(on_lite: RunningCore) -> None:
    with connected(on_lite, token_of(on_lite, A)) as a, connected(on_lite, token_of(on_lite, B)) as b:
        at_b = subscribe(b, "lab/big")
        publish(a, "lab/big", b"x" * 7200)
        assert len(at_b.get(timeout=5)[1]) == 7200
        with pytest.raises(Exception):  # noqa: B017, PT011 - the client raises what the closed socket gives it
            publish(a, "lab/big", b"x" * 7600)
        with pytest.raises(Exception):  # noqa: B017, PT011
            publish(a, "lab/big", b"small")
        publish(b, "lab/big", b"others live")
        assert at_b.get(timeout=5)[1] == b"others live"


def test_a_large_json_message_kills_lites_subscription_in_silence(on_lite: RunningCore) -> None:
    with connected(on_lite, token_of(on_lite, A)) as a:
        received, other = subscribe(a, "lab/json"), subscribe(a, "lab/other")
        publish_json(a, "lab/json", {"list": list(range(42))})
        received.get(timeout=5)
        publish_json(a, "lab/json", {"list": list(range(43))})
        publish_json(a, "lab/json", {"list": []})
        publish(a, "lab/other", b"x")
        other.get(timeout=5)
        assert received.empty()
    assert "its subscription to lab/json is dead" in on_lite.output()


def test_lite_takes_99_subscriptions_and_drops_large_iot_messages(on_lite: RunningCore) -> None:
    with connected(on_lite, token_of(on_lite, A)) as a:
        received: queue.Queue[Any] = queue.Queue()
        a.subscribe_to_iot_core(topic_name="fleet/x", qos="0", on_stream_event=received.put)
        a.publish_to_iot_core(topic_name="fleet/x", qos="0", payload=b"x" * 4981)
        a.publish_to_iot_core(topic_name="fleet/x", qos="0", payload=b"x" * 4980)
        assert len(received.get(timeout=5).message.payload) == 4980
        for number in range(99):
            subscribe(a, f"lab/{number}")
        with pytest.raises(model.ServiceError):
            subscribe(a, "lab/one-more")
    with connected(on_lite, token_of(on_lite, A)) as a:
        subscribe(a, "lab/one-more")


def test_a_dead_or_unknown_token_is_refused(on_lite: RunningCore) -> None:
    old = token_of(on_lite, B)
    (on_lite.layout.work(B) / "token").unlink()
    with connected(on_lite, old) as b:
        received = subscribe(b, "lab/x")
        on_lite.client.restart(B)
        new = token_of(on_lite, B)
        assert new != old
        with pytest.raises(Exception):  # noqa: B017, PT011 - the connection died with its token
            publish(b, "lab/x", b"")
        assert received.empty()
    for token in (old, "unknown", ""):
        with pytest.raises(Exception), connected(on_lite, token):  # noqa: B017, PT011
            pass
    on_lite.client.reset(B)


class RawPeer:
    """A client that speaks as it likes."""

    def __init__(self, core: RunningCore) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(5)
        self.socket.connect(str(core.layout.socket))
        self._decoder = Decoder(1 << 20)

    def connect(self, token: str) -> Frame:
        self.send(4, 0, json.dumps({"authToken": token}).encode(), **{":version": "0.1.0"})
        return self.receive()

    def send(self, kind: int, stream: int, payload: bytes = b"", **headers: str) -> None:
        self.socket.sendall(
            encode({":message-type": kind, ":message-flags": 0, ":stream-id": stream, **headers}, payload)
        )

    def receive(self) -> Frame:
        while True:
            for frame in self._decoder.feed(self.socket.recv(65536)):
                return frame

    def is_closed(self) -> bool:
        """Read to the end; whether there is one."""
        with contextlib.suppress(ConnectionResetError):
            while self.socket.recv(65536):
                pass
        return True

    def close(self) -> None:
        self.socket.close()


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff" * 100,
        encode({}),
        encode({":message-type": 99, ":message-flags": 0, ":stream-id": 0}),
        encode(
            {":message-type": 0, ":message-flags": 0, ":stream-id": 1, "operation": "aws.greengrass#PublishToTopic"}
        ),
        encode({":message-type": 4, ":message-flags": 0, ":stream-id": 0, ":version": "9"}, b"{}"),
        encode({":message-type": 4, ":message-flags": 0, ":stream-id": 0, ":version": "0.1.0"}, b"[" * 5000),
        encode({":message-type": 4, ":message-flags": 0, ":stream-id": 0, ":version": "0.1.0"}, b'{"authToken": 5}'),
        struct.pack(">III", 2**31, 0, 0),
    ],
)
def test_hostile_input_closes_that_connection_only(on_lite: RunningCore, data: bytes) -> None:
    peer = RawPeer(on_lite)
    with contextlib.suppress(BrokenPipeError):
        peer.socket.sendall(data)
    assert peer.is_closed()
    peer.close()
    assert on_lite.client.about()["like"] == "lite"


@pytest.mark.parametrize(
    ("operation", "payload", "error"),
    [
        ("PublishToTopic", b"not json", "InvalidArgumentsError"),
        ("PublishToTopic", b"[]", "InvalidArgumentsError"),
        ("PublishToTopic", b'{"topic": 5}', "InvalidArgumentsError"),
        (
            "PublishToTopic",
            b'{"topic": "lab/x", "publishMessage": {"binaryMessage": {"message": "!"}}}',
            "InvalidArgumentsError",
        ),
        ("PublishToTopic", b'{"topic": "lab/x", "publishMessage": {}}', "InvalidArgumentsError"),
        ("SubscribeToTopic", b'{"topic": "lab/#/x"}', "InvalidArgumentsError"),
        ("UpdateConfiguration", b'{"keyPath": ["a"], "valueToMerge": {}}', "InvalidArgumentsError"),
        (
            "UpdateConfiguration",
            b'{"timestamp": 1e12, "valueToMerge": ' + b'{"a":' * 300 + b"1" + b"}" * 301,
            "InvalidArgumentsError",
        ),
        ("UpdateState", b'{"state": "HAPPY"}', "InvalidArgumentsError"),
        ("CreateLocalDeployment", b'{"recipeDirectoryPath": "relative"}', "InvalidRecipeDirectoryPathError"),
        ("CreateLocalDeployment", b'{"rootComponentVersionsToAdd": {"../x": "1.0.0"}}', "InvalidArgumentsError"),
        ("NoSuchOperation", b"{}", "ServiceError"),
    ],
)
def test_bad_requests_are_answered_and_the_connection_lives(
    on_lite: RunningCore, operation: str, payload: bytes, error: str
) -> None:
    peer = RawPeer(on_lite)
    assert peer.connect(token_of(on_lite, A)).headers[":message-flags"] == 1
    peer.send(0, 1, payload, operation=f"aws.greengrass#{operation}")
    answer = peer.receive()
    assert answer.headers[":message-type"] == 1
    assert answer.headers["service-model-type"] == f"aws.greengrass#{error}"
    peer.send(2, 0, b"ping")
    assert (peer.receive().headers[":message-type"]) == 3
    peer.close()


def test_a_subscriber_that_does_not_read_holds_nobody_up(on_lite: RunningCore) -> None:
    peer = RawPeer(on_lite)
    peer.connect(token_of(on_lite, B))
    peer.send(0, 1, b'{"topic": "lab/flood"}', operation="aws.greengrass#SubscribeToTopic")
    peer.receive()
    with connected(on_lite, token_of(on_lite, A)) as a:
        received = subscribe(a, "lab/flood")
        for number in range(400):
            publish(a, "lab/flood", b"%06d" % number + b"x" * 6500)
            assert received.get(timeout=5)[1].startswith(b"%06d" % number)
    dropped = on_lite.client.about()["counters"]["events_dropped"]
    assert 0 < dropped < 400
    peer.close()
    wait_until(lambda: "events were dropped because it did not read them" in on_lite.output(), what="the log's line")


def test_lite_takes_50_clients(on_lite: RunningCore) -> None:
    token = token_of(on_lite, A)
    peers = [RawPeer(on_lite) for _ in range(51)]
    answers = [peer.connect(token).headers[":message-flags"] for peer in peers]
    assert answers == [1] * 50 + [0]
    for peer in peers:
        peer.close()
    assert on_lite.client.about()["like"] == "lite"


def test_socket_and_token_are_private(on_lite: RunningCore) -> None:
    for path in (on_lite.layout.socket, on_lite.layout.cli_token):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
