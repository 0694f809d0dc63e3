"""What every LocalBus promises, held against the fake and against the real client on a real core."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from linewatch_common.bus.greengrass import GreengrassBus
from linewatch_common.bus.port import LocalBus
from linewatch_common.errors import BusUnavailableError, DeadTokenError, MessageError
from linewatch_common.messages import MAX_MESSAGE_BYTES

from localcore.testing import RunningCore, running_core, wait_until
from tests.fakes.bus import FakeCore

TOPIC = "linewatch/line1/verdicts"


@dataclass
class Station:
    """Two components' buses on one core."""

    one: LocalBus
    other: LocalBus


class Inbox:
    """A handler that keeps what it is given."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.threads: set[int] = set()

    def __call__(self, payload: bytes) -> None:
        self.threads.add(threading.get_ident())
        self.messages.append(payload)


@pytest.fixture(scope="module")
def core() -> Iterator[RunningCore]:
    with running_core(like="lite") as running:
        yield running


def linked(core: RunningCore) -> GreengrassBus:
    token = core.layout.cli_token.read_text()
    return GreengrassBus(str(core.layout.socket), token).open()


@pytest.fixture(params=["fake", "real"])
def station(request: pytest.FixtureRequest) -> Iterator[Station]:
    if request.param == "fake":
        fake = FakeCore()
        station = Station(fake.bus(), fake.bus())
    else:
        running = request.getfixturevalue("core")
        station = Station(linked(running), linked(running))
    yield station
    station.one.close()
    station.other.close()


def test_messages_arrive_whole_and_in_order_on_one_thread(station: Station) -> None:
    inbox = Inbox()
    station.other.subscribe(TOPIC, inbox)
    sent = [b"%d" % n + b"\x00\xff" * 20 for n in range(200)]
    for payload in sent:
        station.one.publish(TOPIC, payload)
    wait_until(lambda: len(inbox.messages) >= len(sent))
    assert inbox.messages == sent
    assert len(inbox.threads) == 1


def test_own_messages_come_back(station: Station) -> None:
    inbox = Inbox()
    station.one.subscribe(TOPIC, inbox)
    station.one.publish(TOPIC, b"mine")
    wait_until(lambda: inbox.messages == [b"mine"])


def test_other_topics_do_not_arrive(station: Station) -> None:
    inbox = Inbox()
    station.one.subscribe(TOPIC, inbox)
    station.other.publish(TOPIC + "/deeper", b"no")
    station.other.publish("linewatch/line2/verdicts", b"no")
    station.other.publish(TOPIC, b"yes")
    wait_until(lambda: b"yes" in inbox.messages)
    assert inbox.messages == [b"yes"]


def test_the_largest_message_passes_and_a_larger_one_costs_nothing(station: Station) -> None:
    inbox = Inbox()
    station.other.subscribe(TOPIC, inbox)
    with pytest.raises(MessageError, match="7001 bytes, at most 7000"):
        station.one.publish(TOPIC, bytes(MAX_MESSAGE_BYTES + 1))
    station.one.publish(TOPIC, bytes(MAX_MESSAGE_BYTES))
    wait_until(lambda: inbox.messages == [bytes(MAX_MESSAGE_BYTES)])


def test_a_failing_handler_is_logged_and_the_next_message_arrives(
    station: Station, caplog: pytest.LogCaptureFixture
) -> None:
    inbox = Inbox()

    def fussy(payload: bytes) -> None:
        if payload == b"bad":
            raise ValueError("a handler's own fault")
        inbox(payload)

    station.other.subscribe(TOPIC, fussy)
    with caplog.at_level(logging.ERROR):
        station.one.publish(TOPIC, b"bad")
        station.one.publish(TOPIC, b"good")
        wait_until(lambda: inbox.messages == [b"good"])
    assert "a handler's own fault" in caplog.text


def test_a_healthy_link_is_not_dead(station: Station) -> None:
    assert station.one.dead is None


def test_a_core_that_went_is_said_so_and_a_new_one_refuses_the_old_token(caplog: pytest.LogCaptureFixture) -> None:
    with running_core(like="lite") as core:
        bus = linked(core)
        core.stop()
        wait_until(lambda: _fails(lambda: bus.publish(TOPIC, b"lost")))
        assert bus.dead is None
        core.start()
        wait_until(lambda: bus.dead is not None)
        bus.close()
    assert "link to the core lost" in caplog.text


def test_a_lost_link_is_made_again_with_its_subscriptions(core: RunningCore) -> None:
    bus = linked(core)
    inbox = Inbox()
    bus.subscribe(TOPIC, inbox)
    bus.reset("a test asks for it")
    wait_until(lambda: not _fails(lambda: bus.publish(TOPIC, b"again")))
    wait_until(lambda: b"again" in inbox.messages)
    bus.close()


def test_after_a_lost_link_the_configuration_may_be_another(core: RunningCore) -> None:
    bus = linked(core)
    asked: list[bool] = []
    bus.watch_configuration(lambda: asked.append(True))
    bus.reset("a test asks for it")
    wait_until(lambda: bool(asked))
    bus.close()


def test_an_unknown_token_is_refused(core: RunningCore) -> None:
    with pytest.raises((DeadTokenError, BusUnavailableError)):
        GreengrassBus(str(core.layout.socket), "not-a-token").open()


def test_a_missing_core_is_named() -> None:
    with pytest.raises(BusUnavailableError, match=r"no Greengrass core at /nowhere/ipc\.sock"):
        GreengrassBus("/nowhere/ipc.sock", "token").open()


def _fails(call: Callable[[], None]) -> bool:
    try:
        call()
    except BusUnavailableError:
        time.sleep(0.05)
        return True
    return False
