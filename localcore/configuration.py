"""The configuration store: for each component a tree of JSON values, and the time each leaf was set.

A write with an older time than a leaf's does not change that leaf. Subscribers hear the path that a write changed.
"""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from localcore.errors import InvalidArgumentsError, ResourceNotFoundError

Path = tuple[str, ...]
Listener = Callable[[str, Path], None]
_MAX_DEPTH = 15  # of key paths and values, as lite's objects; keeps hostile nesting away from the recursion limit


@dataclass(slots=True)
class _Entry:
    value: dict[str, Any] = field(default_factory=dict)
    times: dict[Path, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """A deployment's change of one component's configuration: first the resets, then the update."""

    resets: tuple[Path, ...] = ()
    update: Mapping[str, Any] = field(default_factory=dict)


def parse_pointer(pointer: str) -> Path:
    """A JSON pointer (`/a/b`, or empty for the whole) as a path. Raises InvalidArgumentsError."""
    if pointer == "":
        return ()
    if not pointer.startswith("/"):
        raise InvalidArgumentsError(f"JSON pointer {pointer!r} does not start with '/'")
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/"))


def lookup(tree: Mapping[str, Any], path: Sequence[str]) -> Any:
    """The value at `path`. Raises ResourceNotFoundError."""
    value: Any = tree
    for index, key in enumerate(path):
        if not isinstance(value, Mapping) or key not in value:
            raise ResourceNotFoundError(f"configuration key /{'/'.join(path[: index + 1])} is not there")
        value = value[key]
    return value


def merge(base: Mapping[str, Any], update: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `base` with `update` over it: maps key by key, everything else replaced."""
    merged = dict(base)
    for key, value in update.items():
        old = merged.get(key)
        merged[key] = (
            merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else copy.deepcopy(value)
        )
    return merged


def _leaves(value: Any, path: Path) -> Iterable[Path]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    else:
        yield path


def _too_deep(value: Any, left: int) -> bool:
    if left < 0:
        return True
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(_too_deep(item, left - 1) for item in items)


class ConfigurationStore:
    """Configurations of all components, in memory; `snapshot` and `restore` carry them to and from disk.

    `renews_defaults`: a new version's defaults replace the old ones where nobody has set the leaf, as on lite; else they only fill what is
    missing.
    """

    def __init__(self, *, renews_defaults: bool = False) -> None:
        self._renews_defaults = renews_defaults
        self._entries: dict[str, _Entry] = {}
        self._listeners: dict[int, tuple[str, Path, Listener]] = {}
        self._next_listener = 0

    def get(self, component: str, path: Sequence[str] = ()) -> Any:
        """A copy of the value. Raises ResourceNotFoundError."""
        entry = self._entries.get(component)
        if entry is None:
            raise ResourceNotFoundError(f"component {component} has no configuration")
        return copy.deepcopy(lookup(entry.value, path))

    def tree(self, component: str) -> Mapping[str, Any]:
        """The component's whole tree, empty when unknown; not a copy: read only."""
        entry = self._entries.get(component)
        return entry.value if entry else {}

    def planned(self, component: str, defaults: Mapping[str, Any], change: Change) -> dict[str, Any]:
        """What `deploy` with the same arguments would make of the component's tree."""
        value = merge(defaults, self.tree(component))
        if self._renews_defaults:
            for leaf in self._untouched(component, defaults):
                value = merge(value, _wrap(leaf, lookup(defaults, leaf)))
        for path in change.resets:
            value = _reset(value, defaults, path)
        return merge(value, change.update)

    def _untouched(self, component: str, defaults: Mapping[str, Any]) -> Iterable[Path]:
        """Leaves of `defaults` that hold a default of an earlier version."""
        entry = self._entries.get(component)
        return [leaf for leaf in _leaves(defaults, ()) if entry and entry.times.get(leaf) == 0.0]

    def deploy(self, component: str, defaults: Mapping[str, Any], change: Change, now: float) -> None:
        """Apply a deployment: first the new defaults (see the class), then resets back to the defaults, then the update over it."""
        after = self.planned(component, defaults, change)
        entry = self._entries.setdefault(component, _Entry())
        before, entry.value = entry.value, after
        entry.times = {path: entry.times.get(path, 0.0) for path in _leaves(after, ())}
        if change.update:
            entry.times.update(dict.fromkeys(_leaves(change.update, ()), now))
        self._announce(component, _changes(before, after, ()))

    def update(self, component: str, path: Sequence[str], value: Any, timestamp: float) -> bool:
        """Merge `value` at `path`; leaves set at a later time than `timestamp` stay.

        Returns False when nothing could be set because all is newer. Raises InvalidArgumentsError.
        """
        if _too_deep(value, _MAX_DEPTH - len(path)):
            raise InvalidArgumentsError(f"configuration is nested deeper than {_MAX_DEPTH} levels")
        entry = self._entries.setdefault(component, _Entry())
        nested = value
        for key in reversed(path):
            nested = {key: nested}
        if not isinstance(nested, Mapping):
            raise InvalidArgumentsError("valueToMerge must be a map where keyPath is empty")
        fresh = [leaf for leaf in _leaves(nested, ()) if timestamp >= entry.times.get(leaf, 0.0)]
        before = entry.value
        for leaf in fresh:
            entry.value = merge(entry.value, _wrap(leaf, lookup(nested, leaf)))
            entry.times[leaf] = timestamp
        self._announce(component, _changes(before, entry.value, ()))
        return bool(fresh)

    def remove(self, component: str) -> None:
        """Forget the component's configuration."""
        self._entries.pop(component, None)

    def subscribe(self, component: str, path: Path, listener: Listener) -> Callable[[], None]:
        """Call `listener(component, changed_path)` for changes at or under `path`; returns what ends it."""
        key = self._next_listener
        self._next_listener += 1
        self._listeners[key] = (component, path, listener)
        return lambda: self._listeners.pop(key, None) and None

    def _announce(self, component: str, changed: Iterable[Path]) -> None:
        for path in changed:
            for name, watched, listener in list(self._listeners.values()):
                common = min(len(watched), len(path))
                if name == component and watched[:common] == path[:common]:
                    listener(component, path)

    def snapshot(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {
            name: {"value": copy.deepcopy(entry.value), "times": [[list(path), at] for path, at in entry.times.items()]}
            for name, entry in self._entries.items()
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Replace all by a snapshot; differences are announced."""
        before = {name: entry.value for name, entry in self._entries.items()}
        self._entries = {
            name: _Entry(copy.deepcopy(item["value"]), {tuple(path): at for path, at in item["times"]})
            for name, item in snapshot.items()
        }
        for name, entry in self._entries.items():
            self._announce(name, _changes(before.get(name, {}), entry.value, ()))


def _wrap(path: Path, value: Any) -> dict[str, Any]:
    for key in reversed(path):
        value = {key: value}
    return value if isinstance(value, dict) else {}


def _reset(tree: dict[str, Any], defaults: Mapping[str, Any], path: Path) -> dict[str, Any]:
    if not path:
        return copy.deepcopy(dict(defaults))
    key, rest = path[0], path[1:]
    result = dict(tree)
    if rest and isinstance(result.get(key), Mapping):
        inner = defaults.get(key)
        result[key] = _reset(result[key], inner if isinstance(inner, Mapping) else {}, rest)
    elif not rest and key in defaults:
        result[key] = copy.deepcopy(defaults[key])
    elif not rest:
        result.pop(key, None)
    return result


def _changes(before: Any, after: Any, path: Path) -> Iterable[Path]:
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        if before != after or type(before) is not type(after):
            yield path
        return
    for key in {**before, **after}:
        if key not in before or key not in after:
            yield (*path, key)
        else:
            yield from _changes(before[key], after[key], (*path, key))
