"""Stores of a fleet's state: a folder and S3 keep the same promises."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from model_build.fleet.calls import Caller
from model_build.fleet.errors import ConflictError
from model_build.fleet.s3_store import S3Store
from model_build.fleet.store import FolderStore, StateStore
from tests.integration.fleet.plant import KEYS


def _in_s3() -> S3Store:
    client: Any = boto3.client("s3", region_name="us-east-1", **KEYS)
    client.create_bucket(Bucket="state")
    return S3Store(client, "state", "/fleets/plant-a/", Caller(sleep=lambda _: None))


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "folder":
        yield FolderStore(tmp_path / "state")
        return
    with mock_aws():
        yield _in_s3()


def test_what_was_written_is_read_and_what_was_not_is_none(store: StateStore) -> None:
    assert store.read("plans/a/plan.json") is None
    store.write("plans/a/plan.json", b"one")
    found = store.read("plans/a/plan.json")
    assert found is not None
    assert found[0] == b"one"
    store.write("plans/a/plan.json", b"two")
    again = store.read("plans/a/plan.json")
    assert again is not None
    assert again[0] == b"two"
    assert again[1] != found[1]


def test_a_new_object_is_made_once(store: StateStore) -> None:
    store.create("current.json", b"one")
    with pytest.raises(ConflictError, match=r"current\.json exists already"):
        store.create("current.json", b"two")
    assert (store.read("current.json") or (b"",))[0] == b"one"


def test_what_somebody_else_changed_is_not_replaced(store: StateStore) -> None:
    store.write("current.json", b"one")
    _, tag = store.read("current.json") or (b"", "")
    store.replace("current.json", b"two", tag)
    with pytest.raises(ConflictError, match="changed by somebody else"):
        store.replace("current.json", b"three", tag)
    with pytest.raises(ConflictError):
        store.replace("missing.json", b"x", tag)
    assert (store.read("current.json") or (b"",))[0] == b"two"


def test_keys_are_sorted_and_below_the_prefix(store: StateStore) -> None:
    assert store.keys("history/") == []
    for key in ("history/2", "history/1", "plans/a/x/y.json", "current.json"):
        store.write(key, b"x")
    assert store.keys("history/") == ["history/1", "history/2"]
    assert store.keys("plans/a") == ["plans/a/x/y.json"]
    assert store.keys("") == ["current.json", "history/1", "history/2", "plans/a/x/y.json"]


def test_of_many_that_create_or_replace_one_wins(store: StateStore) -> None:
    store.write("shared", b"0")
    _, tag = store.read("shared") or (b"", "")
    for act in (lambda: store.create("lock", b"x"), lambda: store.replace("shared", b"1", tag)):
        assert _wins(act) == 1


def _wins(act: Callable[[], None]) -> int:
    won: list[bool] = []

    def attempt() -> None:
        try:
            act()
        except ConflictError:
            return
        won.append(True)

    threads = [threading.Thread(target=attempt) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return len(won)
