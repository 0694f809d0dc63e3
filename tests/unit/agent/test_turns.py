import contextlib
import threading

from linewatch_agent.turns import FairLock, WarmLock

from tests.unit.agent.support import wait_until


def _take(lock: FairLock, order: list[int], number: int) -> None:
    with lock:
        order.append(number)


def test_the_lock_is_had_in_the_order_in_which_it_was_asked_for() -> None:
    lock, order = FairLock(), list[int]()

    threads = [threading.Thread(target=_take, args=(lock, order, number)) for number in range(6)]
    with lock:
        for place, thread in enumerate(threads[:5]):
            thread.start()
            wait_until(lambda place=place: lock.waiting == place + 1)  # type: ignore[misc]  # a default cannot be typed
    # Whoever asks again at once stands at the end of the line.
    with lock:
        order.append(-1)
    for thread in threads[:5]:
        thread.join()
    assert order == [0, 1, 2, 3, 4, -1]
    threads[5].start()
    threads[5].join()
    assert (order[-1], lock.waiting) == (5, 0)


def test_a_warm_lock_goes_to_whoever_asked_last() -> None:
    lock, order = WarmLock(), list[int]()
    threads = [threading.Thread(target=_take, args=(lock, order, number)) for number in range(4)]
    with lock:
        for place, thread in enumerate(threads):
            thread.start()
            wait_until(lambda place=place: lock.waiting == place + 1)  # type: ignore[misc]  # as above
    for thread in threads:
        thread.join()
    assert (order, lock.waiting) == ([3, 2, 1, 0], 0)


def test_an_error_inside_passes_the_lock_on() -> None:
    lock = FairLock()
    with contextlib.suppress(ZeroDivisionError), lock:
        _ = 1 // 0
    with lock:
        assert lock.waiting == 0
