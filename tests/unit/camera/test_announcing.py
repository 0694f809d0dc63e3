"""The announcing thread: order, patience, a bounded queue."""

import threading

from linewatch_camera.announcing import MOST_WAITING, Announcer
from linewatch_common.errors import NotAuthorizedError
from linewatch_common.messages import Message, PauseCapture, decode

from tests.fakes.bus import FakeBus, FakeCore
from tests.unit.camera.line import until


def numbered(number: int) -> Message:
    return PauseCapture(command_id=f"n{number}")


def sent(core: FakeCore) -> list[str]:
    return [decode(raw, PauseCapture).command_id for raw in core.on_topic("t")]


def test_messages_go_out_in_order() -> None:
    core = FakeCore()
    announcer = Announcer(core.bus())
    announcer.start()
    for number in range(100):
        announcer.announce("t", numbered(number))
    announcer.stop()
    assert sent(core) == [f"n{number}" for number in range(100)]


def test_the_oldest_are_dropped_and_counted_when_the_bus_stays_away() -> None:
    core = FakeCore()
    core.away = True
    announcer = Announcer(core.bus())
    announcer.start()
    for number in range(MOST_WAITING + 50):
        announcer.announce("t", numbered(number))
    core.away = False
    until(lambda: len(sent(core)) + announcer.dropped == MOST_WAITING + 50)
    assert 49 <= announcer.dropped <= 51
    assert sent(core)[-1] == f"n{MOST_WAITING + 49}"
    assert sent(core) == sorted(sent(core), key=lambda name: int(name[1:]))
    announcer.stop()


def test_stopping_does_not_wait_for_a_bus_that_is_away() -> None:
    core = FakeCore()
    core.away = True
    announcer = Announcer(core.bus())
    announcer.start()
    announcer.announce("t", numbered(1))
    announcer.stop()
    assert not any(thread.name == "announcing" and thread.is_alive() for thread in threading.enumerate())


def test_a_message_that_may_not_be_sent_is_dropped_and_the_next_goes_out() -> None:
    class Refusing(FakeBus):
        def publish(self, topic: str, payload: bytes) -> None:
            if topic == "forbidden":
                raise NotAuthorizedError("forbidden: not in accessControl")
            super().publish(topic, payload)

    core = FakeCore()
    announcer = Announcer(Refusing(core, {}))
    announcer.start()
    announcer.announce("forbidden", numbered(1))
    announcer.announce("t", numbered(2))
    until(lambda: sent(core) == ["n2"])
    assert announcer.dropped == 1
    announcer.stop()
