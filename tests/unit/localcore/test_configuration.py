"""The configuration store: merging, resetting, times, listeners."""

from typing import Any

import pytest

from localcore.configuration import Change, ConfigurationStore, parse_pointer
from localcore.errors import InvalidArgumentsError, ResourceNotFoundError

A = "com.example.A"
DEFAULTS: dict[str, Any] = {"rate": 5, "deep": {"a": 1, "b": [1, 2]}}


@pytest.fixture
def store() -> ConfigurationStore:
    store = ConfigurationStore()
    store.deploy(A, DEFAULTS, Change(), now=100.0)
    return store


def test_new_defaults_fill_what_is_missing_and_keep_what_was_set(store: ConfigurationStore) -> None:
    store.deploy(A, DEFAULTS, Change(update={"rate": 6}), now=100.0)
    store.deploy(A, {"rate": 9, "deep": {"a": 9, "new": 0}, "more": {}}, Change(), now=101.0)
    assert store.get(A) == {"rate": 6, "deep": {"a": 1, "b": [1, 2], "new": 0}, "more": {}}


def test_on_lite_new_defaults_replace_the_old_ones_that_nobody_set() -> None:
    store = ConfigurationStore(renews_defaults=True)
    store.deploy(A, DEFAULTS, Change(update={"rate": 6}), now=100.0)
    store.deploy(A, {"rate": 9, "deep": {"a": 9, "new": 0}}, Change(), now=101.0)
    assert store.get(A) == {"rate": 6, "deep": {"a": 9, "b": [1, 2], "new": 0}}
    assert store.update(A, ["deep", "a"], 3, timestamp=102.0)
    store.deploy(A, DEFAULTS, Change(), now=103.0)
    assert store.get(A, ["deep", "a"]) == 3


@pytest.mark.parametrize(
    ("pointers", "expected"),
    [
        ([""], DEFAULTS),
        (["/deep/a"], {"rate": 7, "deep": {"a": 1, "b": [], "own": 1}}),
        (["/deep"], {"rate": 7, "deep": {"a": 1, "b": [1, 2]}}),
        (["/deep/own", "/nothing/there"], {"rate": 7, "deep": {"a": 2, "b": []}}),
    ],
)
def test_resets_go_back_to_the_defaults(
    store: ConfigurationStore, pointers: list[str], expected: dict[str, Any]
) -> None:
    store.deploy(A, DEFAULTS, Change(update={"rate": 7, "deep": {"a": 2, "b": [], "own": 1}}), now=101.0)
    store.deploy(A, DEFAULTS, Change(resets=tuple(map(parse_pointer, pointers))), now=102.0)
    assert store.get(A) == expected


def test_an_older_write_does_not_change_a_newer_leaf(store: ConfigurationStore) -> None:
    assert store.update(A, ["rate"], 6, timestamp=200.0)
    assert not store.update(A, ["rate"], 7, timestamp=199.0)
    assert store.update(A, [], {"rate": 8, "deep": {"a": 3}}, timestamp=150.0)
    assert store.get(A) == {"rate": 6, "deep": {"a": 3, "b": [1, 2]}}


def test_what_is_given_out_is_a_copy(store: ConfigurationStore) -> None:
    store.get(A, ["deep"])["b"].append(3)
    assert store.get(A, ["deep", "b"]) == [1, 2]


def test_listeners_hear_changes_at_and_under_their_path_until_they_end(store: ConfigurationStore) -> None:
    heard: list[tuple[str, ...]] = []
    end = store.subscribe(A, ("deep",), lambda _name, path: heard.append(path))
    store.update(A, ["deep"], {"a": 2, "new": {"x": 1}}, timestamp=200.0)
    store.update(A, ["rate"], 9, timestamp=200.0)
    store.update(A, ["deep", "a"], 2, timestamp=201.0)  # the same value
    end()
    store.update(A, ["deep", "a"], 5, timestamp=202.0)
    assert heard == [("deep", "a"), ("deep", "new")]


def test_true_and_one_are_different_values(store: ConfigurationStore) -> None:
    heard: list[tuple[str, ...]] = []
    store.update(A, ["rate"], 1, timestamp=200.0)
    store.subscribe(A, (), lambda _name, path: heard.append(path))
    store.update(A, ["rate"], True, timestamp=201.0)
    assert heard == [("rate",)]
    assert store.get(A, ["rate"]) is True


def test_a_snapshot_carries_values_and_times(store: ConfigurationStore) -> None:
    store.update(A, ["rate"], 6, timestamp=200.0)
    copy = ConfigurationStore()
    copy.restore(store.snapshot())
    assert copy.get(A) == store.get(A)
    assert not copy.update(A, ["rate"], 7, timestamp=199.0)


def test_what_is_not_there(store: ConfigurationStore) -> None:
    for component, path in ((A, ["none"]), (A, ["rate", "deeper"]), ("other", [])):
        with pytest.raises(ResourceNotFoundError):
            store.get(component, path)
    with pytest.raises(InvalidArgumentsError, match="must be a map"):
        store.update(A, [], 5, timestamp=1.0)
    deep: Any = 1
    for _ in range(20):
        deep = {"x": deep}
    with pytest.raises(InvalidArgumentsError, match="deeper than"):
        store.update(A, [], deep, timestamp=1.0)
    with pytest.raises(InvalidArgumentsError, match="does not start"):
        parse_pointer("rate")
