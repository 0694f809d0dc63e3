"""The store within its bounds."""

import os
import time
from pathlib import Path

import pytest
from linewatch_inspector.storekeeper import Storekeeper

DAY = 86_400.0


def put(store: Path, name: str, size: int = 100, *, age: float = 0.0) -> Path:
    path = store / "20261122" / f"{name}.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    then = time.time() - age
    os.utime(path, (then, then))
    return path


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


def test_the_oldest_good_parts_go_first_then_the_oldest_of_the_others(store: Path) -> None:
    keeper = Storekeeper(store, max_bytes=1000, max_seconds=DAY)
    paths = {}
    for index, (name, passed) in enumerate([("bad1", False), ("good1", True), ("good2", True), ("bad2", False)]):
        paths[name] = put(store, name, 400, age=100 - index)
        keeper.added(paths[name], 400, passed=passed)
    assert keeper.make_room() == [paths["good1"], paths["good2"]]
    assert sorted(path.name for path in store.glob("*/*")) == ["bad1.zip", "bad2.zip"]
    assert (keeper.bytes, keeper.deleted) == (800, 2)
    newest = put(store, "bad3", 400)
    keeper.added(newest, 400, passed=False)
    assert keeper.make_room() == [paths["bad1"]]


def test_within_its_bounds_nothing_is_deleted(store: Path) -> None:
    keeper = Storekeeper(store, max_bytes=1000, max_seconds=DAY)
    keeper.added(put(store, "a", 1000), 1000, passed=True)
    assert keeper.make_room() == []


def test_what_is_too_old_goes_whatever_it_shows(store: Path) -> None:
    old = [put(store, "bad", age=2 * DAY), put(store, "good", age=3 * DAY)]
    put(store, "young", age=0.5 * DAY)
    keeper = Storekeeper(store, max_bytes=10_000, max_seconds=DAY)
    keeper.take_stock({str(old[1])})
    assert sorted(keeper.make_room()) == sorted(old)
    assert [path.name for path in store.glob("*/*")] == ["young.zip"]


def test_stock_is_taken_of_what_an_earlier_process_left(store: Path) -> None:
    good, bad = put(store, "good", 300, age=20), put(store, "bad", 300, age=30)
    leftover = store / "20261122" / ".torn.zip.part"
    leftover.write_bytes(b"half")
    keeper = Storekeeper(store, max_bytes=500, max_seconds=DAY)
    keeper.take_stock({str(good)})
    assert keeper.bytes == 600
    assert not leftover.exists()
    assert keeper.make_room() == [good]
    assert bad.exists()


def test_an_emptied_day_leaves_no_folder(store: Path) -> None:
    keeper = Storekeeper(store, max_bytes=1, max_seconds=DAY)
    keeper.added(put(store, "a"), 100, passed=True)
    keeper.make_room()
    assert list(store.iterdir()) == []


def test_a_file_that_somebody_else_deleted_is_no_problem(store: Path) -> None:
    keeper = Storekeeper(store, max_bytes=1, max_seconds=DAY)
    path = put(store, "a")
    keeper.added(path, 100, passed=True)
    path.unlink()
    assert keeper.make_room() == [path]
    assert keeper.bytes == 0


def test_no_store_yet_is_an_empty_one(store: Path) -> None:
    keeper = Storekeeper(store, max_bytes=1, max_seconds=DAY)
    keeper.take_stock(set())
    assert keeper.bytes == 0


def test_what_the_disk_does_not_delete_stays_counted_and_holds_up_nothing_else(
    store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keeper = Storekeeper(store, max_bytes=150, max_seconds=DAY)
    stuck = store / "20261122" / "stuck.zip"
    stuck.mkdir(parents=True)  # no file: the disk refuses
    keeper.added(stuck, 100, passed=True)
    other = put(store, "other", 100)
    keeper.added(other, 100, passed=True)
    assert [keeper.make_room() for _ in range(2)] == [[], [other]]
    assert (keeper.bytes, keeper.deleted) == (100, 1)
    bad = put(store, "bad", 100)
    keeper.added(bad, 100, passed=False)
    assert [path for _ in range(100) for path in keeper.make_room()] == [bad]
    assert stuck.exists()
    assert len(caplog.records) < 10
