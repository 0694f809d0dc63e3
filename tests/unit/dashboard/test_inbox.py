import asyncio
import threading

from linewatch_dashboard.inbox import Inbox, Source


def test_messages_keep_their_order_and_source() -> None:
    inbox = Inbox()
    inbox.handler(Source.STATUS)(b"1")
    inbox.handler(Source.VERDICTS)(b"2")
    assert inbox.drain() == [(Source.STATUS, b"1"), (Source.VERDICTS, b"2")]
    assert inbox.drain() == []


def test_a_full_inbox_drops_the_oldest_and_counts() -> None:
    inbox = Inbox(capacity=2)
    for raw in (b"1", b"2", b"3", b"4"):
        inbox.put(Source.VERDICTS, raw)
    assert [raw for _, raw in inbox.drain()] == [b"3", b"4"]
    assert inbox.dropped == 2


def test_a_message_of_another_thread_wakes_the_loop_and_none_does_after_it_ended() -> None:
    inbox = Inbox()

    async def wait_for_one() -> list[tuple[Source, bytes]]:
        event = asyncio.Event()
        inbox.wake_by(asyncio.get_running_loop(), event)
        await event.wait()  # what may have come before
        event.clear()
        thread = threading.Thread(target=inbox.put, args=(Source.ALERTS, b"1"))
        thread.start()
        async with asyncio.timeout(10):
            await event.wait()
        thread.join()
        return inbox.drain()

    assert asyncio.run(wait_for_one()) == [(Source.ALERTS, b"1")]
    inbox.put(Source.ALERTS, b"2")  # the loop is closed by now
    inbox.detach()
    inbox.put(Source.ALERTS, b"3")
    assert len(inbox.drain()) == 2
