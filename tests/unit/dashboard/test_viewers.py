import asyncio

from linewatch_dashboard.packing import Pictures, unpack
from linewatch_dashboard.timeline import Shown
from linewatch_dashboard.viewers import ACKNOWLEDGE_SECONDS, Loaded, Viewer, Viewers

from tests.unit.dashboard.messages import frame, verdict


def loaded(number: int) -> Loaded:
    return Loaded(Shown(number, verdict(number), 100.0, "/s", ""), Pictures(b"J" * number, b"P"))


def take(viewer: Viewer) -> tuple[str | None, int | None]:
    """What the viewer may be sent now: the state, and the sequence of the inspection."""

    async def at_once() -> tuple[str | None, Loaded | None]:
        async with asyncio.timeout(0):
            return await viewer.take()

    try:
        state, inspection = asyncio.run(at_once())
    except TimeoutError:
        return None, None
    return state, inspection.shown.sequence if inspection else None


def test_only_the_newest_waits_and_the_others_are_counted() -> None:
    viewers, viewer = Viewers(2), Viewer(acknowledges=False)
    assert viewers.admit(viewer)
    for number in (1, 2, 3):
        viewers.offer_inspection(loaded(number))
        viewers.offer_state(f"state {number}")
    assert take(viewer) == ("state 3", 3)
    assert take(viewer) == (None, None)
    assert (viewers.skipped, viewer.skipped) == (2, 2)


def test_a_viewer_that_acknowledges_gets_the_next_only_after_it_has_shown_the_last() -> None:
    viewer = Viewer(acknowledges=True)
    viewer.offer_inspection(loaded(1))
    assert take(viewer) == (None, 1)
    viewer.sent_inspection(100.0)
    viewer.offer_inspection(loaded(2))
    viewer.offer_state("s")
    assert take(viewer) == ("s", None)
    viewer.offer_inspection(loaded(3))
    assert take(viewer) == (None, None)
    viewer.acknowledge()
    assert take(viewer) == (None, 3)


def test_a_viewer_that_never_acknowledges_is_asleep() -> None:
    viewer = Viewer(acknowledges=True)
    viewer.sent_inspection(100.0)
    assert not viewer.asleep(100.0 + ACKNOWLEDGE_SECONDS)
    assert viewer.asleep(100.1 + ACKNOWLEDGE_SECONDS)
    viewer.acknowledge()
    assert not viewer.asleep(200.0)


def test_a_viewer_that_does_not_promise_to_acknowledge_is_never_asleep() -> None:
    viewer = Viewer(acknowledges=False)
    viewer.sent_inspection(100.0)
    assert not viewer.asleep(1000.0)


def test_viewers_are_bounded_and_the_refused_are_counted() -> None:
    viewers = Viewers(2)
    first = Viewer(acknowledges=False)
    assert viewers.admit(first)
    assert viewers.admit(Viewer(acknowledges=False))
    assert not viewers.admit(Viewer(acknowledges=False))
    assert (len(viewers), viewers.refused) == (2, 1)
    viewers.dismiss(first)
    viewers.dismiss(first)
    assert viewers.admit(Viewer(acknowledges=False))


def test_the_message_holds_one_inspection_and_its_age_at_sending() -> None:
    header, pictures = unpack(loaded(4).message(now=101.5, skipped=6))
    assert (header.verdict.frame_id, header.sequence, header.age_ms, header.skipped) == (frame(4), 4, 1500.0, 6)
    assert (pictures.picture, pictures.mask) == (b"JJJJ", b"P")
