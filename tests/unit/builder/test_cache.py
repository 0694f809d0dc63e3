"""The build's cache: whole files or none, one key a slot, one build at a time."""

import threading
from pathlib import Path

import pytest

from components.builder.cache import Cache, hash_of, place
from components.builder.errors import BuildError


def put(cache: Cache, key: str, data: bytes, slot: str = "slot") -> None:
    with cache.make("zips", slot, key, (".zip",)) as (path,):
        path.write_bytes(data)


def test_what_was_made_is_there(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    assert cache.get("zips", "slot", "k", ".zip") is None
    put(cache, "k", b"data")
    found = cache.get("zips", "slot", "k", ".zip")
    assert found is not None
    assert found.read_bytes() == b"data"
    assert found.stat().st_mode & 0o222 == 0, "an artefact that is linked to it cannot be written through"


def test_a_slot_keeps_its_newest_key_only(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    put(cache, "old", b"1")
    put(cache, "other", b"2", slot="elsewhere")
    put(cache, "new", b"3")
    assert cache.get("zips", "slot", "old", ".zip") is None
    assert cache.get("zips", "elsewhere", "other", ".zip") is not None


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    put(cache, "good", b"1")

    def fail() -> None:
        with cache.make("zips", "slot", "bad", (".zip", ".json")) as (path, _):
            path.write_bytes(b"half")
            raise BuildError("too large")

    with pytest.raises(BuildError, match="too large"):
        fail()
    assert [path.name for path in (tmp_path / "zips/slot").iterdir()] == ["good.zip"]


def test_two_builds_wait_for_each_other(tmp_path: Path) -> None:
    waited, entered = threading.Event(), threading.Event()

    def second() -> None:
        with Cache(tmp_path).locked(waited.set):
            entered.set()

    thread = threading.Thread(target=second)
    with Cache(tmp_path).locked(lambda: None):
        thread.start()
        assert waited.wait(10), "the second one says that it waits"
        assert not entered.is_set()
    assert entered.wait(10)
    thread.join()


def test_the_hash_knows_its_parts_apart() -> None:
    assert hash_of(["ab", "c"]) != hash_of(["a", "bc"])
    assert hash_of(["a", b"b"]) == hash_of([b"a", "b"])


def test_place_links_and_replaces(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
    target = tmp_path / "out/deep/x.zip"
    place(tmp_path / "one", target)
    place(tmp_path / "one", target)
    assert target.samefile(tmp_path / "one")
    place(tmp_path / "two", target)
    assert target.read_text() == "two"
    assert (tmp_path / "one").read_text() == "one"
    assert [path.name for path in target.parent.iterdir()] == ["x.zip"]


def test_place_says_where_it_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("1")
    (tmp_path / "file").write_text("")
    with pytest.raises(BuildError, match=r"file/x\.zip: cannot write"):
        place(tmp_path / "one", tmp_path / "file/x.zip")
