"""Component maps: ours into what stands, what stood before, and what differs. Pure functions."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from model_build.fleet.configuration import Fleet, Ring
from model_build.fleet.errors import FleetInputError
from model_build.fleet.records import Before, Components, ComponentSpec

# Greengrass resets a component's whole configuration to its recipe's defaults by an empty pointer.
EVERYTHING = [""]


def canonical(configuration: Mapping[str, Any]) -> str:
    """One text for one configuration."""
    return json.dumps(configuration, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def released(before: Before, release: Mapping[str, str], fleet: Fleet, ring: Ring) -> Components:
    """The whole map for a ring: everything that stands, with the release's components at their versions.

    Merged configuration stays on a device for ever, and a new version's defaults do not replace old ones; so each of our components
    begins from its recipe's defaults (`reset`), and all that is to differ is merged. What the fleet's file does not speak of keeps what
    was merged before.
    """
    components = dict(before.previous.components) if before.previous else {}
    for name, version in release.items():
        wanted = fleet.configuration_of(ring, name)
        full = before.full_merges.get(name, {}) if wanted is None else wanted
        components[name] = _spec(version, full, components.get(name))
    return components


def restored(before: Before, release: Mapping[str, str]) -> Components:
    """The map that stood before, each of the release's components with the recorded full configuration; those it brought are left out."""
    components = dict(before.previous.components) if before.previous else {}
    for name in release:
        if name in components:
            components[name] = _spec(components[name].version, before.full_merges.get(name, {}), components[name])
    return components


def full_merge(revisions: Sequence[Components], component: str) -> dict[str, Any]:
    """What a component's configuration differs by after these deployments, newest first.

    A revision without the component took it and its configuration away; a whole reset began anew. Raises FleetInputError when a merge
    is not a JSON object.
    """
    chain: list[ComponentSpec] = []
    for components in revisions:
        spec = components.get(component)
        if spec is None:
            break
        chain.append(spec)
        if spec.reset and "" in spec.reset:
            break
    merged: dict[str, Any] = {}
    for spec in reversed(chain):
        for pointer in spec.reset or []:
            _reset(merged, pointer)
        if spec.merge:
            _merge(merged, _object(spec.merge, component))
    return merged


def differences(old: Components, new: Components) -> list[tuple[str, str, str]]:
    """(component, before, after) for each that differs, sorted; "" where there is none."""
    rows = []
    for name in sorted({*old, *new}):
        was, becomes = _shown(old.get(name)), _shown(new.get(name))
        if was != becomes:
            rows.append((name, was, becomes))
    return rows


def request_components(components: Components) -> dict[str, Any]:
    """As CreateDeployment wants them."""
    request: dict[str, Any] = {}
    for name, spec in sorted(components.items()):
        entry: dict[str, Any] = {"componentVersion": spec.version}
        update: dict[str, Any] = {}
        if spec.merge:
            update["merge"] = spec.merge
        if spec.reset is not None:
            update["reset"] = spec.reset
        if update:
            entry["configurationUpdate"] = update
        if spec.run_with:
            entry["runWith"] = spec.run_with
        request[name] = entry
    return request


def components_of(answer: Mapping[str, Any]) -> Components:
    """Of GetDeployment's `components`."""
    found: Components = {}
    for name, entry in answer.items():
        update = entry.get("configurationUpdate") or {}
        found[name] = ComponentSpec(
            version=entry["componentVersion"],
            merge=update.get("merge", ""),
            reset=update.get("reset"),
            run_with=entry.get("runWith") or None,
        )
    return found


def _spec(version: str, full: Mapping[str, Any], standing: ComponentSpec | None) -> ComponentSpec:
    run_with = standing.run_with if standing else None
    return ComponentSpec(version=version, merge=canonical(full) if full else "", reset=EVERYTHING, run_with=run_with)


def _object(text: str, component: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise FleetInputError(f"{component}: what was merged into its configuration is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise FleetInputError(f"{component}: what was merged into its configuration is not an object")
    return value


def _merge(into: dict[str, Any], update: Mapping[str, Any]) -> None:
    for key, value in update.items():
        standing = into.get(key)
        if isinstance(standing, dict) and isinstance(value, dict):
            _merge(standing, value)
        else:
            into[key] = value


def _reset(merged: dict[str, Any], pointer: str) -> None:
    """Take away what a JSON pointer names."""
    if pointer == "":
        merged.clear()
        return
    *path, last = [part.replace("~1", "/").replace("~0", "~") for part in pointer.removeprefix("/").split("/")]
    place: Any = merged
    for part in path:
        place = place.get(part) if isinstance(place, dict) else None
    if isinstance(place, dict):
        place.pop(last, None)


def _shown(spec: ComponentSpec | None) -> str:
    """What a device is to have of it; how that is reached (`reset`) makes no difference."""
    if spec is None:
        return ""
    merge = canonical(json.loads(spec.merge)) if spec.merge else ""
    run_with = canonical(spec.run_with) if spec.run_with else ""
    return " ".join(part for part in (spec.version, merge, run_with) if part)
