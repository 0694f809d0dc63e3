"""The live feed over a real WebSocket, from real files."""

import time
from pathlib import Path

import pytest
from linewatch_common.messages import Alert, Outcome
from linewatch_common.messages.alerts import AlertKind, AlertState
from linewatch_dashboard.packing import Pictures
from websockets.exceptions import ConnectionClosed

from tests.integration.dashboard.bench import PageBench, eventually, mask, page_bench, picture
from tests.integration.dashboard.viewing import watching
from tests.unit.dashboard.messages import AT, frame


def known(bench: PageBench, verdicts: int) -> None:
    """Wait until the page has heard so many verdicts."""
    eventually(lambda: bench.counters["verdicts"] >= verdicts, "the page hears the verdicts")


def test_picture_mask_and_verdict_of_one_inspection_come_in_one_message(bench: PageBench) -> None:
    bench.beat()
    with watching(bench) as viewer:
        for number, outcome in enumerate((Outcome.PASS, Outcome.FAIL, Outcome.REVIEW)):
            jpeg, png = picture(40 * number), mask(number, 0, 8, 8)
            bench.inspect(number, outcome, jpeg=jpeg, png=png, part_id=f"part-{number}")
            header, pictures = viewer.until(frame(number))
            assert header.verdict.outcome is outcome
            assert header.verdict.part_id == f"part-{number}"
            assert (pictures.picture, pictures.mask, pictures.missing) == (jpeg, png, "")
            assert header.live


def test_under_load_no_message_mixes_two_inspections(bench: PageBench) -> None:
    bench.beat()
    jpegs = {frame(number): picture(number) for number in range(100)}
    with watching(bench) as viewer:
        for number in range(100):
            bench.inspect(number, jpeg=jpegs[frame(number)])
        seen: list[str] = []
        pictures = Pictures()
        while not pictures.picture or seen[-1] != frame(99):
            header, pictures = viewer.inspection()
            # On a busy machine one may be shown before its file was written, but then without a picture.
            assert pictures.picture in (b"", jpegs[header.verdict.frame_id])
            seen.append(header.verdict.frame_id)
    assert seen == sorted(seen)
    assert len(seen) < 100, "at most ten pictures a second are sent"
    assert bench.counters["inspections_skipped"] > 0


def test_a_late_joiner_gets_the_state_and_the_latest_inspection_at_once(bench: PageBench) -> None:
    bench.beat()
    with watching(bench) as first:
        jpeg = picture(77)
        bench.inspect(1, Outcome.FAIL, jpeg=jpeg)
        first.until(frame(1))
        with watching(bench) as late:
            assert late.state().rejects[0].frame_id == frame(1)
            header, pictures = late.inspection()
            assert (header.verdict.frame_id, pictures.picture) == (frame(1), jpeg)
            assert header.age_ms > 0


def test_what_was_inspected_while_nobody_watched_is_read_for_the_next_viewer_only(bench: PageBench) -> None:
    bench.beat()
    bench.inspect(1, jpeg=picture(10))
    bench.inspect(2, jpeg=picture(20))
    known(bench, 2)
    time.sleep(0.5)  # time enough to read, were it wrong to
    assert bench.archive.reads == 0
    with watching(bench) as viewer:
        assert viewer.inspection()[0].verdict.frame_id == frame(2)
    eventually(lambda: bench.counters["viewers"] == 0, "the viewer left")
    assert bench.archive.reads == 1
    bench.inspect(3, jpeg=picture(30))
    known(bench, 3)
    time.sleep(0.5)
    assert bench.archive.reads == 1


@pytest.mark.parametrize("published_at", ["2026-01-01T00:00:00.000000Z", "2126-01-01T00:00:00.000000Z"])
def test_a_page_that_starts_later_shows_the_ledgers_latest_as_old(tmp_path: Path, published_at: str) -> None:
    """Also one from the future: the clock was set back since, and nobody knows how old it is."""
    with page_bench(tmp_path) as bench:
        bench.inspect(5, Outcome.FAIL, jpeg=picture(50), published_at=published_at)
        bench.stop()
        bench.start()
        bench.beat()
        with watching(bench) as viewer:
            header, pictures = viewer.inspection()
            assert (header.verdict.frame_id, pictures.picture) == (frame(5), picture(50))
            assert header.age_ms > 86_400_000
            state = viewer.state()
            assert state.age_ms is None or state.age_ms > 86_400_000
            assert state.rejects[0].frame_id == frame(5)


def test_a_verdict_without_a_stored_picture_is_shown_without_one_and_says_so(bench: PageBench) -> None:
    bench.beat()
    with watching(bench) as viewer:
        bench.inspect(1, jpeg=picture(10))
        viewer.until(frame(1))
        bench.inspect(2, Outcome.FAIL)
        header, pictures = viewer.until(frame(2))
        assert (pictures.picture, pictures.mask, pictures.missing) == (b"", b"", "picture not stored")
        assert header.verdict.outcome is Outcome.FAIL


def test_a_missed_part_is_shown_without_a_picture(bench: PageBench) -> None:
    with watching(bench) as viewer:
        bench.inspect(1, Outcome.MISSED, reason="overwritten")
        header, pictures = viewer.until(frame(1))
        assert (header.verdict.reason, pictures.missing) == ("overwritten", "no picture was judged")


def test_a_broken_file_is_shown_as_a_missing_picture_with_the_right_verdict(bench: PageBench) -> None:
    bench.beat()
    broken = bench.store / "20261122" / f"{frame(1)}.zip"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"PK\x03\x04 cut in the middle")
    with watching(bench) as viewer:
        bench.inspect(1, Outcome.FAIL)
        bench.announce(frame(1), broken)
        header, pictures = viewer.until(frame(1))
        assert (header.verdict.outcome, pictures.missing) == (Outcome.FAIL, "the stored picture cannot be read")
        bench.inspect(2, jpeg=picture(20))
        assert viewer.until(frame(2))[1].picture == picture(20)


def test_a_file_of_another_part_is_never_shown_beside_this_verdict(bench: PageBench) -> None:
    bench.beat()
    with watching(bench) as viewer:
        first = bench.inspect(1, jpeg=picture(10))
        viewer.until(frame(1))
        bench.inspect(2, Outcome.FAIL)
        bench.announce(frame(2), bench.store_picture(first, picture(10)))
        header, pictures = viewer.until(frame(2))
        assert (header.verdict.frame_id, pictures.picture) == (frame(2), b"")
        assert pictures.missing == "the stored picture is another part's"


@pytest.mark.parametrize("name", ["../../outside.zip", "20261122/../../../outside.zip", "/etc/passwd", "outside.zip"])
def test_a_path_outside_the_store_is_not_read(bench: PageBench, tmp_path: Path, name: str) -> None:
    bench.beat()
    verdict = bench.inspect(1, jpeg=picture(10))
    (tmp_path / "outside.zip").write_bytes(next(bench.store.glob("*/*.zip")).read_bytes())
    with watching(bench) as viewer:
        viewer.until(verdict.frame_id)
        bench.inspect(2, Outcome.FAIL)
        bench.announce(frame(2), bench.store / name)
        assert viewer.until(frame(2))[1].missing == "the stored picture cannot be read"


def test_a_link_in_the_store_that_leads_outside_is_not_followed(bench: PageBench, tmp_path: Path) -> None:
    bench.beat()
    verdict = bench.inspect(1, Outcome.FAIL)
    elsewhere = tmp_path / "elsewhere" / "20261122"
    elsewhere.mkdir(parents=True)
    outside = bench.store_picture(verdict, picture(10)).rename(elsewhere / f"{frame(1)}.zip")
    link = bench.store / "20261122" / f"{frame(1)}.zip"
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(outside)
    with watching(bench) as viewer:
        bench.inspect(2, Outcome.MISSED)
        viewer.until(frame(2))
        bench.inspect(3, Outcome.FAIL)
        bench.announce(frame(3), link)
        assert viewer.until(frame(3))[1].missing == "the stored picture cannot be read"


def test_a_picture_announced_before_inspectors_first_heartbeat_appears_with_it(bench: PageBench) -> None:
    with watching(bench) as viewer:
        bench.inspect(1, jpeg=picture(10))
        assert "has not said" in viewer.until(frame(1))[1].missing
        bench.beat()
        assert viewer.until(frame(1))[1].picture == picture(10)


def test_counters_and_rejects_come_from_the_ledger(bench: PageBench) -> None:
    for number, outcome in enumerate((Outcome.PASS, Outcome.PASS, Outcome.FAIL, Outcome.MISSED)):
        bench.inspect(number, outcome)
    bench.beat()
    with watching(bench) as viewer:
        while (state := viewer.state()).counters.missed != 1:  # the heartbeat knows of none
            pass
        assert state.counters.total == 4
        assert state.counters.yield_percent == pytest.approx(100 * 2 / 3)
        assert [reject.frame_id for reject in state.rejects] == [frame(2)]


def test_alerts_reach_the_viewer(bench: PageBench) -> None:
    with watching(bench) as viewer:
        for state in (AlertState.RAISED, AlertState.CLEARED):
            alert = Alert(station="line1", kind=AlertKind.DISK_LOW, state=state, detail="x", since=AT, at=AT)
            bench.say(bench.topics.alerts, alert)
            wanted = ["disk_low"] if state is AlertState.RAISED else []
            while [item.kind for item in viewer.state().alerts] != wanted:
                pass


def test_garbage_on_the_bus_is_counted_and_the_page_goes_on(bench: PageBench) -> None:
    bench.beat()
    with watching(bench) as viewer:
        for topic in (bench.topics.verdicts, bench.topics.alerts, bench.topics.status, bench.topics.models):
            bench.line.publish(topic, b'{"schema": "linewatch.Nonsense/9"')
        bench.inspect(1, jpeg=picture(10))
        viewer.until(frame(1))
    assert bench.counters["bad_messages"] == 4


def test_a_viewer_that_does_not_read_holds_up_nobody_and_skips(bench: PageBench) -> None:
    bench.beat()
    heavy = picture(10) + bytes(4_000_000)  # soon more than the sockets' buffers hold
    with watching(bench, max_queue=1) as sleeper, watching(bench) as viewer:
        sleeper.state()  # and reads no more
        for number in range(10):
            bench.inspect(number, jpeg=heavy)
            assert len(viewer.until(frame(number))[1].picture) == len(heavy)
        assert bench.counters["inspections_skipped"] > 0


def test_a_viewer_that_acknowledges_gets_one_at_a_time_and_then_the_newest(bench: PageBench) -> None:
    bench.beat()
    with watching(bench, "?acknowledge=1") as slow, watching(bench) as fast:
        for number in range(4):
            bench.inspect(number, jpeg=picture(number))
            fast.until(frame(number))
        assert slow.inspection()[0].verdict.frame_id == frame(0)
        slow.acknowledge()
        header, _ = slow.inspection()
        assert (header.verdict.frame_id, header.skipped) == (frame(3), 2)


def test_viewers_are_bounded_and_the_next_is_told(tmp_path: Path) -> None:
    with page_bench(tmp_path, max_viewers=1) as bench, watching(bench) as first:
        first.state()
        with watching(bench) as second, pytest.raises(ConnectionClosed) as closed:
            second.state()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1013
        first.state()
        assert bench.counters["viewers_refused"] == 1


def test_a_viewer_that_talks_nonsense_is_let_go_and_others_stay(bench: PageBench) -> None:
    with watching(bench) as good:
        with watching(bench) as bad:
            bad.state()
            bad.connection.send(b"\x00binary")
            with pytest.raises(ConnectionClosed):
                bad.until("never")
        with watching(bench) as loud:
            loud.connection.send("x" * 5000)
            with pytest.raises(ConnectionClosed):
                loud.until("never")
        assert good.state().station == "line1"
    eventually(lambda: bench.counters["viewers"] == 0, "everybody left")


def test_states_keep_coming_although_nothing_happens(bench: PageBench) -> None:
    with watching(bench) as viewer:
        first = viewer.state()
        begin = time.monotonic()
        second = viewer.state()
        assert second.server_ms > first.server_ms
        assert time.monotonic() - begin < 10
